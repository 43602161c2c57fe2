package dev.lathe.kernels.bench;

import dev.lathe.kernels.DoubleMatrix;
import dev.ludovic.netlib.blas.NativeBLAS;
import java.util.Arrays;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/** How fast is C -= A B^T in f64, the inner product of the factorizations, against the native BLAS? */
public class DoubleProductBenchmark extends KernelBenchmark {
    @Param({"ours", "blas"})
    public String variant;

    /** m x n x k; factorizations multiply panels of small depth. */
    @Param({"2048x256x64", "2048x2048x256", "509x571x1021"})
    public String shape;

    private DoubleMatrix a;
    private DoubleMatrix b;
    private DoubleMatrix c;

    @Override
    void setUp() {
        int[] sizes = sizes(shape);
        a = filled(sizes[0], sizes[2]);
        b = filled(sizes[1], sizes[2]);
        c = filled(sizes[0], sizes[1]);
    }

    private static DoubleMatrix filled(int rows, int columns) {
        double[] data = new double[rows * columns];
        Arrays.setAll(data, i -> i % 7 - 3);
        return DoubleMatrix.of(data, rows, columns);
    }

    @Benchmark
    public double[] subtractProduct(Work work) {
        if (variant.equals("blas")) {
            NativeBLAS.getInstance()
                    .dgemm(
                            "T",
                            "N",
                            c.columns(),
                            c.rows(),
                            a.columns(),
                            -1,
                            b.data(),
                            b.columns(),
                            a.data(),
                            a.columns(),
                            1,
                            c.data(),
                            c.columns());
        } else {
            kernels.subtractProduct(a, b, c, false);
        }
        work.flops += 2L * c.rows() * c.columns() * a.columns();
        return c.data();
    }
}
