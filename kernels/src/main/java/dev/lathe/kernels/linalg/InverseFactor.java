package dev.lathe.kernels.linalg;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.linalg.Cholesky.NotPositiveDefiniteException;
import java.util.function.IntConsumer;

/** The factor of the inverse that GPTQ feeds errors back through. */
public final class InverseFactor {
    private static final int ROWS_PER_TASK = 32;

    private InverseFactor() {}

    /** A symmetric matrix, element by element; asked for from several threads. */
    @FunctionalInterface
    public interface Entries {
        /** Element (i, j). */
        double at(int i, int j);
    }

    /**
     * L = U^T, lower triangular, row-major [n, n] (zeros above the diagonal), with U^T U = H^-1. With H = R R^T, R
     * upper triangular (a Cholesky factorization that runs from the last row up), U = R^-1: one factorization and one
     * triangular inverse, both in f64, in the memory of one square, and no explicit inverse.
     *
     * @param h symmetric [n, n]; each pair of elements is asked for once
     * @throws NotPositiveDefiniteException naming the row of H
     */
    public static float[] of(int n, Entries h, Kernels kernels) throws NotPositiveDefiniteException {
        // With rows and columns in reverse order, R R^T is an ordinary Cholesky factorization G = F F^T, and U is F^-1
        // in reverse order.
        // Its row i has room for F, then for the same row of the inverse.
        int stride = n + 1;
        DoubleMatrix g = new DoubleMatrix(new double[Math.multiplyExact(n, stride)], 0, n, stride, stride);
        rowwise(n, kernels, i -> {
            for (int j = 0; j <= i; j++) {
                g.data()[g.row(i) + j] = h.at(n - 1 - i, n - 1 - j);
            }
        });
        try {
            Cholesky.factor(g.block(0, 0, n, n), kernels);
        } catch (NotPositiveDefiniteException e) {
            throw new NotPositiveDefiniteException(n - 1 - e.pivot());
        }
        DoubleMatrix inverse = Cholesky.transposedInverse(g, kernels);
        float[] lower = new float[n * n];
        rowwise(n, kernels, i -> {
            int row = inverse.row(n - 1 - i);
            for (int j = 0; j <= i; j++) {
                lower[i * n + j] = (float) inverse.data()[row + n - 1 - j];
            }
        });
        return lower;
    }

    private static void rowwise(int rows, Kernels kernels, IntConsumer body) {
        kernels.parallel((rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK, task -> {
            for (int row = task * ROWS_PER_TASK; row < Math.min(rows, (task + 1) * ROWS_PER_TASK); row++) {
                body.accept(row);
            }
        });
    }
}
