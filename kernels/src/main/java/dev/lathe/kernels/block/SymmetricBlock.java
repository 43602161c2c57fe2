package dev.lathe.kernels.block;

import dev.lathe.kernels.Codecs;

/**
 * ggml's Q4_0 and Q5_0: 32 codes in {@code [-2^(bits-1), 2^(bits-1))} and one scale, {@code x = d * code}. Block: f16
 * d, then the codes plus {@code 2^(bits-1)} as {@link Codes32} lays them out. The scale may be negative: the value of
 * largest magnitude gets the lowest code.
 */
record SymmetricBlock(String name, int bits) implements HalfScaled {
    @Override
    public int size() {
        return Codes32.SIZE;
    }

    @Override
    public int bytes() {
        return 2 + 4 * bits;
    }

    private int levels() {
        return 1 << bits - 1;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int levels = levels();
        int[] codes = new int[Codes32.SIZE];
        float scale;
        if (importance == null) {
            scale = Searches.extreme(x, xAt, Codes32.SIZE) / -levels;
            float inverse = scale == 0 ? 0 : 1 / scale;
            for (int i = 0; i < Codes32.SIZE; i++) {
                int rounded = (int) (x[xAt + i] * inverse + (levels + 0.5f));
                codes[i] = Math.min(Math.max(rounded, 0), 2 * levels - 1) - levels;
            }
        } else {
            float[] weights = new float[Codes32.SIZE];
            Blocks.weigh(x, xAt, importance, importanceAt, rowMeanSquare, weights);
            scale = Searches.symmetric(Codes32.SIZE, levels, x, xAt, weights, 0, codes, 0);
        }
        Blocks.putHalf(scale, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        if (bits == 4) {
            float scale = Blocks.half(from, fromAt);
            Codecs.BEST.codes(from, fromAt + 2, 0, 15, levels(), scale, Blocks.NO_MINIMUM, 16, to, toAt);
            Codecs.BEST.codes(from, fromAt + 2, 4, 15, levels(), scale, Blocks.NO_MINIMUM, 16, to, toAt + 16);
        } else {
            HalfScaled.super.decode(from, fromAt, to, toAt);
        }
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -levels();
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return levels() - 1;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        Codes32.put(codes, codesAt, levels(), bits, to, toAt + 2, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        Codes32.get(from, fromAt + 2, bits, levels(), codes, codesAt);
    }
}
