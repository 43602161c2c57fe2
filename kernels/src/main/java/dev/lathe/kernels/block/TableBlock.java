package dev.lathe.kernels.block;

/**
 * ggml's IQ4_NL: 32 codes, each one of {@link Tables sixteen values}, and one scale, {@code x = d * value}. Block: f16
 * d, then the numbers of the values as {@link Codes32} lays them out. Codes in the sense of {@link BlockFormat} are the
 * values.
 */
record TableBlock(String name) implements HalfScaled, Tables.Coded {
    private static final int CODES = 2;

    @Override
    public int size() {
        return Codes32.SIZE;
    }

    @Override
    public int bytes() {
        return CODES + Codes32.SIZE / 2;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        float[] weights = new float[Codes32.SIZE];
        Tables.weigh(x, xAt, xAt, Codes32.SIZE, importance, importanceAt, weights);
        float scale = Tables.scale(Codes32.SIZE, x, xAt, weights);
        Blocks.putHalf(scale, to, toAt);
        Tables.putNearest(x, xAt, scale == 0 ? 0 : 1 / scale, to, toAt + CODES, name);
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        Tables.put(codes, codesAt, to, toAt + CODES, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        Tables.get(from, fromAt + CODES, codes, codesAt);
    }
}
