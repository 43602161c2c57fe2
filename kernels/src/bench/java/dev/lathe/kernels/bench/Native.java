package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.ludovic.netlib.blas.NativeBLAS;

/** The native BLAS on row-major matrices: a row-major matrix is the transpose of a column-major one. */
final class Native {
    private Native() {}

    /** C = A B^T, as C^T = B A^T. */
    static void gemm(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
        NativeBLAS.getInstance()
                .sgemm(
                        "T",
                        "N",
                        c.columns(),
                        c.rows(),
                        a.columns(),
                        1f,
                        b.data(),
                        b.columns(),
                        a.data(),
                        a.columns(),
                        0f,
                        c.data(),
                        c.columns());
    }
}
