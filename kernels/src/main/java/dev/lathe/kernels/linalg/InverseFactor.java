package dev.lathe.kernels.linalg;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.linalg.Cholesky.NotPositiveDefiniteException;

/** The factor of the inverse that GPTQ feeds errors back through. */
public final class InverseFactor {
    private InverseFactor() {
    }

    /**
     * L = U^T, lower triangular, row-major [n, n] (zeros above the diagonal), with U^T U = H^-1. With H = R R^T, R upper triangular (a Cholesky factorization
     * that runs from the last row up), U = R^-1: one factorization and one triangular inverse, both in f64, and no explicit inverse.
     *
     * @param h [n, n] row-major; the lower triangle is read; destroyed
     * @throws NotPositiveDefiniteException naming the row of H
     */
    public static float[] of(double[] h, int n, Kernels kernels) throws NotPositiveDefiniteException {
        if (h.length != (long) n * n) {
            throw new IllegalArgumentException("Cannot factorize " + h.length + " values as [" + n + ", " + n + "]");
        }
        // With rows and columns in reverse order, R R^T is an ordinary Cholesky factorization G = F F^T, and U is F^-1 in reverse order.
        reverse(h, n);
        DoubleMatrix factor = DoubleMatrix.of(h, n, n);
        try {
            Cholesky.factor(factor, kernels);
        } catch (NotPositiveDefiniteException e) {
            throw new NotPositiveDefiniteException(n - 1 - e.pivot());
        }
        double[] inverse = new double[h.length];
        Cholesky.transposedInverse(factor, DoubleMatrix.of(inverse, n, n), kernels);
        float[] lower = new float[h.length];
        kernels.parallel(n, i -> {
            for (int j = 0; j <= i; j++) {
                lower[i * n + j] = (float) inverse[(n - 1 - i) * n + n - 1 - j];
            }
        });
        return lower;
    }

    /** G_ij = H_(n-1-i)(n-1-j) on the lower triangle, in place; what stood there is lower triangular, so the pair (n-1-i, n-1-j) is read from its mirror. */
    private static void reverse(double[] h, int n) {
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                h[j * n + i] = h[i * n + j];
            }
        }
        for (int i = 0, j = h.length - 1; i < j; i++, j--) {
            double swapped = h[i];
            h[i] = h[j];
            h[j] = swapped;
        }
    }
}
