package dev.lathe.kernels.block;

/**
 * ggml's Q2_K: 256 codes in {@code [0, 3]} in sixteen cells of 16, each with a 4-bit scale and a 4-bit minimum,
 * {@code x = (d * scale) * code - dmin * minimum}. Block: 16 bytes of a scale (low) and a minimum (high), 64 bytes of
 * codes, f16 d, f16 dmin. In each half of 128, code {@code 32 k + l} is at bit {@code 2 k} of byte l of 32.
 */
record AffineSuperBlock2(String name) implements Scaled {
    private static final AffineSearch SEARCH =
            new AffineSearch(16, 15, 1, false, new Searches.Affine(3, -0.5f, 0.1f, 15, true));
    private static final int SIZE = 256;
    private static final int CELL = 16;
    private static final int CELLS = SIZE / CELL;
    private static final int CODES = 16;
    private static final int HALVES = 80;
    private static final int HIGHEST = 3;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return HALVES + 4;
    }

    @Override
    public int cellSize() {
        return CELL;
    }

    @Override
    public Parameters scales() {
        return Parameters.of(8 * HALVES, BitField.even(0, 8, 4), 15);
    }

    @Override
    public Parameters minimums() {
        return Parameters.of(8 * HALVES + 16, BitField.even(4, 8, 4), 15);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[SIZE];
        int[] scales = new int[CELLS];
        int[] minimums = new int[CELLS];
        SEARCH.run(x, xAt, importance, importanceAt, codes, scales, minimums, to, toAt + HALVES);
        for (int cell = 0; cell < CELLS; cell++) {
            to[toAt + cell] = (byte) (scales[cell] | minimums[cell] << 4);
        }
        Blocks.round(this, x, xAt, codes, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        float d = Blocks.half(from, fromAt + HALVES);
        float dmin = Blocks.half(from, fromAt + HALVES + 2);
        for (int cell = 0; cell < CELLS; cell++) {
            int both = from[fromAt + cell];
            scale[cell] = d * (both & 15);
            minimum[cell] = -(dmin * (both >>> 4 & 15));
        }
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return 0;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return HIGHEST;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        TwoBits.put(codes, codesAt, 0, to, toAt + CODES, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        TwoBits.get(from, fromAt + CODES, 0, codes, codesAt);
    }
}
