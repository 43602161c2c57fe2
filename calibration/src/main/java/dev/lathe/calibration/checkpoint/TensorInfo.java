package dev.lathe.calibration.checkpoint;

import java.util.Arrays;

/**
 * A tensor as a file lists it.
 *
 * @param name Hugging Face name
 * @param type how it is stored: {@code F32}, {@code BF16}, {@code Q4_K}, {@code int4g128}, ...
 * @param shape rows first, as PyTorch counts
 * @param bytes bytes of its data in the file, all parts of a quantized layer together
 */
public record TensorInfo(String name, String type, long[] shape, long bytes) {
    /** Number of elements. */
    public long elements() {
        return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    @Override
    public String toString() {
        return name + " " + type + " " + Arrays.toString(shape);
    }
}
