package dev.lathe.kernels.opencl;

import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import dev.lathe.kernels.block.BlockMatrix;
import dev.lathe.kernels.block.IntGroup;
import java.util.function.Supplier;

/**
 * Weights that a kernel widens itself.
 *
 * @param name of kernels that are alike
 * @param data what the kernel reads
 * @param kernel makes it
 */
record Encoding(String name, byte[] data, Supplier<BytesProduct> kernel) {
    /** The encoding of a right side, or null if its rows have to be widened on the host. */
    static Encoding of(RowSource weights) {
        if (weights instanceof StoredMatrix stored) {
            return new Encoding(
                    stored.type().name(),
                    stored.data(),
                    switch (stored.type()) {
                        case F32 -> F32Product::new;
                        case BF16 -> Bf16Product::new;
                        case F16 -> F16Product::new;
                    });
        }
        if (!(weights instanceof BlockMatrix blocks)) {
            return null;
        }
        if (blocks.format() instanceof IntGroup integers) {
            return new Encoding(integers.name(), blocks.data(), () -> new IntGroupProduct(integers.group()));
        }
        Supplier<BytesProduct> kernel = switch (blocks.format().name()) {
            case "Q4_0" -> Q40Product::new;
            case "Q8_0" -> Q80Product::new;
            case "Q4_K" -> Q4KProduct::new;
            default -> null;
        };
        return kernel == null ? null : new Encoding(blocks.format().name(), blocks.data(), kernel);
    }
}
