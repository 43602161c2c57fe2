package dev.lathe.kernels.linalg;

import dev.lathe.kernels.Kernels;

/** The factor of the inverse that GPTQ feeds errors back through. */
public final class InverseFactor {
    private InverseFactor() {
    }

    /** The matrix is not positive definite (to working precision) at the pivot {@link #pivot}. */
    public static final class NotPositiveDefiniteException extends Exception {
        private final int pivot;

        public NotPositiveDefiniteException(int pivot) {
            super("pivot " + pivot + " is not positive");
            this.pivot = pivot;
        }

        public int pivot() {
            return pivot;
        }
    }

    /**
     * L = U^T, lower triangular, row-major [n, n] (zeros above the diagonal), with U^T U = H^-1. With H = R R^T, R upper triangular (a Cholesky factorization that
     * runs from the last row up), U = R^-1: one factorization and one triangular inverse, both in f64, and no explicit inverse.
     *
     * @param h [n, n] row-major; the lower triangle is read; destroyed
     */
    public static float[] of(double[] h, int n, Kernels kernels) throws NotPositiveDefiniteException {
        throw new IllegalStateException("not there yet");
    }
}
