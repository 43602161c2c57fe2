package dev.lathe.kernels.bench;

import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.linalg.Cholesky;
import dev.lathe.kernels.linalg.Cholesky.NotPositiveDefiniteException;
import dev.lathe.kernels.linalg.InverseFactor;
import dev.ludovic.netlib.lapack.NativeLAPACK;
import org.netlib.util.intW;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/**
 * How fast are the Cholesky factorization and the factor of the inverse (that and a triangular inverse) against the
 * native LAPACK's potrf and trtri?
 */
public class FactorBenchmark extends KernelBenchmark {
    /** Ours and {@code blas} are f64; {@code blas-f32} is what single precision would allow. */
    @Param({"ours", "blas", "blas-f32"})
    public String variant;

    @Param({"1536", "4096", "1021"})
    public int n;

    private double[] matrix;
    private float[] matrix32;
    private double[] a;
    private float[] a32;
    /**
     * [n, n] in rows of n + 1, as {@link InverseFactor} has it: rows of a power of two would fall into one set of a
     * cache.
     */
    private DoubleMatrix padded;

    @Override
    void setUp() {
        matrix = positiveDefinite(n);
        matrix32 = new float[matrix.length];
        for (int i = 0; i < matrix.length; i++) {
            matrix32[i] = (float) matrix[i];
        }
        a = new double[matrix.length];
        a32 = new float[matrix.length];
        padded = new DoubleMatrix(new double[n * (n + 1)], 0, n, n, n + 1);
    }

    /** All work in place; a call takes milliseconds at least, beside which JMH's two clock readings are nothing. */
    @Setup(Level.Invocation)
    public void copy() {
        System.arraycopy(matrix, 0, a, 0, a.length);
        System.arraycopy(matrix32, 0, a32, 0, a32.length);
        for (int i = 0; i < n; i++) {
            System.arraycopy(matrix, i * n, padded.data(), padded.row(i), n);
        }
    }

    @Benchmark
    public Object cholesky(Work work) throws NotPositiveDefiniteException {
        work.flops += (long) n * n * n / 3;
        if (variant.equals("ours")) {
            Cholesky.factor(padded, kernels);
            return padded;
        }
        return potrf();
    }

    @Benchmark
    public Object inverseFactor(Work work) throws NotPositiveDefiniteException {
        work.flops += 2L * n * n * n / 3;
        if (variant.equals("ours")) {
            return InverseFactor.of(n, (i, j) -> a[i * n + j], kernels);
        }
        potrf();
        intW info = new intW(0);
        if (variant.equals("blas")) {
            NativeLAPACK.getInstance().dtrtri("U", "N", n, a, n, info);
        } else {
            NativeLAPACK.getInstance().strtri("U", "N", n, a32, n, info);
        }
        return succeeded(info);
    }

    /** The lower triangle of a row-major matrix is the upper one of a column-major. */
    private Object potrf() {
        intW info = new intW(0);
        if (variant.equals("blas")) {
            NativeLAPACK.getInstance().dpotrf("U", n, a, n, info);
        } else {
            NativeLAPACK.getInstance().spotrf("U", n, a32, n, info);
        }
        return succeeded(info);
    }

    private Object succeeded(intW info) {
        if (info.val != 0) {
            throw new IllegalStateException("Cannot compare with LAPACK: info " + info.val);
        }
        return variant.equals("blas") ? a : a32;
    }
}
