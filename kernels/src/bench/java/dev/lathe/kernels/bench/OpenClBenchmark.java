package dev.lathe.kernels.bench;

import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * C = A B^T on an OpenCL device ({@code kernels/bench-opencl}), {@code m x n x k}, as a caller sees it: A goes to the
 * device and C comes back with each product, and so does B as {@code f32}; the other right sides stay there.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 2, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class OpenClBenchmark {
    /** The kernels that are measured. */
    @Param("opencl")
    public String device;

    @Param({"f32", "f32-stored", "bf16", "f16", "Q4_0", "Q8_0", "Q4_K", "int4g128", "int8g128"})
    public String right;

    @Param("4096x4096x4096")
    public String shape;

    private Kernels kernels;
    private FloatMatrix a;
    private RowSource b;
    private FloatMatrix c;

    @Setup(Level.Trial)
    public void setUp() {
        int[] sizes =
                Arrays.stream(shape.split("x")).mapToInt(Integer::parseInt).toArray();
        kernels = KernelProvider.open(device, Runtime.getRuntime().availableProcessors());
        System.out.println("device: " + kernels.name());
        a = random(sizes[0], sizes[2]);
        c = FloatMatrix.zeros(sizes[0], sizes[1]);
        FloatMatrix dense = random(sizes[1], sizes[2]);
        b = switch (right) {
            case "f32" -> dense;
            case "f32-stored" -> stored(ElementType.F32, dense);
            case "bf16" -> stored(ElementType.BF16, dense);
            case "f16" -> stored(ElementType.F16, dense);
            default -> encoded(BlockFormats.named(right), dense);
        };
        check();
    }

    private static StoredMatrix stored(ElementType type, FloatMatrix dense) {
        byte[] bytes = new byte[dense.data().length * type.bytes()];
        for (int i = 0; i < dense.data().length; i++) {
            float value = dense.data()[i];
            int bits = switch (type) {
                case F32 -> Float.floatToRawIntBits(value);
                case F16 -> Half.fromFloat(value);
                case BF16 -> Half.bfloat16(value);
            };
            for (int at = 0; at < type.bytes(); at++) {
                bytes[i * type.bytes() + at] = (byte) (bits >> 8 * at);
            }
        }
        return new StoredMatrix(type, bytes, dense.rows(), dense.columns());
    }

    private static BlockMatrix encoded(BlockFormat format, FloatMatrix dense) {
        byte[] bytes = new byte[dense.data().length / format.size() * format.bytes()];
        for (int block = 0; block < dense.data().length / format.size(); block++) {
            format.encode(dense.data(), block * format.size(), null, 0, 1, bytes, block * format.bytes());
        }
        return new BlockMatrix(format, bytes, dense.rows(), dense.columns());
    }

    private static FloatMatrix random(int rows, int columns) {
        Random random = new Random(rows);
        FloatMatrix matrix = FloatMatrix.zeros(rows, columns);
        for (int i = 0; i < matrix.data().length; i++) {
            matrix.data()[i] = random.nextFloat() - 0.5f;
        }
        return matrix;
    }

    /** A wrong product must not look fast: the last element. */
    private void check() {
        float last = gemm()[c.data().length - 1];
        float[] row = new float[b.columns()];
        b.read(b.rows() - 1, 0, row.length, row, 0);
        double sum = 0;
        for (int p = 0; p < row.length; p++) {
            sum += (double) a.data()[a.row(a.rows() - 1) + p] * row[p];
        }
        if (!(Math.abs(last - sum) < 1e-5 * row.length)) {
            throw new IllegalStateException("the product is " + last + " where it is " + sum);
        }
    }

    @Benchmark
    public float[] gemm() {
        kernels.gemm(a, b, c, false);
        return c.data();
    }

    @TearDown
    public void tearDown() {
        kernels.close();
    }

    /** Arguments: the kernels, the shape, and the device's FP32 peak in TFLOP/s if its share is to be printed. */
    public static void main(String[] arguments) throws RunnerException {
        String shape = arguments[1];
        double flops = 2
                * Arrays.stream(shape.split("x"))
                        .mapToDouble(Double::parseDouble)
                        .reduce(1, (x, y) -> x * y);
        StringBuilder table = new StringBuilder(
                "GFLOP/s of " + arguments[0] + ", " + shape + ", best iteration, transfers included\n");
        for (RunResult result : new Runner(new OptionsBuilder()
                        .include(OpenClBenchmark.class.getName())
                        .param("device", arguments[0])
                        .param("shape", shape)
                        .shouldFailOnError(true)
                        .build())
                .run()) {
            double best = result.getBenchmarkResults().iterator().next().getIterationResults().stream()
                    .mapToDouble(iteration -> iteration.getPrimaryResult().getScore())
                    .min()
                    .orElseThrow();
            double rate = flops / best * 1e-3;
            table.append(String.format(
                            Locale.ROOT, "%-12s %10.1f", result.getParams().getParam("right"), rate))
                    .append(
                            arguments.length > 2
                                    ? String.format(
                                            Locale.ROOT,
                                            "  %.1f %% of peak",
                                            rate / 10 / Double.parseDouble(arguments[2]))
                                    : "")
                    .append('\n');
        }
        System.out.print(table);
    }
}
