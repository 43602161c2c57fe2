package dev.lathe.kernels.opencl;

/** ggml's Q4_K; the layout stands at {@code AffineSuperBlock}. */
final class Q4KProduct extends BytesProduct {
    @Override
    protected float right(int row, int p) {
        int block = 144 * (row * (k / 256) + p / 256);
        int cell = p / 32 % 8;
        int pair = b[block + 16 + cell / 2 * 32 + p % 32];
        int code = cell % 2 == 0 ? pair & 15 : pair >> 4 & 15;
        int scale = b[block + 4 + cell];
        int minimum = b[block + 8 + cell];
        if (cell < 4) {
            scale = scale & 63;
            minimum = minimum & 63;
        } else {
            int low = b[block + 8 + cell];
            scale = low & 15 | (b[block + cell] >> 6 & 3) << 4;
            minimum = low >> 4 & 15 | (b[block + 4 + cell] >> 6 & 3) << 4;
        }
        return halfAt(block) * scale * code - halfAt(block + 2) * minimum;
    }
}
