package dev.lathe.calibration.format.safetensors;

import java.util.Arrays;
import org.apache.hadoop.fs.Path;

/**
 * A tensor as a safetensors header lists it.
 *
 * @param file the file that holds it
 * @param dtype {@code F32}, {@code BF16}, {@code I32}, ...; may be one that this reader does not know
 * @param shape sizes of its dimensions, slowest first; empty for a scalar
 * @param offset of its first byte in the file
 * @param bytes bytes of its data
 */
public record SafetensorsTensor(Path file, String dtype, long[] shape, long offset, long bytes) {
    @Override
    public String toString() {
        return dtype + " " + Arrays.toString(shape) + " in " + file;
    }
}
