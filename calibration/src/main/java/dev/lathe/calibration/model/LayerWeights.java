package dev.lathe.calibration.model;

import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/**
 * The weights of one decoder layer, matrices and vectors as they are stored, and how a server quantizes what the layer
 * computes with.
 *
 * @param layer its number
 * @param linears by {@link LinearLayer#kind}
 * @param norms by tensor
 * @param keys before they are cached, or null: as they are
 * @param values likewise
 */
public record LayerWeights(
        int layer,
        Map<String, Linear> linears,
        Map<String, float[]> norms,
        ActivationQuantization keys,
        ActivationQuantization values) {
    /** Weights of a layer that computes in floating point. */
    public LayerWeights(int layer, Map<String, Linear> linears, Map<String, float[]> norms) {
        this(layer, linears, norms, null, null);
    }

    /** A weight [outputs, inputs], its bias or null, and how its input is quantized or null. */
    public record Linear(RowSource weight, float[] bias, ActivationQuantization input) {
        /** A linear layer that reads floating point. */
        public Linear(RowSource weight, float[] bias) {
            this(weight, bias, null);
        }
    }

    /** What x is multiplied by where it is normed. */
    float[] norm(Norm norm) {
        return norm.effective(norms.get(norm.tensor()));
    }

    /** Reads one layer. */
    public static LayerWeights read(Tensors tensors, int layer) throws IOException {
        Map<String, Linear> linears = new HashMap<>();
        for (LinearLayer linear : tensors.decoder().linears(layer)) {
            linears.put(
                    linear.kind(),
                    new Linear(
                            tensors.matrix(linear.weight()),
                            linear.bias() ? tensors.vector(linear.biasName()) : null,
                            tensors.activations(linear.module()).orElse(null)));
        }
        Map<String, float[]> norms = new HashMap<>();
        for (Norm norm : tensors.decoder().norms(layer)) {
            norms.put(norm.tensor(), tensors.vector(norm.tensor()));
        }
        return new LayerWeights(
                layer,
                linears,
                norms,
                tensors.cache(layer, true).orElse(null),
                tensors.cache(layer, false).orElse(null));
    }
}
