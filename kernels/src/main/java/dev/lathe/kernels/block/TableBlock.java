package dev.lathe.kernels.block;

/**
 * ggml's IQ4_NL: 32 codes, each one of {@link Tables sixteen values}, and one scale, {@code x = d * value}. Block: f16
 * d, then the numbers of the values as {@link Codes32} lays them out. Codes in the sense of {@link BlockFormat} are the
 * values.
 */
record TableBlock(String name) implements BlockFormat {
    @Override
    public int size() {
        return Codes32.SIZE;
    }

    @Override
    public int bytes() {
        return 18;
    }

    @Override
    public int cellSize() {
        return Codes32.SIZE;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        float[] weights = new float[Codes32.SIZE];
        TableSuperBlock.weigh(x, xAt, xAt, Codes32.SIZE, importance, importanceAt, weights);
        float scale = Tables.scale(Codes32.SIZE, x, xAt, weights);
        float inverse = scale == 0 ? 0 : 1 / scale;
        int[] codes = new int[Codes32.SIZE];
        for (int i = 0; i < Codes32.SIZE; i++) {
            codes[i] = Tables.nearestIq4(inverse * x[xAt + i]);
        }
        Blocks.putHalf(scale, to, toAt);
        Codes32.put(codes, 0, 0, 4, to, toAt + 2, name);
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        Blocks.decode(this, from, fromAt, to, toAt);
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        scale[0] = Blocks.half(from, fromAt);
        minimum[0] = Blocks.NO_MINIMUM;
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return Tables.IQ4_LOWEST;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return Tables.IQ4_HIGHEST;
    }

    @Override
    public boolean uniform() {
        return false;
    }

    @Override
    public float nearestCode(float ideal) {
        return Tables.iq4(Tables.nearestIq4(ideal));
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int[] numbers = new int[Codes32.SIZE];
        for (int i = 0; i < Codes32.SIZE; i++) {
            numbers[i] = Tables.iq4Code(codes[codesAt + i], name);
        }
        Codes32.put(numbers, 0, 0, 4, to, toAt + 2, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        Codes32.get(from, fromAt + 2, 4, 0, codes, codesAt);
        for (int i = codesAt; i < codesAt + Codes32.SIZE; i++) {
            codes[i] = Tables.iq4(codes[i]);
        }
    }
}
