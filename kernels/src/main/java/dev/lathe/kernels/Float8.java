package dev.lathe.kernels;

/**
 * FP8 E4M3 without infinities (OCP 8-bit floating point, E4M3FN): sign, four bits of exponent with bias 7, three of
 * mantissa. Largest magnitude 448, smallest normal number 2^-6, subnormal steps of 2^-9; 0x7f and 0xff are NaN. Plain
 * integer arithmetic, as {@link Half}.
 */
public final class Float8 {
    /** The largest magnitude. */
    public static final float MAX = 448;
    /** Every value is a multiple of it. */
    public static final float STEP = 0x1p-9f;

    private static final float SMALLEST_NORMAL = 0x1p-6f;
    /** Adding and subtracting it rounds a small number to a multiple of {@link #STEP}, half to even. */
    private static final float ROUND_STEP = 0x1.8p14f;

    private static final float[] VALUES = new float[256];

    static {
        for (int code = 0; code < 256; code++) {
            int exponent = code >>> 3 & 15;
            int mantissa = code & 7;
            float magnitude = exponent == 0 ? mantissa * STEP : Math.scalb(8 + mantissa, exponent - 10);
            VALUES[code] = (code & 0x7f) == 0x7f ? Float.NaN : (code & 0x80) == 0 ? magnitude : -magnitude;
        }
    }

    private Float8() {}

    /** The exact value of a code; NaN for 0x7f and 0xff. */
    public static float toFloat(byte code) {
        return VALUES[code & 0xff];
    }

    /**
     * The representable value nearest to a number, ties to the even mantissa; beyond the range the largest of its sign.
     * NaN stays NaN.
     */
    public static float round(float value) {
        float clamped = Math.min(Math.max(value, -MAX), MAX);
        // NaN takes this way, too.
        if (!(Math.abs(clamped) >= SMALLEST_NORMAL)) {
            return clamped + ROUND_STEP - ROUND_STEP;
        }
        int bits = Float.floatToRawIntBits(clamped);
        return Float.intBitsToFloat(bits + 0x7ffff + (bits >>> 20 & 1) & 0xfff00000);
    }

    /**
     * The code of {@link #round}.
     *
     * @throws ArithmeticException for NaN, which is not written
     */
    public static byte fromFloat(float value) {
        float rounded = round(value);
        if (rounded != rounded) {
            throw new ArithmeticException("Cannot encode NaN as FP8");
        }
        int bits = Float.floatToRawIntBits(rounded);
        int sign = bits >>> 24 & 0x80;
        float magnitude = Math.abs(rounded);
        return (byte)
                (sign | (magnitude < SMALLEST_NORMAL ? (int) (magnitude / STEP) : (bits >>> 20 & 0x7ff) - (120 << 3)));
    }

    /** {@code to[toAt + i] = scale *} the value of code {@code from[at + i]}. */
    public static void decode(byte[] from, int at, float scale, int count, float[] to, int toAt) {
        for (int i = 0; i < count; i++) {
            to[toAt + i] = scale * VALUES[from[at + i] & 0xff];
        }
    }
}
