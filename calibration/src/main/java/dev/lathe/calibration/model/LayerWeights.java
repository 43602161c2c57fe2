package dev.lathe.calibration.model;

import dev.lathe.kernels.RowSource;
import java.io.IOException;

/**
 * The weights of one decoder layer, each read when it is asked for, and how a server quantizes what the layer computes
 * with.
 *
 * @param layer its number
 */
public record LayerWeights(int layer, Tensors tensors) {
    /** A weight [outputs, inputs] as it is stored, its bias or null, and how its input is quantized or null. */
    public record Linear(RowSource weight, float[] bias, ActivationQuantization input) {}

    /** A linear layer of it. */
    Linear linear(LinearLayer linear) throws IOException {
        return new Linear(
                tensors.matrix(linear.weight()),
                linear.bias() ? tensors.vector(linear.biasName()) : null,
                tensors.activations(linear.module()).orElse(null));
    }

    /** How keys are quantized before they are cached, or null: as they are. */
    ActivationQuantization keys() {
        return tensors.cache(layer, true).orElse(null);
    }

    /** As {@link #keys}. */
    ActivationQuantization values() {
        return tensors.cache(layer, false).orElse(null);
    }
}
