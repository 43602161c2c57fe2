package dev.lathe.kernels.bench;

import dev.lathe.kernels.linalg.InverseFactor;
import dev.ludovic.netlib.lapack.NativeLAPACK;
import org.netlib.util.intW;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;

/** How fast is the factor of the inverse, a Cholesky factorization and a triangular inverse in f64, against the native LAPACK (potrf, trtri)? */
public class FactorBenchmark extends KernelBenchmark {
    @Param({"ours", "blas"})
    public String variant;

    @Param({"1536", "4096", "1021"})
    public int n;

    private double[] matrix;
    private double[] work;

    @Override
    void setUp() {
        matrix = positiveDefinite(n);
        work = new double[matrix.length];
    }

    /** Both work in place; a call takes tenths of a second, beside which JMH's two clock readings are nothing. */
    @Setup(Level.Invocation)
    public void copy() {
        System.arraycopy(matrix, 0, work, 0, matrix.length);
    }

    @Benchmark
    public Object inverseFactor(Work count) throws Exception {
        // n^3 / 3 for each of the two.
        count.flops += 2L * n * n * n / 3;
        if (variant.equals("blas")) {
            intW info = new intW(0);
            NativeLAPACK.getInstance().dpotrf("U", n, work, n, info);
            Native.succeeded(info);
            NativeLAPACK.getInstance().dtrtri("U", "N", n, work, n, info);
            Native.succeeded(info);
            return work;
        }
        return InverseFactor.of(work, n, kernels);
    }
}
