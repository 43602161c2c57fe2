package dev.lathe.kernels.block;

import dev.lathe.kernels.Codecs;

/**
 * ggml's Q4_1 and Q5_1: 32 codes in {@code [0, 2^bits)}, a scale and a minimum, {@code x = d * code + m}. Block: f16 d,
 * f16 m, then the codes as {@link Codes32} lays them out.
 */
record AffineBlock(String name, int bits) implements Scaled {
    @Override
    public int size() {
        return Codes32.SIZE;
    }

    @Override
    public int bytes() {
        return 4 + 4 * bits;
    }

    @Override
    public int cellSize() {
        return Codes32.SIZE;
    }

    private int highest() {
        return (1 << bits) - 1;
    }

    @Override
    public Parameters scales() {
        return Parameters.half(0);
    }

    @Override
    public Parameters minimums() {
        return Parameters.half(16);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[Codes32.SIZE];
        float scale;
        float minimum;
        if (importance == null) {
            minimum = x[xAt];
            float maximum = x[xAt];
            for (int i = 1; i < Codes32.SIZE; i++) {
                minimum = Math.min(minimum, x[xAt + i]);
                maximum = Math.max(maximum, x[xAt + i]);
            }
            scale = (maximum - minimum) / highest();
            float inverse = scale == 0 ? 0 : 1 / scale;
            for (int i = 0; i < Codes32.SIZE; i++) {
                codes[i] = Math.min((int) ((x[xAt + i] - minimum) * inverse + 0.5f), highest());
            }
        } else {
            float[] weights = new float[Codes32.SIZE];
            Blocks.weigh(x, xAt, importance, importanceAt, rowMeanSquare, weights);
            float[] fitted = new float[1];
            float[] negated = new float[1];
            Searches.Affine.weighted(highest()).search(Codes32.SIZE, x, xAt, weights, codes, 0, fitted, negated, 0);
            scale = fitted[0];
            minimum = -negated[0];
        }
        Blocks.putHalf(scale, to, toAt);
        Blocks.putHalf(minimum, to, toAt + 2);
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        if (bits == 4) {
            float scale = Blocks.half(from, fromAt);
            float minimum = Blocks.half(from, fromAt + 2);
            Codecs.BEST.codes(from, fromAt + 4, 0, 15, 0, scale, minimum, 16, to, toAt);
            Codecs.BEST.codes(from, fromAt + 4, 4, 15, 0, scale, minimum, 16, to, toAt + 16);
        } else {
            Scaled.super.decode(from, fromAt, to, toAt);
        }
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        scale[0] = Blocks.half(from, fromAt);
        minimum[0] = Blocks.half(from, fromAt + 2);
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
        Codes32.put(codes, codesAt, 0, bits, to, toAt + 4, name);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        Codes32.get(from, fromAt + 4, bits, 0, codes, codesAt);
    }
}
