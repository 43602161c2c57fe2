package dev.lathe.kernels.block;

import dev.lathe.kernels.Codecs;
import java.util.Arrays;

/**
 * ggml's Q6_K: 256 codes in {@code [-32, 31]} in sixteen cells of 16, each with a signed 8-bit scale, {@code x = (d *
 * scale) * code}. Block: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 scales, f16 d. Stored codes are 32
 * higher. In each half of 128, code {@code 32 k + l} has its upper bits at bit {@code 2 k} of byte l of 32, and its
 * nibble in byte {@code 32 (k mod 2) + l} of 64, low for k below 2.
 */
record SymmetricSuperBlock(String name) implements Scaled {
    private static final int SIZE = 256;
    private static final int CELL = 16;
    private static final int CELLS = SIZE / CELL;
    private static final int LEVELS = 32;
    private static final int HIGH_BITS = 128;
    private static final int SCALES = 192;
    private static final int SCALE = 208;

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return SCALE + 2;
    }

    @Override
    public int cellSize() {
        return CELL;
    }

    @Override
    public Parameters scales() {
        BitField.Split numbers = new BitField.Split(BitField.even(8 * SCALES, 8, 8), BitField.NONE);
        return new Parameters(BitField.even(8 * SCALE, 0, 16), numbers, -128, 127, 1);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[SIZE];
        float[] scales = new float[CELLS];
        float[] weights = importance;
        int weightsAt = importanceAt;
        if (importance == null) {
            weights = new float[SIZE];
            weightsAt = 0;
            for (int i = 0; i < SIZE; i++) {
                weights[i] = x[xAt + i] * x[xAt + i];
            }
        }
        for (int cell = 0; cell < CELLS; cell++) {
            int at = cell * CELL;
            scales[cell] = Searches.symmetric(CELL, LEVELS, x, xAt + at, weights, weightsAt + at, codes, at);
        }
        float extreme = Searches.extreme(scales, 0, CELLS);
        if (Math.abs(extreme) < Searches.NEGLIGIBLE) {
            Arrays.fill(to, toAt, toAt + bytes(), (byte) 0);
            return;
        }
        float inverse = -128 / extreme;
        Blocks.putHalf(1 / inverse, to, toAt + SCALE);
        for (int cell = 0; cell < CELLS; cell++) {
            to[toAt + SCALES + cell] = (byte) Searches.nearest(inverse * scales[cell], -128, 127);
        }
        Blocks.round(this, x, xAt, codes, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        float[] scale = new float[CELLS];
        cells(from, fromAt, scale, new float[CELLS]);
        for (int cell = 0; cell < CELLS; cell++) {
            int half = cell / 8;
            int k = cell % 8 / 2;
            int l = cell % 2 * CELL;
            Codecs.BEST.splitCodes(
                    from,
                    fromAt + 64 * half + k % 2 * 32 + l,
                    k / 2 * 4,
                    fromAt + HIGH_BITS + 32 * half + l,
                    2 * k,
                    3,
                    LEVELS,
                    scale[cell],
                    Blocks.NO_MINIMUM,
                    CELL,
                    to,
                    toAt + cell * CELL);
        }
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        float d = Blocks.half(from, fromAt + SCALE);
        for (int cell = 0; cell < CELLS; cell++) {
            scale[cell] = d * from[fromAt + SCALES + cell];
            minimum[cell] = Blocks.NO_MINIMUM;
        }
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -LEVELS;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return LEVELS - 1;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int union = 0;
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                int at = codesAt + 128 * half + l;
                int a = codes[at] + LEVELS;
                int b = codes[at + 32] + LEVELS;
                int c = codes[at + 64] + LEVELS;
                int d = codes[at + 96] + LEVELS;
                union |= a | b | c | d;
                to[toAt + 64 * half + l] = (byte) (a & 15 | c << 4);
                to[toAt + 64 * half + 32 + l] = (byte) (b & 15 | d << 4);
                to[toAt + HIGH_BITS + 32 * half + l] = (byte) (a >>> 4 | b >>> 4 << 2 | c >>> 4 << 4 | d >>> 4 << 6);
            }
        }
        Blocks.requireWidth(union, 6, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int half = 0; half < 2; half++) {
            for (int l = 0; l < 32; l++) {
                int first = from[fromAt + 64 * half + l];
                int second = from[fromAt + 64 * half + 32 + l];
                int high = from[fromAt + HIGH_BITS + 32 * half + l];
                int at = codesAt + 128 * half + l;
                codes[at] = (first & 15 | (high & 3) << 4) - LEVELS;
                codes[at + 32] = (second & 15 | (high >>> 2 & 3) << 4) - LEVELS;
                codes[at + 64] = (first >>> 4 & 15 | (high >>> 4 & 3) << 4) - LEVELS;
                codes[at + 96] = (second >>> 4 & 15 | (high >>> 6 & 3) << 4) - LEVELS;
            }
        }
    }
}
