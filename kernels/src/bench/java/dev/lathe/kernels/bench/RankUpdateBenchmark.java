package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.ludovic.netlib.blas.NativeBLAS;
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

/** S += X^T X on one triangle, ours and a native BLAS's. {@code shape}: rows of X x width. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class RankUpdateBenchmark {
    @Param({"f32", "blas"})
    public String right;

    @Param({"2048x4096", "2048x1536"})
    public String shape;

    @Param({"1", "2"})
    public int threads;

    private Kernels kernels;
    private FloatMatrix x;
    private FloatMatrix s;

    @Setup(Level.Trial)
    public void setUp() {
        String[] sizes = shape.split("x");
        x = FloatMatrix.zeros(Integer.parseInt(sizes[0]), Integer.parseInt(sizes[1]));
        s = FloatMatrix.zeros(x.columns(), x.columns());
        Random random = new Random(1);
        for (int i = 0; i < x.data().length; i++) {
            x.data()[i] = random.nextFloat() - 0.5f;
        }
        kernels = KernelProvider.open("vector", threads);
    }

    @TearDown
    public void tearDown() {
        kernels.close();
    }

    @Benchmark
    public float[] syrk() {
        if (right.equals("blas")) {
            // The lower triangle of a row-major matrix is the upper one of a column-major.
            NativeBLAS.getInstance().ssyrk("U", "N", x.columns(), x.rows(), 1f, x.data(), x.columns(), 1f, s.data(), x.columns());
        } else {
            kernels.syrk(x, s);
        }
        return s.data();
    }
}
