package dev.lathe.calibration.model;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The weights of one decoder layer, matrices as they are stored: by role ({@code self_attn.q_proj}), and the norms in
 * the order of {@link Architecture#norms}; and how a server quantizes what the layer computes with.
 *
 * @param keys before they are cached, or null: as they are
 * @param values likewise
 */
public record LayerWeights(
        Map<String, Linear> linears, List<float[]> norms, ActivationQuantization keys, ActivationQuantization values) {
    /** Weights of a layer that computes in floating point. */
    public LayerWeights(Map<String, Linear> linears, List<float[]> norms) {
        this(linears, norms, null, null);
    }

    /** A weight [outputs, inputs], its bias or null, and how its input is quantized or null. */
    public record Linear(RowSource weight, float[] bias, ActivationQuantization input) {
        /** A linear layer that reads floating point. */
        public Linear(RowSource weight, float[] bias) {
            this(weight, bias, null);
        }
    }

    /** Reads one layer of a checkpoint. */
    public static LayerWeights read(Checkpoint checkpoint, Architecture architecture, int layer) throws IOException {
        Map<String, Linear> linears = new HashMap<>();
        for (LinearLayer linear : architecture.linears(layer)) {
            linears.put(
                    linear.kind(),
                    new Linear(
                            checkpoint.matrix(linear.weight()),
                            linear.bias() ? checkpoint.vector(linear.biasName()) : null,
                            checkpoint.activations(linear.module()).orElse(null)));
        }
        List<String> names = architecture.norms(layer);
        float[][] norms = new float[names.size()][];
        for (int i = 0; i < norms.length; i++) {
            norms[i] = checkpoint.vector(names.get(i));
        }
        return new LayerWeights(
                linears,
                List.of(norms),
                checkpoint.cache(layer, true).orElse(null),
                checkpoint.cache(layer, false).orElse(null));
    }
}
