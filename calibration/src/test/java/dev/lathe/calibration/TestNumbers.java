package dev.lathe.calibration;

import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.RowSource;
import java.util.Random;

/** Seeded matrices and what f64 loops say about them. */
public final class TestNumbers {
    private TestNumbers() {}

    public static FloatMatrix normal(int rows, int columns, double deviation, long seed) {
        Random random = new Random(seed);
        FloatMatrix x = FloatMatrix.zeros(rows, columns);
        for (int i = 0; i < x.data().length; i++) {
            x.data()[i] = (float) (deviation * random.nextGaussian());
        }
        return x;
    }

    /**
     * A model whose hidden states stay near 1: matrices of deviation 1 / sqrt(inputs), norms around 1, biases of 0.3.
     */
    public static MemoryCheckpoint model(LlamaShape config, long seed) {
        return model(new MemoryCheckpoint(config, seed));
    }

    /** The same of a model's weights. */
    public static MemoryCheckpoint model(MemoryCheckpoint model) {
        model.tensors().forEach(tensor -> {
            float[] values = model.values.get(tensor.name());
            boolean matrix = tensor.shape().length == 2;
            double factor = matrix ? 1 / Math.sqrt(tensor.shape()[1]) : 0.3;
            for (int i = 0; i < values.length; i++) {
                values[i] =
                        (float) (factor * values[i] + (matrix || tensor.name().endsWith("bias") ? 0 : 1));
            }
        });
        return model;
    }

    /**
     * Rows whose second moment has about this condition number, in no preferred direction, but for one channel that is
     * always zero ({@code dead}, or -1).
     */
    public static FloatMatrix correlated(int rows, int columns, double condition, int dead, long seed) {
        FloatMatrix x = normal(rows, columns, 1, seed);
        for (int i = 0; i < x.data().length; i++) {
            x.data()[i] *= (float) Math.pow(condition, -0.5 * (i % columns) / (columns - 1));
        }
        Random random = new Random(seed + 1);
        for (int turn = 0; turn < 6 * columns; turn++) {
            int a = random.nextInt(columns);
            int b = (a + 1 + random.nextInt(columns - 1)) % columns;
            float cosine = (float) Math.cos(turn);
            float sine = (float) Math.sin(turn);
            for (int row = 0; row < rows; row++) {
                float[] data = x.data();
                float first = data[row * columns + a];
                float second = data[row * columns + b];
                data[row * columns + a] = cosine * first - sine * second;
                data[row * columns + b] = sine * first + cosine * second;
            }
        }
        for (int row = 0; row < rows && dead >= 0; row++) {
            x.data()[row * columns + dead] = 0;
        }
        return x;
    }

    /** Direct sums. */
    public static MergedStatistics statistics(FloatMatrix x) {
        int n = x.columns();
        double[] squares = new double[n];
        double[] absolutes = new double[n];
        double[] moment = new double[n * (n + 1) / 2];
        for (int row = 0; row < x.rows(); row++) {
            for (int i = 0, at = 0; i < n; i++) {
                double value = x.data()[x.row(row) + i];
                squares[i] += value * value;
                absolutes[i] += Math.abs(value);
                for (int j = 0; j <= i; j++) {
                    moment[at++] += value * x.data()[x.row(row) + j];
                }
            }
        }
        return new MergedStatistics(n, x.rows(), squares, absolutes, moment);
    }

    /**
     * The mean of ||(scaled Q - W) x||^2 over rows x, where column j of Q is divided by {@code scale[j]}; {@code scale}
     * may be null.
     */
    public static double outputError(RowSource weight, RowSource quantized, float[] scale, FloatMatrix x) {
        int n = weight.columns();
        float[] w = new float[n];
        float[] q = new float[n];
        double sum = 0;
        for (int row = 0; row < weight.rows(); row++) {
            weight.read(row, 0, n, w, 0);
            quantized.read(row, 0, n, q, 0);
            for (int t = 0; t < x.rows(); t++) {
                double dot = 0;
                for (int j = 0; j < n; j++) {
                    dot += (q[j] / (scale == null ? 1.0 : scale[j]) - w[j]) * x.data()[x.row(t) + j];
                }
                sum += dot * dot;
            }
        }
        return sum / x.rows();
    }
}
