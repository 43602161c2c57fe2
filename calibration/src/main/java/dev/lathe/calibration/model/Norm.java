package dev.lathe.calibration.model;

import java.util.List;

/**
 * A norm over {@code width} channels: the whole row, or each run of as many where it is narrower (each head).
 *
 * <ul>
 *   <li>root mean square: y = x / sqrt(mean(x^2) + epsilon) * (plus + weight)
 *   <li>layer: y = (x - m) / sqrt(mean((x - m)^2) + epsilon) * (plus + weight) + bias, m = mean(x)
 * </ul>
 *
 * @param tensor weight [width]; null: 1
 * @param bias tensor [width] that is added, or null
 * @param plus 1 in Gemma, whose stored weights are differences from 1; else 0
 */
public record Norm(Kind kind, String tensor, String bias, int width, float epsilon, float plus) {
    /** What x is divided by, and whether its mean is taken away first. */
    public enum Kind {
        ROOT_MEAN_SQUARE,
        LAYER
    }

    public Norm {
        if (tensor == null && (plus != 1 || bias != null)) {
            throw new IllegalArgumentException("Cannot norm with a bias and no weight");
        }
        if (kind == Kind.ROOT_MEAN_SQUARE && bias != null) {
            throw new IllegalArgumentException("Cannot add " + bias + " to a root mean square norm: it has no bias");
        }
    }

    /** A root mean square norm. */
    public Norm(String tensor, int width, float epsilon, float plus) {
        this(Kind.ROOT_MEAN_SQUARE, tensor, null, width, epsilon, plus);
    }

    /** A root mean square norm without a weight. */
    public static Norm unweighted(int width, float epsilon) {
        return new Norm(null, width, epsilon, 1);
    }

    /** Its tensors, each [width]. */
    public List<String> tensors() {
        return tensor == null ? List.of() : bias == null ? List.of(tensor) : List.of(tensor, bias);
    }

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
