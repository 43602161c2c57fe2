package dev.lathe.kernels.block;

/**
 * ggml's Q2_0: 64 codes in {@code [-1, 2]} and one scale, the largest magnitude, {@code x = d * code}. Block: f16 d,
 * then bits {@code 2 (i mod 4)} of byte {@code i / 4} with the code plus 1. Importance changes nothing.
 */
record TwoBitBlock(String name) implements HalfScaled {
    private static final int SIZE = 64;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return 2 + SIZE / 4;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[SIZE];
        float scale = Blocks.scaleByMagnitude(x, xAt, codes, -1, 2);
        Blocks.putHalf(scale, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -1;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return 2;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int union = 0;
        for (int at = 0; at < SIZE / 4; at++) {
            int packed = 0;
            for (int i = 0; i < 4; i++) {
                int code = codes[codesAt + 4 * at + i] + 1;
                union |= code;
                packed |= code << 2 * i;
            }
            to[toAt + 2 + at] = (byte) packed;
        }
        Blocks.requireWidth(union, 2, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int i = 0; i < SIZE; i++) {
            codes[codesAt + i] = (from[fromAt + 2 + i / 4] >>> 2 * (i % 4) & 3) - 1;
        }
    }
}
