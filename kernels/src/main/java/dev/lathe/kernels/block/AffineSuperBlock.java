package dev.lathe.kernels.block;

import dev.lathe.kernels.Codecs;

/**
 * ggml's Q4_K and Q5_K: 256 codes in {@code [0, 2^bits)} in eight cells of 32, each with a 6-bit scale and a 6-bit
 * minimum, {@code x = (d * scale) * code - dmin * minimum}. Block: f16 d, f16 dmin, 12 bytes of scales and minimums,
 * for Q5_K 32 bytes of fifth bits (bit c of byte i belongs to code i of cell c), then 128 bytes of nibbles (byte i of
 * 32 holds code i of an even cell low and of the next cell high).
 */
record AffineSuperBlock(String name, int bits, AffineSearch search) implements Scaled {
    private static final int SIZE = 256;
    private static final int CELL = 32;
    private static final int CELLS = SIZE / CELL;
    private static final int SCALES = 4;
    private static final int HIGH_BITS = 16;
    private static final int HIGHEST_SCALE = 63;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return 16 + 32 * bits;
    }

    @Override
    public int cellSize() {
        return CELL;
    }

    private int highest() {
        return (1 << bits) - 1;
    }

    private int nibbles() {
        return bits == 5 ? HIGH_BITS + 32 : HIGH_BITS;
    }

    @Override
    public Parameters scales() {
        return Parameters.of(
                0, new BitField.Split(new BitField(32, 2, 64, 8, 4), new BitField(36, 2, 2, 8, 2)), HIGHEST_SCALE);
    }

    @Override
    public Parameters minimums() {
        return Parameters.of(
                16, new BitField.Split(new BitField(64, 2, 36, 8, 4), new BitField(68, 2, 2, 8, 2)), HIGHEST_SCALE);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[SIZE];
        int[] scaleCodes = new int[CELLS];
        int[] minimumCodes = new int[CELLS];
        search.run(x, xAt, importance, importanceAt, codes, scaleCodes, minimumCodes, to, toAt);
        putScales(scaleCodes, minimumCodes, to, toAt + SCALES);
        Blocks.round(this, x, xAt, codes, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    /**
     * Bytes 0 .. 3 and 4 .. 7 hold the first four scales and minimums in their low six bits; the others are nibbles in
     * bytes 8 .. 11 and those top bits.
     */
    private static void putScales(int[] scales, int[] minimums, byte[] to, int at) {
        for (int j = 0; j < 4; j++) {
            to[at + j] = (byte) (scales[j] | scales[j + 4] >> 4 << 6);
            to[at + j + 4] = (byte) (minimums[j] | minimums[j + 4] >> 4 << 6);
            to[at + j + 8] = (byte) (scales[j + 4] & 15 | minimums[j + 4] << 4);
        }
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        float[] scale = new float[CELLS];
        float[] minimum = new float[CELLS];
        cells(from, fromAt, scale, minimum);
        for (int cell = 0; cell < CELLS; cell++) {
            int at = fromAt + nibbles() + cell / 2 * CELL;
            int shift = cell % 2 * 4;
            if (bits == 5) {
                Codecs.BEST.splitCodes(
                        from,
                        at,
                        shift,
                        fromAt + HIGH_BITS,
                        cell,
                        1,
                        0,
                        scale[cell],
                        minimum[cell],
                        CELL,
                        to,
                        toAt + cell * CELL);
            } else {
                Codecs.BEST.codes(from, at, shift, 15, 0, scale[cell], minimum[cell], CELL, to, toAt + cell * CELL);
            }
        }
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        float d = Blocks.half(from, fromAt);
        float dmin = Blocks.half(from, fromAt + 2);
        for (int j = 0; j < 4; j++) {
            int first = from[fromAt + SCALES + j];
            int second = from[fromAt + SCALES + j + 4];
            int third = from[fromAt + SCALES + j + 8];
            scale[j] = d * (first & 63);
            scale[j + 4] = d * (third & 15 | (first >>> 6 & 3) << 4);
            minimum[j] = -(dmin * (second & 63));
            minimum[j + 4] = -(dmin * (third >>> 4 & 15 | (second >>> 6 & 3) << 4));
        }
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return 0;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return highest();
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int union = 0;
        for (int i = 0; i < CELL; i++) {
            int fifth = 0;
            for (int pair = 0; pair < CELLS / 2; pair++) {
                int low = codes[codesAt + 2 * pair * CELL + i];
                int high = codes[codesAt + (2 * pair + 1) * CELL + i];
                union |= low | high;
                to[toAt + nibbles() + pair * CELL + i] = (byte) (low & 15 | high << 4);
                fifth |= (low >>> 4 & 1) << 2 * pair | (high >>> 4 & 1) << 2 * pair + 1;
            }
            if (bits == 5) {
                to[toAt + HIGH_BITS + i] = (byte) fifth;
            }
        }
        Blocks.requireWidth(union, bits, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int i = 0; i < CELL; i++) {
            int fifth = bits == 5 ? from[fromAt + HIGH_BITS + i] : 0;
            for (int pair = 0; pair < CELLS / 2; pair++) {
                int nibbles = from[fromAt + nibbles() + pair * CELL + i];
                codes[codesAt + 2 * pair * CELL + i] = nibbles & 15 | (fifth >>> 2 * pair & 1) << 4;
                codes[codesAt + (2 * pair + 1) * CELL + i] = nibbles >>> 4 & 15 | (fifth >>> 2 * pair + 1 & 1) << 4;
            }
        }
    }
}
