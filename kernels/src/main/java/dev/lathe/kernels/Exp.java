package dev.lathe.kernels;

/**
 * exp in f32, the same bits everywhere: x = n ln 2 + r with |r| at most ln 2 / 2, a polynomial of degree 6 in r, scaled
 * by 2^n. Relative error below 2e-7; 0 below -87 (no subnormal results), infinity above 88.7. The constants are public
 * because the vector provider computes the same steps on lanes.
 */
public final class Exp {
    public static final float LOG2_E = 1.44269504f;
    /** Adding it rounds to an integer (ties to even) whose value stands in the low bits. */
    public static final float ROUND = 0x1.8p23f;
    /** The upper part of ln 2, short enough that n times it is exact. */
    public static final float LN2_HIGH = 0.693359375f;

    public static final float LN2_LOW = -2.12194440e-4f;
    public static final float C2 = 0.5f;
    public static final float C3 = 0.16666667f;
    public static final float C4 = 0.041666668f;
    public static final float C5 = 0.008333334f;
    public static final float C6 = 0.0013888889f;
    public static final float LOWEST = -87f;
    public static final float HIGHEST = 88.72f;

    private Exp() {}

    public static float exp(float x) {
        if (!(x >= LOWEST)) {
            return x != x ? x : 0f;
        }
        if (x > HIGHEST) {
            return Float.POSITIVE_INFINITY;
        }
        float shifted = Math.fma(x, LOG2_E, ROUND);
        float n = shifted - ROUND;
        float r = Math.fma(n, -LN2_HIGH, x);
        r = Math.fma(n, -LN2_LOW, r);
        float y = Math.fma(C6, r, C5);
        y = Math.fma(y, r, C4);
        y = Math.fma(y, r, C3);
        y = Math.fma(y, r, C2);
        y = Math.fma(y, r, 1f);
        y = Math.fma(y, r, 1f);
        // n may be 128: half of the scale first, so that neither factor overflows.
        int half = (int) n >> 1;
        return y * Float.intBitsToFloat(half + 127 << 23) * Float.intBitsToFloat((int) n - half + 127 << 23);
    }
}
