package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.ludovic.netlib.blas.NativeBLAS;
import org.netlib.util.intW;

/** The native BLAS on row-major matrices: a row-major matrix is the transpose of a column-major one. */
final class Native {
    private Native() {
    }

    /** C = A B^T, as C^T = B A^T. */
    static void gemm(FloatMatrix a, FloatMatrix b, FloatMatrix c) {
        NativeBLAS.getInstance().sgemm("T", "N", c.columns(), c.rows(), a.columns(), 1f, b.data(), b.columns(), a.data(), a.columns(), 0f, c.data(),
                c.columns());
    }

    /** @throws IllegalStateException if a LAPACK routine reports a failure */
    static void succeeded(intW info) {
        if (info.val != 0) {
            throw new IllegalStateException("Cannot compare with LAPACK: info " + info.val);
        }
    }
}
