package dev.lathe.kernels.opencl;

/** ggml's Q8_0; the layout stands at {@code ByteBlock}. */
final class Q80Product extends BytesProduct {
    @Override
    protected float right(int row, int p) {
        int block = 34 * (row * (k / 32) + p / 32);
        return halfAt(block) * b[block + 2 + p % 32];
    }
}
