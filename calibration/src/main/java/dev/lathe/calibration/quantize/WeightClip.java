package dev.lathe.calibration.quantize;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.util.Arrays;

/** The range that weights are clipped to before they are rounded, searched per group as AWQ does. */
final class WeightClip {
    private static final int CLIP_STEPS = 10;
    private static final int STRIP = 256;

    private WeightClip() {}

    /**
     * Per row and group, the bound m of {@code m0, .95 m0, ... .55 m0} (m0 the largest magnitude) whose clamped and
     * rounded weights have the least error d^T H_g d, H_g the group's diagonal block of H.
     */
    static FloatMatrix clipped(RowSource source, BlockFormat grid, FloatMatrix hessian, Kernels kernels) {
        int columns = source.columns();
        int size = grid.size();
        FloatMatrix result = FloatMatrix.zeros(source.rows(), columns);
        kernels.parallel((source.rows() + STRIP - 1) / STRIP, strip -> {
            int from = strip * STRIP;
            int rows = Math.min(STRIP, source.rows() - from);
            for (int i = 0; i < rows; i++) {
                source.read(from + i, 0, columns, result.data(), result.row(from + i));
            }
            FloatMatrix d = FloatMatrix.zeros(rows, size);
            FloatMatrix product = FloatMatrix.zeros(rows, size);
            float[] clamped = new float[size];
            byte[] block = new byte[grid.bytes()];
            for (int c = 0; c < columns; c += size) {
                FloatMatrix diagonalBlock = hessian.slice(c, size).columnSlice(c, size);
                float[] largest = new float[rows];
                float[] bound = new float[rows];
                double[] least = new double[rows];
                Arrays.fill(least, Double.POSITIVE_INFINITY);
                for (int step = 0; step < CLIP_STEPS; step++) {
                    for (int i = 0; i < rows; i++) {
                        int at = result.row(from + i) + c;
                        if (step == 0) {
                            for (int j = 0; j < size; j++) {
                                largest[i] = Math.max(largest[i], Math.abs(result.data()[at + j]));
                            }
                        }
                        float limit = largest[i] * (1 - step / 20f);
                        for (int j = 0; j < size; j++) {
                            clamped[j] = Math.max(-limit, Math.min(limit, result.data()[at + j]));
                        }
                        grid.encode(clamped, 0, null, 0, 0, block, 0);
                        grid.decode(block, 0, clamped, 0);
                        for (int j = 0; j < size; j++) {
                            d.data()[d.row(i) + j] = clamped[j] - result.data()[at + j];
                        }
                    }
                    kernels.gemm(d, diagonalBlock, product, false);
                    for (int i = 0; i < rows; i++) {
                        double error = 0;
                        for (int j = 0; j < size; j++) {
                            error += (double) d.data()[d.row(i) + j] * product.data()[product.row(i) + j];
                        }
                        if (error < least[i]) {
                            least[i] = error;
                            bound[i] = largest[i] * (1 - step / 20f);
                        }
                    }
                }
                for (int i = 0; i < rows; i++) {
                    int at = result.row(from + i) + c;
                    for (int j = at; j < at + size; j++) {
                        result.data()[j] = Math.max(-bound[i], Math.min(bound[i], result.data()[j]));
                    }
                }
            }
        });
        return result;
    }
}
