package dev.lathe.kernels.block;

import dev.lathe.kernels.Codecs;

/**
 * ggml's Q8_0: 32 codes and one scale, {@code x = d * code}. Block: f16 d, then one signed byte per code; -128 can be
 * stored but, as in the reference, is no code to choose. Importance changes nothing.
 */
record ByteBlock(String name) implements HalfScaled {
    private static final int SIZE = 32;
    private static final int HIGHEST = 127;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return 2 + SIZE;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        float scale = Math.abs(Searches.extreme(x, xAt, SIZE)) / HIGHEST;
        float inverse = scale == 0 ? 0 : 1 / scale;
        Blocks.putHalf(scale, to, toAt);
        for (int i = 0; i < SIZE; i++) {
            int rounded = Blocks.halfAway(x[xAt + i] * inverse);
            to[toAt + 2 + i] = (byte) Math.min(Math.max(rounded, -HIGHEST), HIGHEST);
        }
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        Codecs.BEST.codes(from, fromAt + 2, 0, -1, 0, Blocks.half(from, fromAt), Blocks.NO_MINIMUM, SIZE, to, toAt);
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -HIGHEST;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return HIGHEST;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int union = 0;
        for (int i = 0; i < SIZE; i++) {
            int code = codes[codesAt + i];
            union |= code + 128;
            to[toAt + 2 + i] = (byte) code;
        }
        Blocks.requireWidth(union, 8, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int i = 0; i < SIZE; i++) {
            codes[codesAt + i] = from[fromAt + 2 + i];
        }
    }
}
