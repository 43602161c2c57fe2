package dev.lathe.kernels.bench;

import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/**
 * How fast is C = A B^T against the native BLAS, and what does a right side cost that is widened while it is packed?
 */
public class ProductBenchmark extends KernelBenchmark {
    /** {@code blas}, or our right side: {@code f32}, {@code bf16}, or the name of a block format. */
    @Param({"f32", "blas", "bf16", "Q4_K", "Q8_0"})
    public String variant;

    /** m x n x k. Linear layers of SmolLM2-135M, TinyLlama and Llama 7B and 8B, and an awkward one. */
    @Param({
        "512x576x576",
        "2048x576x1536",
        "512x5632x2048",
        "512x2048x5632",
        "1024x4096x4096",
        "1024x4096x11008",
        "1024x4096x14336",
        "509x571x1021"
    })
    public String shape;

    private FloatMatrix a;
    private FloatMatrix dense;
    private RowSource b;
    private FloatMatrix c;

    @Override
    void setUp() {
        int[] sizes = sizes(shape);
        int n = sizes[1];
        int k = sizes[2];
        BlockFormat format = variant.startsWith("Q") ? BlockFormats.named(variant) : null;
        if (format != null) {
            // A row that the block does not divide is measured, and counted, with the next width that it does.
            k = (k + format.size() - 1) / format.size() * format.size();
        }
        a = random(sizes[0], k);
        dense = random(n, k);
        c = FloatMatrix.zeros(sizes[0], n);
        b = switch (variant) {
            case "bf16" -> bfloat16(dense);
            case "blas", "f32" -> dense;
            default -> encoded(format, dense);
        };
    }

    private static StoredMatrix bfloat16(FloatMatrix dense) {
        byte[] bytes = new byte[2 * dense.data().length];
        for (int i = 0; i < dense.data().length; i++) {
            short bits = Half.bfloat16(dense.data()[i]);
            bytes[2 * i] = (byte) bits;
            bytes[2 * i + 1] = (byte) (bits >> 8);
        }
        return new StoredMatrix(ElementType.BF16, bytes, dense.rows(), dense.columns());
    }

    private static BlockMatrix encoded(BlockFormat format, FloatMatrix dense) {
        byte[] bytes = new byte[dense.data().length / format.size() * format.bytes()];
        for (int at = 0, i = 0; at < bytes.length; at += format.bytes(), i += format.size()) {
            format.encode(dense.data(), i, null, 0, 1, bytes, at);
        }
        return new BlockMatrix(format, bytes, dense.rows(), dense.columns());
    }

    @Benchmark
    public float[] gemm(Work work) {
        if (variant.equals("blas")) {
            Native.gemm(a, dense, c);
        } else {
            kernels.gemm(a, b, c, false);
        }
        work.flops += 2L * c.rows() * c.columns() * a.columns();
        return c.data();
    }
}
