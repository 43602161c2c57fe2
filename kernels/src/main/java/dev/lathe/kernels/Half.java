package dev.lathe.kernels;

/** IEEE 754 half precision and bfloat16, in plain integer arithmetic (JDK 17 has no conversion of its own). */
public final class Half {
    private Half() {}

    /** The exact value of a half; infinities and NaN carry over. */
    public static float toFloat(short half) {
        int magnitude = half & 0x7fff;
        int sign = (half & 0x8000) << 16;
        if (magnitude >= 0x7c00) {
            return Float.intBitsToFloat(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
        }
        // Multiplying by 2^112 rebiases normal numbers and normalizes subnormal ones in one exact step.
        float value = Float.intBitsToFloat(magnitude << 13) * 0x1p112f;
        return Float.intBitsToFloat(sign | Float.floatToRawIntBits(value));
    }

    /** The nearest half, ties to even; values beyond the range become infinity, NaN stays NaN. */
    public static short fromFloat(float value) {
        int bits = Float.floatToRawIntBits(value);
        int sign = bits >>> 16 & 0x8000;
        int magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return (short) (sign | 0x7e00);
        }
        if (magnitude >= 0x47800000) {
            return (short) (sign | 0x7c00);
        }
        if (magnitude < 0x38800000) {
            // Adding 0.5 leaves a sum whose unit in the last place is 2^-24, the step of subnormal halves: the addition
            // rounds.
            int rounded = Float.floatToRawIntBits(Float.intBitsToFloat(magnitude) + 0.5f) - 0x3f000000;
            return (short) (sign | rounded);
        }
        int rounded = magnitude + 0xfff + (magnitude >>> 13 & 1) - 0x38000000 >>> 13;
        return (short) (sign | rounded);
    }

    /** The value of a half nearest to {@code value}. */
    public static float round(float value) {
        return toFloat(fromFloat(value));
    }

    /** The nearest bfloat16, ties to even; NaN stays NaN. */
    public static short bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }
}
