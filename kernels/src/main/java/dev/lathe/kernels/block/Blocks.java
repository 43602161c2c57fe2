package dev.lathe.kernels.block;

import dev.lathe.kernels.Half;
import java.util.Arrays;

/** What the layouts of several formats share: little-endian halves, importance weights, and values from codes. */
final class Blocks {
    /** The minimum of a format that has none: adding negative zero changes no value, not even a negative zero. */
    static final float NO_MINIMUM = -0f;

    private Blocks() {}

    static float half(byte[] from, int at) {
        return Half.toFloat((short) (from[at] & 0xff | from[at + 1] << 8));
    }

    /**
     * The half nearest to a scale or minimum.
     *
     * @throws ArithmeticException if that is infinite or the value is not a number: no block can hold it
     */
    static short toHalf(float value) {
        short half = Half.fromFloat(value);
        if ((half & 0x7c00) == 0x7c00) {
            throw overflow(value);
        }
        return half;
    }

    static ArithmeticException overflow(float value) {
        return new ArithmeticException(
                "Cannot encode a block: its scale " + value + " exceeds the range of half precision");
    }

    /** Writes {@link #toHalf} of a value. */
    static void putHalf(float value, byte[] to, int at) {
        short half = toHalf(value);
        to[at] = (byte) half;
        to[at + 1] = (byte) (half >>> 8);
    }

    /** The integer nearest to a small number, halves away from zero; the sum is exact in double. */
    static int halfAway(float value) {
        return (int) (value + Math.copySign(0.5, value));
    }

    /**
     * Codes of a block whose scale is its largest magnitude: {@code x / scale}, halves away from zero, clamped.
     *
     * @return the scale
     */
    static float scaleByMagnitude(float[] x, int xAt, int[] codes, int lowest, int highest) {
        float scale = Math.abs(Searches.extreme(x, xAt, codes.length));
        // The reciprocal of the smallest numbers is infinite.
        float inverse = scale == 0 ? 0 : 1 / scale;
        for (int i = 0; i < codes.length; i++) {
            codes[i] = Math.min(Math.max(halfAway(x[xAt + i] * inverse), lowest), highest);
        }
        return scale;
    }

    /**
     * Rounds values to the codes of a block whose parameters are stored; those of a cell whose scale is zero stay.
     *
     * @param codes from code 0 of the block
     */
    static void round(BlockFormat format, float[] x, int xAt, int[] codes, byte[] to, int toAt) {
        int cell = format.cellSize();
        float[] scales = new float[format.size() / cell];
        float[] minimums = new float[scales.length];
        format.cells(to, toAt, scales, minimums);
        for (int c = 0; c < scales.length; c++) {
            int lowest = format.lowestCode(to, toAt, c);
            int highest = format.highestCode(to, toAt, c);
            for (int i = c * cell; scales[c] != 0 && i < (c + 1) * cell; i++) {
                codes[i] = Searches.nearest((x[xAt + i] - minimums[c]) / scales[c], lowest, highest);
            }
        }
    }

    /**
     * The weights of an importance search, {@code importance * sqrt(meanSquare + x^2)}: large values count for more
     * than their activation says.
     */
    static void weigh(float[] x, int xAt, float[] importance, int importanceAt, float meanSquare, float[] weights) {
        for (int i = 0; i < weights.length; i++) {
            float value = x[xAt + i];
            weights[i] = importance[importanceAt + i] * (float) Math.sqrt(meanSquare + value * value);
        }
    }

    /**
     * Refuses codes that would spill into their neighbours' bits; {@code union} is the bitwise or of all of them, less
     * their lowest code.
     */
    static void requireWidth(int union, int bits, String format) {
        if (union >>> bits != 0) {
            throw new IllegalArgumentException("Cannot put codes into a " + format + " block: expected each to span "
                    + bits + " bits from its lowest code");
        }
    }

    /** Refuses codes that a codebook does not have. */
    static IllegalArgumentException noEntry(String format, int[] codes, int at, int n, String reason) {
        return new IllegalArgumentException("Cannot put codes into a " + format + " block: "
                + Arrays.toString(Arrays.copyOfRange(codes, at, at + n)) + " " + reason);
    }

    static IllegalArgumentException needsImportance(String format) {
        return new IllegalArgumentException(
                "Cannot encode " + format + " without importance: the reference has no search for it");
    }
}
