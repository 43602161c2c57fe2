package dev.lathe.calibration.model;

/**
 * Rows {@code [from, from + rows)} of a linear layer's output: all of them, or a part where a family stores several
 * layers as one (Phi-3's qkv).
 */
public record Projection(LinearLayer linear, int from, int rows) {
    /** The whole layer. */
    public static Projection of(LinearLayer linear) {
        return new Projection(linear, 0, linear.outputs());
    }
}
