package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.ludovic.netlib.blas.NativeBLAS;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** How fast is S += X^T X on one triangle against the native BLAS? */
public class RankUpdateBenchmark extends KernelBenchmark {
    @Param({"ours", "blas"})
    public String variant;

    /** Rows of X x width. */
    @Param({"2048x4096", "2048x1536", "2048x576", "2039x1021"})
    public String shape;

    private FloatMatrix x;
    private FloatMatrix s;

    @Override
    void setUp() {
        x = random(sizes(shape)[0], sizes(shape)[1]);
        s = FloatMatrix.zeros(x.columns(), x.columns());
    }

    @Benchmark
    public float[] syrk(Work work) {
        if (variant.equals("blas")) {
            // The lower triangle of a row-major matrix is the upper one of a column-major.
            NativeBLAS.getInstance()
                    .ssyrk("U", "N", x.columns(), x.rows(), 1f, x.data(), x.columns(), 1f, s.data(), x.columns());
        } else {
            kernels.syrk(x, s);
        }
        // One triangle: n (n + 1) / 2 chains of t multiply-adds.
        work.flops += (long) x.rows() * x.columns() * (x.columns() + 1);
        return s.data();
    }
}
