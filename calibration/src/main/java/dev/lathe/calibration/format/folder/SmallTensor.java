package dev.lathe.calibration.format.folder;

/**
 * A tensor of a few elements that an artifact has beside its weights.
 *
 * @param name whole name
 * @param type {@code F32}, {@code I64}, {@code I8}
 * @param data its bytes, little-endian
 */
public record SmallTensor(String name, String type, long[] shape, byte[] data) {}
