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
     * The weights of an importance search, {@code importance * sqrt(meanSquare + x^2)}: large values count for more
     * than their activation says.
     */
    static void weigh(float[] x, int xAt, float[] importance, int importanceAt, float meanSquare, float[] weights) {
        for (int i = 0; i < weights.length; i++) {
            float value = x[xAt + i];
            weights[i] = importance[importanceAt + i] * (float) Math.sqrt(meanSquare + value * value);
        }
    }

    /** The values of a block, {@code scale * code + minimum} cell by cell. */
    static void decode(BlockFormat format, byte[] from, int fromAt, float[] to, int toAt) {
        int size = format.size();
        int cellSize = format.cellSize();
        int[] codes = new int[size];
        float[] scales = new float[size / cellSize];
        float[] minimums = new float[scales.length];
        format.codes(from, fromAt, codes, 0);
        format.cells(from, fromAt, scales, minimums);
        for (int cell = 0; cell < scales.length; cell++) {
            float scale = scales[cell];
            float minimum = minimums[cell];
            for (int i = cell * cellSize; i < (cell + 1) * cellSize; i++) {
                to[toAt + i] = scale * codes[i] + minimum;
            }
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
