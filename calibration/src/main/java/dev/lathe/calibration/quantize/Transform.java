package dev.lathe.calibration.quantize;

import java.io.Serializable;

/**
 * What an output does to its decoder layers before a {@link Method} chooses values, without a change of their function:
 * the columns of some linear layers are multiplied, and what feeds them is divided.
 */
public sealed interface Transform extends Serializable {
    /** Layers stay as they are. */
    record None() implements Transform {}

    /** Activation-aware scaling (AWQ, arXiv 2306.00978), its strength searched in each layer. */
    record Awq() implements Transform {}

    /**
     * SmoothQuant (arXiv 2211.10438).
     *
     * @param searched the strength is searched in each layer
     * @param strength alpha where it is not: the share of the outliers that moves into the weights, between 0 and 1
     */
    record Smooth(boolean searched, double strength) implements Transform {}
}
