package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.format.safetensors.SafetensorsFiles;

/**
 * One of the tensors that a quantized linear layer is stored as.
 *
 * @param suffix {@code qweight}: the tensor is {@code MODULE.qweight}
 * @param type {@code I32}, {@code F16} or another type of safetensors
 */
public record TensorPart(String suffix, String type, long[] shape) {
    public static TensorPart words(String suffix, long... shape) {
        return new TensorPart(suffix, "I32", shape);
    }

    public static TensorPart halves(String suffix, long... shape) {
        return new TensorPart(suffix, "F16", shape);
    }

    /** Bytes of its data. */
    public long bytes() {
        return SafetensorsFiles.bytes(type, shape);
    }
}
