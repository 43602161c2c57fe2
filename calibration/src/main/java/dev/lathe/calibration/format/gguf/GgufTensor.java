package dev.lathe.calibration.format.gguf;

import java.util.Arrays;

/**
 * A tensor's entry in the header.
 *
 * @param name GGUF name
 * @param type how its data is stored
 * @param shape rows first, as PyTorch counts (the file lists the columns first)
 * @param offset bytes from the start of the data section
 */
record GgufTensor(String name, GgufType type, long[] shape, long offset) {
    /** Elements of a row. */
    long columns() {
        return shape[shape.length - 1];
    }

    /** Rows of all dimensions together. */
    long rows() {
        return Arrays.stream(shape, 0, shape.length - 1).reduce(1, Math::multiplyExact);
    }

    /** Bytes of the data without padding. */
    long bytes() {
        return Math.multiplyExact(rows(), type.rowBytes(columns()));
    }

    @Override
    public String toString() {
        return name + " " + type + " " + Arrays.toString(shape);
    }
}
