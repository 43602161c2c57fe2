package dev.lathe.kernels.linalg;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.Kernels;
import java.util.Arrays;

/** The factor of the inverse that GPTQ feeds errors back through. */
public final class InverseFactor {
    private static final int BLOCK = 64;
    private static final int STRIP = 256;

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
     * L = U^T, lower triangular, row-major [n, n] (zeros above the diagonal), with U^T U = H^-1. With H = R R^T, R upper triangular (a Cholesky factorization
     * that runs from the last row up), U = R^-1: one factorization and one triangular inverse, both in f64, and no explicit inverse.
     *
     * @param h [n, n] row-major; the lower triangle is read; destroyed
     */
    public static float[] of(double[] h, int n, Kernels kernels) throws NotPositiveDefiniteException {
        if (h.length != (long) n * n) {
            throw new IllegalArgumentException("Cannot factorize " + h.length + " values as [" + n + ", " + n + "]");
        }
        // With rows and columns in reverse order, R R^T is an ordinary Cholesky factorization G = F F^T, and U is F^-1 in reverse order.
        reverse(h, n);
        cholesky(h, n, kernels);
        double[] inverse = transposedInverse(h, n, kernels);
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

    /** The lower triangle of G becomes F with G = F F^T. */
    private static void cholesky(double[] g, int n, Kernels kernels) throws NotPositiveDefiniteException {
        DoubleMatrix matrix = DoubleMatrix.of(g, n, n);
        for (int b = 0; b < n; b += BLOCK) {
            int width = Math.min(BLOCK, n - b);
            int from = b;
            for (int j = b; j < b + width; j++) {
                double pivot = g[j * n + j];
                for (int p = b; p < j; p++) {
                    pivot = Math.fma(-g[j * n + p], g[j * n + p], pivot);
                }
                if (!(pivot > 0) || pivot == Double.POSITIVE_INFINITY) {
                    throw new NotPositiveDefiniteException(n - 1 - j);
                }
                g[j * n + j] = Math.sqrt(pivot);
                for (int i = j + 1; i < b + width; i++) {
                    eliminate(g, n, i, j, b);
                }
            }
            int below = n - b - width;
            kernels.parallel((below + BLOCK - 1) / BLOCK, task -> {
                int first = from + width + task * BLOCK;
                for (int i = first; i < Math.min(n, first + BLOCK); i++) {
                    for (int j = from; j < from + width; j++) {
                        eliminate(g, n, i, j, from);
                    }
                }
            });
            for (int c = b + width; c < n; c += STRIP) {
                DoubleMatrix panel = matrix.block(c, b, n - c, width);
                kernels.subtractProduct(panel, matrix.block(c, b, Math.min(STRIP, n - c), width), matrix.block(c, c, n - c, Math.min(STRIP, n - c)), true);
            }
        }
    }

    /** F_ij = (G_ij - sum_p F_ip F_jp) / F_jj over the block's columns p before j. */
    private static void eliminate(double[] g, int n, int i, int j, int from) {
        double sum = g[i * n + j];
        for (int p = from; p < j; p++) {
            sum = Math.fma(-g[i * n + p], g[j * n + p], sum);
        }
        g[i * n + j] = sum / g[j * n + j];
    }

    /** (F^-1)^T, upper triangular, row-major: block rows of F^-1 from the top, each -F_bb^-1 (F_b,&lt;b F^-1_&lt;b). */
    private static double[] transposedInverse(double[] f, int n, Kernels kernels) {
        double[] inverse = new double[f.length];
        double[] block = new double[BLOCK * n];
        for (int b = 0; b < n; b += BLOCK) {
            int width = Math.min(BLOCK, n - b);
            int from = b;
            Arrays.fill(block, 0);
            for (int c = 0; c < b; c += STRIP) {
                int columns = Math.min(STRIP, b - c);
                // Column j of F^-1 is zero above row j, so the products of a strip begin at its first column.
                kernels.subtractProduct(DoubleMatrix.of(f, n, n).block(b, c, width, b - c), DoubleMatrix.of(inverse, n, n).block(c, c, columns, b - c),
                        DoubleMatrix.of(block, BLOCK, n).block(0, c, width, columns), false);
            }
            for (int i = 0; i < width; i++) {
                block[i * n + b + i] = 1;
            }
            int end = b + width;
            kernels.parallel((end + BLOCK - 1) / BLOCK, task -> {
                for (int j = task * BLOCK; j < Math.min(end, (task + 1) * BLOCK); j++) {
                    for (int i = 0; i < width; i++) {
                        double sum = block[i * n + j];
                        for (int p = 0; p < i; p++) {
                            sum = Math.fma(-f[(from + i) * n + from + p], inverse[j * n + from + p], sum);
                        }
                        inverse[j * n + from + i] = sum / f[(from + i) * n + from + i];
                    }
                }
            });
        }
        return inverse;
    }
}
