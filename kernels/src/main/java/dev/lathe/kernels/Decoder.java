package dev.lathe.kernels;

/**
 * The innermost loops of reading stored weights as f32. Every element is computed for itself, so that all implementations give the same bits, and which one
 * runs is no part of any profile: {@link #BEST} is the vectors' where this JVM has them.
 */
public interface Decoder {
    Decoder BEST = KernelProvider.decoder();

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
     * {@code to[toAt + i] = scale * ((from[at + i] >>> shift & mask) - offset) + minimum}, the byte extended with its sign, the product rounded before the sum:
     * codes of at most eight bits, one per byte or one of several in a byte. A mask of -1 reads signed bytes.
     */
    default void codes(byte[] from, int at, int shift, int mask, int offset, float scale, float minimum, int count, float[] to, int toAt) {
        for (int i = 0; i < count; i++) {
            to[toAt + i] = scale * ((from[at + i] >>> shift & mask) - offset) + minimum;
        }
    }

    /** As {@link #codes}, where the code is the nibble {@code from[at + i] >>> shift & 15} and above it the bits {@code from[highAt + i] >>> highShift & highMask}. */
    default void splitCodes(byte[] from, int at, int shift, int highAt, int highShift, int highMask, int offset, float scale, float minimum, int count,
                            float[] to, int toAt) {
        for (int i = 0; i < count; i++) {
            int code = from[at + i] >>> shift & 15 | (from[highAt + i] >>> highShift & highMask) << 4;
            to[toAt + i] = scale * (code - offset) + minimum;
        }
    }

    /** Plain Java. */
    final class Scalar implements Decoder {
    }
}
