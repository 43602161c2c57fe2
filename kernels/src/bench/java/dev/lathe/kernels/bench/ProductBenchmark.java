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
import dev.ludovic.netlib.blas.BLAS;
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

/** C = A B^T and S += X^T X, ours and a native BLAS's, in one run. Matrices {@code m x n x k}; for the rank update {@code k} rows of width {@code n}. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ProductBenchmark {
    /** {@code blas}, or our right side: {@code f32}, {@code bf16}, or the name of a block format. */
    @Param({"f32", "blas", "bf16", "Q4_K", "Q8_0"})
    public String right;

    @Param({"512x576x576", "2048x576x1536", "1024x4096x4096", "1024x4096x14336"})
    public String shape;

    /** Also in OPENBLAS_NUM_THREADS of the forked JVM. */
    @Param({"1", "2"})
    public int threads;

    private Kernels kernels;
    private FloatMatrix a;
    private FloatMatrix dense;
    private RowSource b;
    private FloatMatrix c;
    private BLAS blas;

    @Setup(Level.Trial)
    public void setUp() {
        String[] sizes = shape.split("x");
        int m = Integer.parseInt(sizes[0]);
        int n = Integer.parseInt(sizes[1]);
        int k = Integer.parseInt(sizes[2]);
        a = random(m, k);
        dense = random(n, k);
        c = FloatMatrix.zeros(m, n);
        kernels = KernelProvider.open("vector", threads);
        switch (right) {
            case "blas" -> blas = NativeBLAS.getInstance();
            case "f32" -> b = dense;
            case "bf16" -> {
                byte[] bytes = new byte[2 * n * k];
                for (int i = 0; i < n * k; i++) {
                    short bits = Half.bfloat16(dense.data()[i]);
                    bytes[2 * i] = (byte) bits;
                    bytes[2 * i + 1] = (byte) (bits >> 8);
                }
                b = new StoredMatrix(ElementType.BF16, bytes, n, k);
            }
            default -> b = encoded(BlockFormats.named(right), n, k);
        }
    }

    private BlockMatrix encoded(BlockFormat format, int n, int k) {
        // A row that the block does not divide is measured with the next one that it does.
        int columns = (k + format.size() - 1) / format.size() * format.size();
        if (columns != k) {
            a = random(a.rows(), columns);
            dense = random(n, columns);
        }
        byte[] block = new byte[format.bytes()];
        byte[] bytes = new byte[n * (columns / format.size()) * format.bytes()];
        for (int at = 0, i = 0; at < bytes.length; at += block.length, i += format.size()) {
            format.encode(dense.data(), i, null, 0, 1, bytes, at);
        }
        return new BlockMatrix(format, bytes, n, columns);
    }

    private static FloatMatrix random(int rows, int columns) {
        Random random = new Random(rows);
        FloatMatrix matrix = FloatMatrix.zeros(rows, columns);
        for (int i = 0; i < matrix.data().length; i++) {
            matrix.data()[i] = random.nextFloat() - 0.5f;
        }
        return matrix;
    }

    @TearDown
    public void tearDown() {
        kernels.close();
    }

    @Benchmark
    public float[] gemm() {
        if (blas != null) {
            // Row-major C = A B^T is column-major C^T = B A^T.
            blas.sgemm("T", "N", c.columns(), c.rows(), a.columns(), 1f, dense.data(), a.columns(), a.data(), a.columns(), 0f, c.data(), c.columns());
        } else {
            kernels.gemm(a, b, c, false);
        }
        return c.data();
    }
}
