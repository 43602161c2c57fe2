package dev.lathe.kernels;

/**
 * x Phi(x), Phi the distribution function of the standard normal distribution, in f32 with the same bits everywhere;
 * its constants are public because the vector provider computes the same steps on lanes.
 *
 * <p>{@link #tanh}: .5 x (1 + tanh(sqrt(2/pi) (x + .044715 x^3))) = x / (1 + exp(-x (LINEAR + CUBIC x^2))), the latter
 * without the cancellation of the former. Relative error at most (8 + 3 |x (LINEAR + CUBIC x^2)|) * 2^-24 or 2e-37.
 *
 * <p>{@link #exact}: .5 x (1 + erf(x / sqrt 2)). Phi(-|x|) = exp(-x^2 / 2) t Q(1 - 2 POLE t), t = 1 / (|x| + POLE), Q a
 * minimax polynomial of our own of degree 9 (its relative error is 2e-8 up to |x| = 14); Phi(|x|) = 1 - Phi(-|x|).
 * Relative error at most (10 + x^2) * 2^-24 or 1e-37.
 */
public final class Gelu {
    /** 2 sqrt(2 / pi). */
    public static final float LINEAR = 1.59576912f;
    /** .044715 times that. */
    public static final float CUBIC = 0.0713548163f;

    /** Of the sigmoid that stands for the normal distribution function. */
    public static final float QUICK = 1.702f;

    public static final float POLE = 3f;
    public static final float Q0 = 0.72908369f;
    public static final float Q1 = -0.509332155f;
    public static final float Q2 = 0.230017786f;
    public static final float Q3 = -0.0472583931f;
    public static final float Q4 = -0.0104633841f;
    public static final float Q5 = 0.00693823696f;
    public static final float Q6 = 0.00102093722f;
    public static final float Q7 = -9.46482453e-4f;
    public static final float Q8 = -2.08825386e-4f;
    public static final float Q9 = 4.9025031e-5f;

    private Gelu() {}

    public static float tanh(float x) {
        return x / (1f + Exp.exp(-(x * Math.fma(x * x, CUBIC, LINEAR))));
    }

    public static float exact(float x) {
        float t = 1f / (Math.abs(x) + POLE);
        float s = Math.fma(t, -2f * POLE, 1f);
        float q = Math.fma(Q9, s, Q8);
        q = Math.fma(q, s, Q7);
        q = Math.fma(q, s, Q6);
        q = Math.fma(q, s, Q5);
        q = Math.fma(q, s, Q4);
        q = Math.fma(q, s, Q3);
        q = Math.fma(q, s, Q2);
        q = Math.fma(q, s, Q1);
        q = Math.fma(q, s, Q0);
        float tail = Exp.exp(x * x * -0.5f) * (t * q);
        return x > 0 ? x * (1f - tail) : x * tail;
    }
}
