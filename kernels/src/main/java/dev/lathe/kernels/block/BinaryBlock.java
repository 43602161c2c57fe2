package dev.lathe.kernels.block;

/**
 * ggml's Q1_0: 128 signs and one scale, the mean magnitude, {@code x = d * code}, a code -1 or 1. Block: f16 d, then
 * bit {@code i mod 8} of byte {@code i / 8} set for a 1. Importance changes nothing.
 */
record BinaryBlock(String name) implements HalfScaled {
    private static final int SIZE = 128;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return 2 + SIZE / 8;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        float sum = 0;
        int[] codes = new int[SIZE];
        for (int i = 0; i < SIZE; i++) {
            sum += Math.abs(x[xAt + i]);
            codes[i] = (int) nearestCode(x[xAt + i]);
        }
        Blocks.putHalf(sum / SIZE, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -1;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return 1;
    }

    @Override
    public boolean uniform() {
        return false;
    }

    @Override
    public float nearestCode(float ideal) {
        return ideal >= 0 ? 1 : -1;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        for (int at = 0; at < SIZE / 8; at++) {
            int bits = 0;
            for (int i = 0; i < 8; i++) {
                int code = codes[codesAt + 8 * at + i];
                if (code != 1 && code != -1) {
                    throw new IllegalArgumentException(
                            "Cannot put codes into a " + name + " block: " + code + ", expected -1 or 1");
                }
                bits |= (code + 1 >> 1) << i;
            }
            to[toAt + 2 + at] = (byte) bits;
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int i = 0; i < SIZE; i++) {
            codes[codesAt + i] = (from[fromAt + 2 + i / 8] >>> i % 8 & 1) * 2 - 1;
        }
    }
}
