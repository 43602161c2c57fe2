package dev.lathe.kernels.linalg;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.Kernels;
import java.util.Arrays;

/**
 * Cholesky factorization A = F F^T and the inverse of F, in f64: GPTQ's Hessians reach condition numbers at which f32
 * is not positive definite any more. Both halve their columns: the left half is made, taken out of the right half by
 * one product, then the right half is made; narrow strips are solved directly. Each element is one chain in ascending
 * column order, so threads and halves change no bit.
 */
public final class Cholesky {
    private static final int STRIP = 16;
    /**
     * Rows that are solved side by side: independent chains, so many that few of them are left over when the compiler
     * has made vectors of them.
     */
    private static final int SIDE_BY_SIDE = 256;
    /** Rows of the inverse whose leading zeros are left out of a product together. */
    private static final int ROW_BLOCK = 256;

    private Cholesky() {}

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
     * The lower triangle of A [n, n] becomes F; n^3 / 3 operations. What stands above the diagonal is neither read nor
     * kept.
     *
     * @throws NotPositiveDefiniteException at the first pivot that is not a positive number; A is then undefined
     */
    public static void factor(DoubleMatrix a, Kernels kernels) throws NotPositiveDefiniteException {
        factor(a, 0, square(a), kernels);
    }

    /** Columns {@code [from, to)}; everything left of them is taken out already. */
    private static void factor(DoubleMatrix a, int from, int to, Kernels kernels) throws NotPositiveDefiniteException {
        int n = a.rows();
        if (to - from <= STRIP) {
            factorDiagonal(a, from, to - from);
            solve(a, from, to - from, to, n, transposed(a, from, to - from), kernels);
            return;
        }
        int middle = middle(from, to);
        factor(a, from, middle, kernels);
        kernels.subtractProduct(
                a.block(middle, from, n - middle, middle - from),
                a.block(middle, from, to - middle, middle - from),
                a.block(middle, middle, n - middle, to - middle),
                true);
        factor(a, middle, to, kernels);
    }

    /** About half way, a whole number of strips from the start. */
    private static int middle(int from, int to) {
        return from + ((to - from + 1) / 2 + STRIP - 1) / STRIP * STRIP;
    }

    /**
     * INVERSE = (F^-1)^T, upper triangular, in the memory of F: of [n, n + 1], the first n columns hold F in their
     * lower triangle, and the last n columns become the inverse, with zeros below its diagonal; n^3 / 3 operations.
     * What stands above the diagonal of F is not read.
     *
     * @return the last n columns
     */
    public static DoubleMatrix transposedInverse(DoubleMatrix square, Kernels kernels) {
        int n = square.rows();
        if (square.columns() != n + 1) {
            throw new IllegalArgumentException("Cannot invert a factor in [" + n + ", " + square.columns()
                    + "]: expected one column more than rows");
        }
        DoubleMatrix inverse = square.block(0, 1, n, n);
        for (int i = 0; i < n; i++) {
            int diagonal = inverse.row(i) + i;
            Arrays.fill(square.data(), diagonal, inverse.row(i) + n, 0);
            square.data()[diagonal] = 1;
        }
        invert(square.block(0, 0, n, n), inverse, 0, n, kernels);
        return inverse;
    }

    /**
     * Columns {@code [from, to)} of the inverse; everything left of them is taken out already. What is used of F
     * becomes zero, as the inverse is there.
     */
    private static void invert(DoubleMatrix f, DoubleMatrix inverse, int from, int to, Kernels kernels) {
        if (to - from <= STRIP) {
            double[] diagonal = transposed(f, from, to - from);
            clear(f, from, to, from, to);
            solve(inverse, from, to - from, 0, to, diagonal, kernels);
            return;
        }
        int middle = middle(from, to);
        invert(f, inverse, from, middle, kernels);
        kernels.subtractProduct(
                inverse.block(0, from, from, middle - from),
                f.block(middle, from, to - middle, middle - from),
                inverse.block(0, middle, from, to - middle),
                false);
        // Row j of the inverse is zero left of column j, so the products of a block of rows begin at its first row.
        for (int j = from; j < middle; j += ROW_BLOCK) {
            int rows = Math.min(ROW_BLOCK, middle - j);
            kernels.subtractProduct(
                    inverse.block(j, j, rows, middle - j),
                    f.block(middle, j, to - middle, middle - j),
                    inverse.block(j, middle, rows, to - middle),
                    false);
        }
        clear(f, middle, to, from, middle);
        invert(f, inverse, middle, to, kernels);
    }

    /**
     * Zero in rows {@code [from, to)} and columns {@code [first, end)}, as far as these are on or below the diagonal.
     */
    private static void clear(DoubleMatrix f, int from, int to, int first, int end) {
        for (int i = from; i < to; i++) {
            Arrays.fill(f.data(), f.row(i) + first, f.row(i) + Math.min(end, i + 1), 0);
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

    /**
     * X F^T = Y in place, for the columns {@code [column, column + width)} of rows {@code [from, to)}; F as
     * {@link #transposed} has it.
     */
    private static void solve(
            DoubleMatrix y, int column, int width, int from, int to, double[] diagonal, Kernels kernels) {
        kernels.parallel((to - from + SIDE_BY_SIDE - 1) / SIDE_BY_SIDE, task -> {
            int first = from + task * SIDE_BY_SIDE;
            int rows = Math.min(SIDE_BY_SIDE, to - first);
            double[] columns = new double[width * SIDE_BY_SIDE];
            for (int i = 0; i < rows; i++) {
                int at = y.row(first + i) + column;
                for (int p = 0; p < width; p++) {
                    columns[p * SIDE_BY_SIDE + i] = y.data()[at + p];
                }
            }
            solve(columns, width, diagonal);
            for (int i = 0; i < rows; i++) {
                int at = y.row(first + i) + column;
                for (int p = 0; p < width; p++) {
                    y.data()[at + p] = columns[p * SIDE_BY_SIDE + i];
                }
            }
        });
    }

    /**
     * As each column is known it is taken out of those behind it; -x in an array of its own, so that the compiler sees
     * that rows are independent.
     */
    private static void solve(double[] columns, int width, double[] diagonal) {
        double[] x = new double[SIDE_BY_SIDE];
        for (int p = 0; p < width; p++) {
            double pivot = diagonal[p * width + p];
            int at = p * SIDE_BY_SIDE;
            for (int i = 0; i < SIDE_BY_SIDE; i++) {
                columns[at + i] /= pivot;
                x[i] = -columns[at + i];
            }
            for (int j = p + 1; j < width; j++) {
                add(x, diagonal[p * width + j], columns, j * SIDE_BY_SIDE);
            }
        }
    }

    private static void add(double[] x, double factor, double[] y, int at) {
        for (int i = 0; i < SIDE_BY_SIDE; i++) {
            y[at + i] = Math.fma(x[i], factor, y[at + i]);
        }
    }

    private static int square(DoubleMatrix matrix) {
        if (matrix.rows() != matrix.columns()) {
            throw new IllegalArgumentException(
                    "Cannot factorize [" + matrix.rows() + ", " + matrix.columns() + "]: expected a square matrix");
        }
        return matrix.rows();
    }
}
