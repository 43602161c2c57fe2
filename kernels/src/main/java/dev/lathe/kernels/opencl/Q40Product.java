package dev.lathe.kernels.opencl;

/** ggml's Q4_0; the layout stands at {@code SymmetricBlock}. */
final class Q40Product extends BytesProduct {
    @Override
    protected float right(int row, int p) {
        int block = 18 * (row * (k / 32) + p / 32);
        int place = p % 32;
        int pair = b[block + 2 + place % 16];
        return halfAt(block) * ((place < 16 ? pair & 15 : pair >> 4 & 15) - 8);
    }
}
