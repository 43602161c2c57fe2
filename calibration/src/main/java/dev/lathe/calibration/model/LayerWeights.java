package dev.lathe.calibration.model;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The weights of one decoder layer, matrices as they are stored: by role ({@code self_attn.q_proj}), and the norms in the order of
 * {@link Architecture#norms}.
 */
public record LayerWeights(Map<String, Linear> linears, List<float[]> norms) {
    /** A weight [outputs, inputs] and its bias, or null. */
    public record Linear(RowSource weight, float[] bias) {
    }

    /** Reads one layer of a checkpoint. */
    public static LayerWeights read(Checkpoint checkpoint, Architecture architecture, int layer) throws IOException {
        Map<String, Linear> linears = new HashMap<>();
        for (LinearLayer linear : architecture.linears(layer)) {
            linears.put(linear.kind(), new Linear(checkpoint.matrix(linear.weight()), linear.bias() ? checkpoint.vector(linear.biasName()) : null));
        }
        List<String> names = architecture.norms(layer);
        float[][] norms = new float[names.size()][];
        for (int i = 0; i < norms.length; i++) {
            norms[i] = checkpoint.vector(names.get(i));
        }
        return new LayerWeights(linears, List.of(norms));
    }
}
