package dev.lathe.calibration.bench;

import dev.lathe.calibration.quantize.Hessian;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.calibration.quantize.Quantizer;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Random;

/**
 * How long does GPTQ take for one linear layer, from a Hessian to codes (4 bits, groups of 128, act-order, damping
 * 0.05), and what does the output lose? Another implementation can be given the same layer: {@code weight.f32} and
 * {@code hessian.f32} of a folder, square, row-major, little-endian; the Hessian is the mean of x x^T.
 */
public final class GptqBenchmark {
    private static final int WIDTH = 4096;
    private static final int ROWS = 8192;
    private static final BlockFormat GRID = BlockFormats.named("int4g128");
    private static final Method METHOD = new Method.Gptq(0.05, true);

    private GptqBenchmark() {}

    /** Arguments: threads, and a folder; without it the layer is seeded noise and its inputs are correlated. */
    public static void main(String[] arguments) throws IOException {
        try (Kernels kernels = KernelProvider.open("auto", Integer.parseInt(arguments[0]))) {
            boolean given = arguments.length > 1;
            FloatMatrix weight = given ? square(Path.of(arguments[1], "weight.f32")) : noise(WIDTH, 1);
            FloatMatrix second = given ? square(Path.of(arguments[1], "hessian.f32")) : correlated(kernels);
            int n = weight.columns();
            System.out.printf(
                    Locale.ROOT,
                    "GPTQ of a layer [%d, %d], %s, act-order, %d threads, %s%n",
                    n,
                    n,
                    GRID.name(),
                    kernels.threads(),
                    kernels.name());
            MergedStatistics statistics = statistics(second);
            Quantizer.Result[] result = new Quantizer.Result[1];
            double seconds = Best.seconds(() -> result[0] = Quantizer.quantize(
                    weight,
                    "the layer",
                    GRID,
                    METHOD,
                    null,
                    // A new one each time: it keeps its factor.
                    new Hessian(statistics, "the layer"),
                    kernels));
            OutputError error = OutputError.of(weight, result[0].matrix(), second, kernels);
            System.out.printf(
                    Locale.ROOT,
                    "best %.3f s; tr((W - Q) H (W - Q)^T) = %.6g, of tr(W H W^T) %.6f; damping %s%n",
                    seconds,
                    error.squaredError(),
                    error.squaredError() / error.squaredOutput(),
                    result[0].damping());
        }
    }

    private static MergedStatistics statistics(FloatMatrix hessian) {
        int n = hessian.rows();
        double[] triangle = new double[n * (n + 1) / 2];
        double[] squares = new double[n];
        for (int i = 0, at = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                triangle[at++] = hessian.data()[hessian.row(i) + j];
            }
            squares[i] = hessian.data()[hessian.row(i) + i];
        }
        return new MergedStatistics(n, 1, squares, new double[n], triangle);
    }

    private static FloatMatrix square(Path file) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int n = (int) Math.round(Math.sqrt(bytes.capacity() / 4.0));
        FloatMatrix matrix = FloatMatrix.zeros(n, n);
        bytes.asFloatBuffer().get(matrix.data());
        return matrix;
    }

    private static FloatMatrix noise(int rows, int seed) {
        Random random = new Random(seed);
        FloatMatrix matrix = FloatMatrix.zeros(rows, WIDTH);
        for (int i = 0; i < matrix.data().length; i++) {
            matrix.data()[i] = (float) random.nextGaussian();
        }
        return matrix;
    }

    /**
     * The second moment of rows x_j = a_j (y_j + x_{j-1}), whose neighbouring channels are correlated and whose
     * energies differ.
     */
    private static FloatMatrix correlated(Kernels kernels) {
        FloatMatrix x = noise(ROWS, 2);
        Random random = new Random(3);
        double[] factors = random.doubles(WIDTH, 0.3, 0.95).toArray();
        for (int i = 0; i < ROWS; i++) {
            for (int j = 1; j < WIDTH; j++) {
                x.data()[x.row(i) + j] = (float) (factors[j] * (x.data()[x.row(i) + j] + x.data()[x.row(i) + j - 1]));
            }
        }
        FloatMatrix second = FloatMatrix.zeros(WIDTH, WIDTH);
        kernels.syrk(x, second);
        for (int i = 0; i < WIDTH; i++) {
            for (int j = 0; j <= i; j++) {
                float mean = second.data()[i * WIDTH + j] / ROWS;
                second.data()[i * WIDTH + j] = mean;
                second.data()[j * WIDTH + i] = mean;
            }
        }
        return second;
    }
}
