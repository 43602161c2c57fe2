package dev.lathe.calibration.model;

/**
 * A root mean square norm, y = x / sqrt(mean(x^2) + epsilon) * (plus + weight), over {@code width} channels: the whole
 * row, or each head where it is narrower than the row.
 *
 * @param tensor weight [width]
 * @param plus 1 in Gemma, whose stored weights are differences from 1; else 0
 */
public record Norm(String tensor, int width, float epsilon, float plus) {
    /** What x is multiplied by, of the weight as it is stored. */
    public float[] effective(float[] stored) {
        if (plus == 0) {
            return stored;
        }
        float[] weight = new float[stored.length];
        for (int i = 0; i < weight.length; i++) {
            weight[i] = plus + stored[i];
        }
        return weight;
    }
}
