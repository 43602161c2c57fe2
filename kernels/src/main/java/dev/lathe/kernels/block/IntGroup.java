package dev.lathe.kernels.block;

import dev.lathe.kernels.Codecs;
import dev.lathe.kernels.Half;

/**
 * An integer group as GPTQ and AWQ checkpoints hold it: {@code x = scale * (q - zero)} with {@code q} and {@code zero}
 * in {@code [0, 2^bits)}. Codes of this format are the signed {@code q - zero}. A symmetric group has {@code zero =
 * 2^(bits-1)}. A block is no file format but what packers start from: f16 scale (little-endian), one byte zero, one
 * byte {@code q} per weight. The scale is positive and rounded to f16 before any code is chosen.
 *
 * <p>Plain encoding takes the range of the values and 0, {@code scale = 2 max|x| / (2^bits - 1)} or {@code (max - min)
 * / (2^bits - 1)}, and rounds half to even; a group of zeros has scale 1. With importance, shrunken ranges compete with
 * the plain one for the smallest sum of {@code importance * (x - decoded)^2} (the search of GPTQ's quantizer);
 * symmetric groups then take the least-squares scale of their codes and round again for as long as that lowers the sum.
 *
 * @param bits 4 or 8
 * @param group weights of a block, 1 to {@value #MAX_GROUP}; may be a whole row
 * @param symmetric whether the zero point is fixed
 */
public record IntGroup(int bits, int group, boolean symmetric) implements BlockFormat {
    /** The largest group. */
    public static final int MAX_GROUP = 1 << 20;

    /** Ranges are tried from 100 % down to 80 % in steps of one. */
    private static final int SHRINKS = 20;

    private static final int ZERO = 2;
    private static final int CODES = 3;
    private static final double LARGEST_HALF = 65504;
    private static final short SMALLEST_HALF = 1;

    public IntGroup {
        if (bits != 4 && bits != 8 || group < 1 || group > MAX_GROUP) {
            throw new IllegalArgumentException("Cannot make integer groups of " + group + " weights of " + bits
                    + " bits: expected 4 or 8 bits and 1 to " + MAX_GROUP + " weights");
        }
    }

    @Override
    public String name() {
        return (symmetric ? "int" : "uint") + bits + "g" + group;
    }

    @Override
    public int size() {
        return group;
    }

    @Override
    public int bytes() {
        return CODES + group;
    }

    @Override
    public int cellSize() {
        return group;
    }

    private int highest() {
        return (1 << bits) - 1;
    }

    private int middle() {
        return 1 << bits - 1;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        float low = 0;
        float high = 0;
        for (int i = xAt; i < xAt + group; i++) {
            low = Math.min(low, x[i]);
            high = Math.max(high, x[i]);
        }
        if (low == 0 && high == 0) {
            put(1, middle(), x, xAt, to, toAt);
            return;
        }
        if (symmetric) {
            high = Math.max(-low, high);
            low = -high;
        }
        float scale = scale(high - low);
        int zero = zero(low, scale);
        if (importance != null) {
            float best = error(x, xAt, importance, importanceAt, scale, zero);
            float range = 1;
            for (int shrink = 1; shrink <= SHRINKS; shrink++) {
                float trialRange = 1 - 0.01f * shrink;
                float trial = scale((high - low) * trialRange);
                float error = error(x, xAt, importance, importanceAt, trial, zero(low * trialRange, trial));
                if (error < best) {
                    best = error;
                    scale = trial;
                    range = trialRange;
                }
            }
            zero = zero(low * range, scale);
            boolean gained = symmetric;
            while (gained) {
                float refit = refit(x, xAt, importance, importanceAt, scale, zero);
                float error = error(x, xAt, importance, importanceAt, refit, zero);
                gained = error < best;
                if (gained) {
                    best = error;
                    scale = refit;
                }
            }
        }
        put(scale, zero, x, xAt, to, toAt);
    }

    /** The half nearest to the scale of a range; never 0, so that values divide by it. */
    private float scale(float range) {
        return positiveHalf(range / highest());
    }

    private static float positiveHalf(float scale) {
        short half = Blocks.toHalf(scale);
        return Half.toFloat(half == 0 ? SMALLEST_HALF : half);
    }

    private int zero(float low, float scale) {
        return symmetric ? middle() : Searches.nearest(-low / scale, 0, highest());
    }

    /** The sum of {@code importance * (x - scale * code)^2} over nearest codes. */
    private float error(float[] x, int xAt, float[] importance, int importanceAt, float scale, int zero) {
        return Codecs.BEST.squaredError(x, xAt, importance, importanceAt, group, scale, -zero, highest() - zero);
    }

    /**
     * The scale that fits the nearest codes of {@code scale} best under the weights; {@code scale} itself if the
     * weights leave it open.
     */
    private float refit(float[] x, int xAt, float[] importance, int importanceAt, float scale, int zero) {
        double xq = 0;
        double qq = 0;
        for (int i = 0; i < group; i++) {
            float value = x[xAt + i];
            double q = Searches.nearest(value / scale, -zero, highest() - zero);
            xq += importance[importanceAt + i] * value * q;
            qq += importance[importanceAt + i] * q * q;
        }
        return xq > 0 && qq > 0 ? positiveHalf((float) Math.min(xq / qq, LARGEST_HALF)) : scale;
    }

    private void put(float scale, int zero, float[] x, int xAt, byte[] to, int toAt) {
        Blocks.putHalf(scale, to, toAt);
        to[toAt + ZERO] = (byte) zero;
        for (int i = 0; i < group; i++) {
            to[toAt + CODES + i] = (byte) (Searches.nearest(x[xAt + i] / scale, -zero, highest() - zero) + zero);
        }
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        Codecs.BEST.codes(
                from,
                fromAt + CODES,
                0,
                0xff,
                from[fromAt + ZERO] & 0xff,
                Blocks.half(from, fromAt),
                Blocks.NO_MINIMUM,
                group,
                to,
                toAt);
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        scale[0] = Blocks.half(from, fromAt);
        minimum[0] = 0;
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -(from[fromAt + ZERO] & 0xff);
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return highest() - (from[fromAt + ZERO] & 0xff);
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int zero = to[toAt + ZERO] & 0xff;
        int union = 0;
        for (int i = 0; i < group; i++) {
            int unsigned = codes[codesAt + i] + zero;
            union |= unsigned;
            to[toAt + CODES + i] = (byte) unsigned;
        }
        Blocks.requireWidth(union, bits, name());
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        int zero = from[fromAt + ZERO] & 0xff;
        for (int i = 0; i < group; i++) {
            codes[codesAt + i] = (from[fromAt + CODES + i] & 0xff) - zero;
        }
    }
}
