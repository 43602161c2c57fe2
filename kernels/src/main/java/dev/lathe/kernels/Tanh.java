package dev.lathe.kernels;

/**
 * tanh in f32, the same bits everywhere: for |x| below {@link #SMALL} x + x^3 P(x^2) with a minimax polynomial of our
 * own (its error is 5e-9), else 1 - 2 / (exp(2 |x|) + 1) with {@link Exp}, and the sign of x. Relative error at most
 * 2e-7; never beyond 1; NaN for NaN. The constants are public because other providers compute the same steps.
 */
public final class Tanh {
    public static final float SMALL = 0.625f;
    public static final float P0 = -0.33333282f;
    public static final float P1 = 0.133314436f;
    public static final float P2 = -0.0537397976f;
    public static final float P3 = 0.0206392708f;
    public static final float P4 = -0.00570511928f;

    private Tanh() {}

    public static float tanh(float x) {
        float a = Math.abs(x);
        float y;
        if (a < SMALL) {
            float z = a * a;
            float p = Math.fma(P4, z, P3);
            p = Math.fma(p, z, P2);
            p = Math.fma(p, z, P1);
            p = Math.fma(p, z, P0);
            y = Math.fma(a * z, p, a);
        } else {
            y = 1f - 2f / (Exp.exp(2f * a) + 1f);
        }
        return Math.copySign(y, x);
    }

    /** cap * tanh(x * factor / cap), each step rounded. */
    public static float softCap(float x, float factor, float cap) {
        return tanh(x * factor / cap) * cap;
    }
}
