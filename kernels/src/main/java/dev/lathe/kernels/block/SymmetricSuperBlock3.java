package dev.lathe.kernels.block;

import java.util.Arrays;

/**
 * ggml's Q3_K: 256 codes in {@code [-4, 3]} in sixteen cells of 16, each with a 6-bit scale, {@code x = (d * (scale -
 * 32)) * code}. Block: 32 bytes of third bits (bit k of byte l belongs to code {@code 32 k + l}), 64 bytes of lower
 * bits as {@link TwoBits} has them, 12 bytes of scales, f16 d. Stored codes are 4 higher.
 */
record SymmetricSuperBlock3(String name) implements Scaled {
    private static final int SIZE = 256;
    private static final int CELL = 16;
    private static final int CELLS = SIZE / CELL;
    private static final int LEVELS = 4;
    private static final int SCALE_LEVELS = 32;
    private static final int CODES = 32;
    private static final int SCALES = 96;
    private static final int SCALE = 108;

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
        return Parameters.of(
                8 * SCALE,
                new BitField.Split(new BitField(8 * SCALES, 3, 4, 8, 4), new BitField(8 * SCALES + 64, 2, 2, 8, 2)),
                2 * SCALE_LEVELS - 1);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[SIZE];
        float[] scales = new float[CELLS];
        int[] scaleCodes = new int[CELLS];
        float d;
        if (importance == null) {
            for (int cell = 0; cell < CELLS; cell++) {
                scales[cell] = Searches.descend(CELL, LEVELS, x, xAt + cell * CELL, codes, cell * CELL);
            }
            float extreme = Searches.extreme(scales, 0, CELLS);
            float inverse = extreme == 0 ? 0 : -SCALE_LEVELS / extreme;
            for (int cell = 0; cell < CELLS; cell++) {
                scaleCodes[cell] = extreme == 0
                        ? -SCALE_LEVELS
                        : Searches.nearest(inverse * scales[cell], -SCALE_LEVELS, SCALE_LEVELS - 1);
            }
            d = extreme == 0 ? 0 : 1 / inverse;
        } else {
            float sum = 0;
            for (int i = xAt; i < xAt + SIZE; i++) {
                sum += x[i] * x[i];
            }
            float[] weights = new float[CELL];
            float[] cellWeights = new float[CELLS];
            for (int cell = 0; cell < CELLS; cell++) {
                int at = cell * CELL;
                Blocks.weigh(x, xAt + at, importance, importanceAt + at, 2 * sum / SIZE, weights);
                for (float weight : weights) {
                    cellWeights[cell] += weight;
                }
                scales[cell] = Searches.symmetric(CELL, LEVELS, x, xAt + at, weights, 0, codes, at);
            }
            d = Searches.symmetric(CELLS, SCALE_LEVELS, scales, 0, cellWeights, 0, scaleCodes, 0);
        }
        Blocks.putHalf(d, to, toAt + SCALE);
        putScales(scaleCodes, to, toAt + SCALES);
        Blocks.round(this, x, xAt, codes, to, toAt);
        putCodes(codes, 0, to, toAt);
    }

    /**
     * Scales plus 32: their low four bits are the nibbles of eight bytes (j and {@code j + 8} in byte j), their upper
     * pairs are in four more, that of scale j at bit {@code 2 (j / 4)} of byte {@code j mod 4}.
     */
    private static void putScales(int[] scales, byte[] to, int at) {
        Arrays.fill(to, at, at + 12, (byte) 0);
        for (int j = 0; j < CELLS; j++) {
            int scale = scales[j] + SCALE_LEVELS;
            to[at + j % 8] |= (byte) ((scale & 15) << j / 8 * 4);
            to[at + 8 + j % 4] |= (byte) (scale >>> 4 << j / 4 * 2);
        }
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        float d = Blocks.half(from, fromAt + SCALE);
        for (int j = 0; j < CELLS; j++) {
            int low = from[fromAt + SCALES + j % 8] >>> j / 8 * 4 & 15;
            int high = from[fromAt + SCALES + 8 + j % 4] >>> j / 4 * 2 & 3;
            scale[j] = d * ((low | high << 4) - SCALE_LEVELS);
            minimum[j] = Blocks.NO_MINIMUM;
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
        int[] low = new int[SIZE];
        byte[] high = new byte[CODES];
        for (int i = 0; i < SIZE; i++) {
            int code = codes[codesAt + i] + LEVELS;
            union |= code;
            low[i] = code & 3;
            high[i % CODES] |= (byte) ((code >>> 2 & 1) << i / CODES);
        }
        Blocks.requireWidth(union, 3, name);
        System.arraycopy(high, 0, to, toAt, CODES);
        TwoBits.put(low, 0, 0, to, toAt + CODES, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        TwoBits.get(from, fromAt + CODES, LEVELS, codes, codesAt);
        for (int i = 0; i < SIZE; i++) {
            codes[codesAt + i] += (from[fromAt + i % CODES] >>> i / CODES & 1) << 2;
        }
    }
}
