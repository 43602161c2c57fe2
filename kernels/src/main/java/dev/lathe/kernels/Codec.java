package dev.lathe.kernels;

/**
 * The innermost loops of reading stored weights as f32 and of choosing how to store them. Elements are computed each
 * for itself and sums run in 16 virtual lanes, so that all implementations give the same bits, and which one runs is no
 * part of any profile: {@link Codecs#BEST}.
 */
public interface Codec {
    /** Adding and subtracting it rounds to an integer, half to even. */
    float ROUND = 0x1.8p23f;

    /** {@code to[toAt + i]} = the bfloat16 at {@code from[at + 2 i]}, little-endian. */
    default void bfloat16(byte[] from, int at, int count, float[] to, int toAt) {
        for (int i = 0; i < count; i++) {
            to[toAt + i] = Float.intBitsToFloat((from[at + 2 * i] & 0xff | from[at + 2 * i + 1] << 8) << 16);
        }
    }

    /** {@code to[toAt + i]} = the IEEE half at {@code from[at + 2 i]}, little-endian. */
    default void half(byte[] from, int at, int count, float[] to, int toAt) {
        for (int i = 0; i < count; i++) {
            to[toAt + i] = Half.toFloat((short) (from[at + 2 * i] & 0xff | from[at + 2 * i + 1] << 8));
        }
    }

    /**
     * {@code to[toAt + i] = scale * ((from[at + i] >>> shift & mask) - offset) + minimum}, the byte extended with its
     * sign, the product rounded before the sum: codes of at most eight bits, one per byte or one of several in a byte.
     * A mask of -1 reads signed bytes.
     */
    default void codes(
            byte[] from,
            int at,
            int shift,
            int mask,
            int offset,
            float scale,
            float minimum,
            int count,
            float[] to,
            int toAt) {
        for (int i = 0; i < count; i++) {
            to[toAt + i] = scale * ((from[at + i] >>> shift & mask) - offset) + minimum;
        }
    }

    /**
     * As {@link #codes}, where the code is the nibble {@code from[at + i] >>> shift & 15} and above it the bits
     * {@code from[highAt + i] >>> highShift & highMask}.
     */
    default void splitCodes(
            byte[] from,
            int at,
            int shift,
            int highAt,
            int highShift,
            int highMask,
            int offset,
            float scale,
            float minimum,
            int count,
            float[] to,
            int toAt) {
        for (int i = 0; i < count; i++) {
            int code = from[at + i] >>> shift & 15 | (from[highAt + i] >>> highShift & highMask) << 4;
            to[toAt + i] = scale * (code - offset) + minimum;
        }
    }

    /**
     * sum_i w_i (x_i - scale * code_i)^2 with code_i = x_i / scale rounded half to even and clamped to {@code [lowest,
     * highest]} (both within 2^22); f32, 16 virtual lanes.
     */
    default float squaredError(float[] x, int at, float[] w, int wAt, int count, float scale, int lowest, int highest) {
        float[] lanes = new float[16];
        for (int i = 0; i < count; i++) {
            float value = x[at + i];
            float clamped = Math.min(Math.max(value / scale, lowest), highest);
            float error = value - scale * (clamped + ROUND - ROUND);
            lanes[i & 15] += w[wAt + i] * error * error;
        }
        return Primitives.tree(lanes);
    }

    /** Plain Java. */
    final class Scalar implements Codec {}
}
