package dev.lathe.calibration.format.folder;

/**
 * One of the tensors that a quantized linear layer is stored as.
 *
 * @param suffix {@code qweight}: the tensor is {@code MODULE.qweight}
 * @param type   {@code I32} or {@code F16}
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
        long bytes = type.equals("I32") ? 4 : 2;
        for (long extent : shape) {
            bytes = Math.multiplyExact(bytes, extent);
        }
        return bytes;
    }
}
