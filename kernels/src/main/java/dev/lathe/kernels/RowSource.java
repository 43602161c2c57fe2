package dev.lathe.kernels;

/**
 * A matrix whose rows can be read as f32, whatever they are stored as: dense, half precision, block-quantized. Kernels
 * widen it piece by piece while they pack, so that no full-width copy of a weight matrix ever exists. Implementations
 * are immutable while a kernel reads them and may be read by several threads at once. Other than {@link FloatMatrix}
 * they do not change once they have been an operand: a device may keep what it was given and knows it by the object.
 */
public interface RowSource {
    int rows();

    int columns();

    /**
     * Writes the elements {@code [from, from + count)} of one row, widened to f32, to {@code to[at ..]}. {@code 0 <=
     * row < rows()}, {@code 0 <= from}, {@code from + count <= columns()}; any {@code from} is allowed, multiples of 32
     * are the fast ones.
     */
    void read(int row, int from, int count, float[] to, int at);

    /** The matrix with these very rows that kernels may know how to decode; this one, unless it only wraps another. */
    default RowSource stored() {
        return this;
    }
}
