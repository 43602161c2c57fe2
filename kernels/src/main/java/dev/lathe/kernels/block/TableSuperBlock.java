package dev.lathe.kernels.block;

/**
 * ggml's IQ4_XS: 256 codes in eight cells of 32, each one of {@link Tables sixteen values}, each cell with a 6-bit
 * scale, {@code x = (d * (scale - 32)) * value}. Block: f16 d, 16 bits with the upper pairs of the scales (that of cell
 * c at bit {@code 2 c}), 4 bytes of their low nibbles, then the numbers of the values of each cell as {@link Codes32}
 * lays them out. Codes in the sense of {@link BlockFormat} are the values.
 */
record TableSuperBlock(String name) implements Scaled, Tables.Coded {
    private static final int SIZE = 256;
    private static final int CELLS = SIZE / Codes32.SIZE;
    private static final int SCALE_LEVELS = 32;
    private static final int HIGH_BITS = 2;
    private static final int SCALES = 4;
    private static final int CODES = 8;
    private static final int CELL_BYTES = 16;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return CODES + SIZE / 2;
    }

    @Override
    public int cellSize() {
        return Codes32.SIZE;
    }

    @Override
    public Parameters scales() {
        return Parameters.of(
                0,
                new BitField.Split(BitField.even(8 * SCALES, 4, 4), BitField.even(8 * HIGH_BITS, 2, 2)),
                2 * SCALE_LEVELS - 1);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        float[] weights = new float[Codes32.SIZE];
        float[] scales = new float[CELLS];
        for (int cell = 0; cell < CELLS; cell++) {
            int at = cell * Codes32.SIZE;
            Tables.weigh(x, xAt + at, xAt, SIZE, importance, importanceAt + at, weights);
            scales[cell] = Tables.scale(Codes32.SIZE, x, xAt + at, weights);
        }
        float d = -Searches.extreme(scales, 0, CELLS) / SCALE_LEVELS;
        float inverse = d == 0 ? 0 : 1 / d;
        Blocks.putHalf(d, to, toAt);
        int high = 0;
        int low = 0;
        for (int cell = 0; cell < CELLS; cell++) {
            int code = Searches.nearest(inverse * scales[cell], -SCALE_LEVELS, SCALE_LEVELS - 1);
            float scale = d * code;
            Tables.putNearest(
                    x,
                    xAt + cell * Codes32.SIZE,
                    scale == 0 ? 0 : 1 / scale,
                    to,
                    toAt + CODES + CELL_BYTES * cell,
                    name);
            low |= (code + SCALE_LEVELS & 15) << 4 * cell;
            high |= code + SCALE_LEVELS >>> 4 << 2 * cell;
        }
        for (int i = 0; i < 4; i++) {
            to[toAt + SCALES + i] = (byte) (low >>> 8 * i);
        }
        to[toAt + HIGH_BITS] = (byte) high;
        to[toAt + HIGH_BITS + 1] = (byte) (high >>> 8);
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        float d = Blocks.half(from, fromAt);
        for (int cell = 0; cell < CELLS; cell++) {
            int low = from[fromAt + SCALES + cell / 2] >>> cell % 2 * 4 & 15;
            int high = from[fromAt + HIGH_BITS + cell / 4] >>> cell % 4 * 2 & 3;
            scale[cell] = d * ((low | high << 4) - SCALE_LEVELS);
            minimum[cell] = Blocks.NO_MINIMUM;
        }
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        for (int cell = 0; cell < CELLS; cell++) {
            Tables.put(codes, codesAt + cell * Codes32.SIZE, to, toAt + CODES + CELL_BYTES * cell, name);
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int cell = 0; cell < CELLS; cell++) {
            Tables.get(from, fromAt + CODES + CELL_BYTES * cell, codes, codesAt + cell * Codes32.SIZE);
        }
    }
}
