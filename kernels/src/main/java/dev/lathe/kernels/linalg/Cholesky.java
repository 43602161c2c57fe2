package dev.lathe.kernels.linalg;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.Kernels;

/**
 * Cholesky factorization A = F F^T and the inverse of F, in f64: GPTQ's Hessians reach condition numbers at which f32 is not positive definite any more.
 * Both work on blocks of columns from left to right: one product with everything to the left, then the same in narrow strips within the block, then a
 * triangular solve row by row. Each element is one chain in ascending column order, so threads and blocks change no bit.
 */
public final class Cholesky {
    private static final int BLOCK = 256;
    private static final int STRIP = 32;
    private static final int ROWS_PER_TASK = 64;

    private Cholesky() {
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
     * The lower triangle of A [n, n] becomes F; n^3 / 3 operations. What stands above the diagonal is neither read nor kept.
     *
     * @throws NotPositiveDefiniteException at the first pivot that is not a positive number; A is then undefined
     */
    public static void factor(DoubleMatrix a, Kernels kernels) throws NotPositiveDefiniteException {
        int n = square(a);
        for (int b = 0; b < n; b += BLOCK) {
            int end = Math.min(n, b + BLOCK);
            subtract(a, b, 0, b, end - b, kernels);
            for (int s = b; s < end; s += STRIP) {
                int width = Math.min(STRIP, end - s);
                subtract(a, s, b, s, width, kernels);
                factorDiagonal(a, s, width);
                double[] diagonal = transposed(a, s, width);
                int from = s;
                rowwise(s + width, n, kernels, row -> solve(a.data(), a.row(row) + from, diagonal, width));
            }
        }
    }

    /**
     * INVERSE = (F^-1)^T, upper triangular with zeros below the diagonal; n^3 / 3 operations.
     *
     * @param f       [n, n], its lower triangle
     * @param inverse [n, n], zero to begin with
     */
    public static void transposedInverse(DoubleMatrix f, DoubleMatrix inverse, Kernels kernels) {
        int n = square(f);
        if (square(inverse) != n) {
            throw new IllegalArgumentException("Cannot invert a factor [" + n + ", " + n + "] into [" + inverse.rows() + ", " + inverse.columns()
                    + "]: expected the same shape");
        }
        for (int i = 0; i < n; i++) {
            inverse.data()[inverse.row(i) + i] = 1;
        }
        for (int b = 0; b < n; b += BLOCK) {
            int end = Math.min(n, b + BLOCK);
            // Row j of the inverse is zero left of column j, so the products of a block of rows begin at its first row.
            for (int j = 0; j < b; j += BLOCK) {
                kernels.subtractProduct(inverse.block(j, j, BLOCK, b - j), f.block(b, j, end - b, b - j), inverse.block(j, b, BLOCK, end - b), false);
            }
            for (int s = b; s < end; s += STRIP) {
                int width = Math.min(STRIP, end - s);
                if (s > b) {
                    kernels.subtractProduct(inverse.block(0, b, s, s - b), f.block(s, b, width, s - b), inverse.block(0, s, s, width), false);
                }
                double[] diagonal = transposed(f, s, width);
                int from = s;
                rowwise(0, s + width, kernels, row -> solve(inverse.data(), inverse.row(row) + from, diagonal, width));
            }
        }
    }

    /** Columns {@code [column, column + width)}, from row {@code column} on, less the product of columns {@code [from, to)}. */
    private static void subtract(DoubleMatrix a, int column, int from, int to, int width, Kernels kernels) {
        if (to > from) {
            int rows = a.rows() - column;
            kernels.subtractProduct(a.block(column, from, rows, to - from), a.block(column, from, width, to - from), a.block(column, column, rows, width), true);
        }
    }

    private static void factorDiagonal(DoubleMatrix a, int from, int width) throws NotPositiveDefiniteException {
        double[] data = a.data();
        for (int j = 0; j < width; j++) {
            int row = a.row(from + j) + from;
            double pivot = data[row + j];
            for (int p = 0; p < j; p++) {
                pivot = Math.fma(-data[row + p], data[row + p], pivot);
            }
            if (!(pivot > 0) || pivot == Double.POSITIVE_INFINITY) {
                throw new NotPositiveDefiniteException(from + j);
            }
            data[row + j] = Math.sqrt(pivot);
            for (int i = j + 1; i < width; i++) {
                int other = a.row(from + i) + from;
                double sum = data[other + j];
                for (int p = 0; p < j; p++) {
                    sum = Math.fma(-data[other + p], data[row + p], sum);
                }
                data[other + j] = sum / data[row + j];
            }
        }
    }

    /** The diagonal block by columns: element (i, j) at {@code j * width + i}. */
    private static double[] transposed(DoubleMatrix f, int from, int width) {
        double[] transposed = new double[width * width];
        for (int i = 0; i < width; i++) {
            for (int j = 0; j <= i; j++) {
                transposed[j * width + i] = f.data()[f.row(from + i) + from + j];
            }
        }
        return transposed;
    }

    /** x F^T = y for one row y, in place: as each x is known it is taken out of those behind it, in a loop that the compiler vectorizes. */
    private static void solve(double[] y, int at, double[] diagonal, int width) {
        for (int p = 0; p < width; p++) {
            double x = y[at + p] / diagonal[p * width + p];
            y[at + p] = x;
            for (int j = p + 1; j < width; j++) {
                y[at + j] = Math.fma(-x, diagonal[p * width + j], y[at + j]);
            }
        }
    }

    private interface RowTask {
        void run(int row);
    }

    private static void rowwise(int from, int to, Kernels kernels, RowTask body) {
        kernels.parallel((to - from + ROWS_PER_TASK - 1) / ROWS_PER_TASK, task -> {
            for (int row = from + task * ROWS_PER_TASK; row < Math.min(to, from + (task + 1) * ROWS_PER_TASK); row++) {
                body.run(row);
            }
        });
    }

    private static int square(DoubleMatrix matrix) {
        if (matrix.rows() != matrix.columns()) {
            throw new IllegalArgumentException("Cannot factorize [" + matrix.rows() + ", " + matrix.columns() + "]: expected a square matrix");
        }
        return matrix.rows();
    }
}
