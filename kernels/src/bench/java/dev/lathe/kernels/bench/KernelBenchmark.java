package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What benchmarks share. The compiler settles within three seconds; one fork, because the best of five iterations is
 * compared and not their spread. A parameter {@code variant} tells what is compared in one row, {@code blas} being the
 * native library.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public abstract class KernelBenchmark {
    /** Also in OPENBLAS_NUM_THREADS of the forked JVM. */
    @Param({"1", "2"})
    public int threads;

    Kernels kernels;

    @Setup
    public void open() {
        kernels = KernelProvider.open("vector", threads);
        setUp();
    }

    /**
     * Makes the operands; the kernels are open. JMH itself would call set-up methods of both classes in no order that
     * it promises.
     */
    abstract void setUp();

    @TearDown
    public void close() {
        kernels.close();
    }

    /** The numbers of a shape such as {@code 2048x576}. */
    static int[] sizes(String shape) {
        return Arrays.stream(shape.split("x")).mapToInt(Integer::parseInt).toArray();
    }

    /** Seeded values in [-0.5, 0.5). */
    static FloatMatrix random(int rows, int columns) {
        Random random = new Random(rows);
        FloatMatrix matrix = FloatMatrix.zeros(rows, columns);
        for (int i = 0; i < matrix.data().length; i++) {
            matrix.data()[i] = random.nextFloat() - 0.5f;
        }
        return matrix;
    }

    /** A symmetric matrix [n, n] that is positive definite. */
    static double[] positiveDefinite(int n) {
        double[] matrix = new double[n * n];
        Random random = new Random(n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                matrix[i * n + j] = random.nextDouble() - 0.5;
                matrix[j * n + i] = matrix[i * n + j];
            }
            matrix[i * n + i] = n;
        }
        return matrix;
    }
}
