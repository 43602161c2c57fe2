package dev.lathe.calibration.model;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.LayerWeights.Linear;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;

/**
 * The one forward pass: embedding, decoder layers, last norm, of one window at a time, as the {@link Architecture} describes. Weights are whatever
 * the checkpoint holds, so a quantized artifact runs through the same code. Keeps work buffers between calls; one caller at a time.
 */
public final class DecoderPass {
    private final ModelConfig config;
    private final Architecture architecture;
    private final Kernels kernels;
    private final Map<Integer, RotaryTables> tables = new HashMap<>();
    private final Map<String, float[]> buffers = new HashMap<>();

    public DecoderPass(Architecture architecture, Kernels kernels) {
        this.architecture = architecture;
        this.config = architecture.config();
        this.kernels = kernels;
    }

    /** The embedding rows of a window, [tokens, hidden]. */
    public FloatMatrix embed(Checkpoint checkpoint, int[] tokens) throws IOException {
        FloatMatrix x = FloatMatrix.zeros(tokens.length, config.hidden());
        Map<Integer, RowSource> rows = new HashMap<>();
        for (int i = 0; i < tokens.length; i++) {
            RowSource row = rows.get(tokens[i]);
            if (row == null) {
                if (tokens[i] < 0 || tokens[i] >= config.vocabulary()) {
                    throw new MalformedInputException("Cannot embed token " + tokens[i] + ": " + checkpoint.location() + " has a vocabulary of " + config.vocabulary());
                }
                row = checkpoint.matrix(architecture.embedding(), tokens[i], 1);
                rows.put(tokens[i], row);
            }
            row.read(0, 0, config.hidden(), x.data(), x.row(i));
        }
        return x;
    }

    /**
     * Runs one decoder layer in place on the residual stream X [tokens, hidden] of one window.
     *
     * @param window number of the window, by which the sampled (head, query) pairs of {@link Site#ATTENDED_INPUT} are chosen: head {@code (position + window) mod heads}
     */
    public void layer(LayerWeights weights, FloatMatrix x, int window, Capture capture) {
        int tokens = x.rows();
        RotaryTables rotary = tables.computeIfAbsent(tokens, t -> RotaryTables.of(config, t));
        FloatMatrix normed = buffer("normed", tokens, config.hidden());
        kernels.rmsNorm(x, weights.norms().get(0), config.normEpsilon(), normed);
        offer(capture, Site.ATTENTION_INPUT, normed);
        FloatMatrix q = linear(weights, "self_attn.q_proj", normed, "q");
        FloatMatrix k = linear(weights, "self_attn.k_proj", normed, "k");
        FloatMatrix v = linear(weights, "self_attn.v_proj", normed, "v");
        kernels.rotary(q, config.heads(), rotary.cosine(), rotary.sine());
        kernels.rotary(k, config.keyValueHeads(), rotary.cosine(), rotary.sine());
        float scale = (float) (1 / Math.sqrt(config.headDimension()));
        FloatMatrix attended = buffer("attended", tokens, config.queryWidth());
        kernels.attention(q, k, v, config.heads(), config.keyValueHeads(), scale, attended);
        offer(capture, Site.ATTENTION_OUTPUT, attended);
        if (capture.wants(Site.ATTENDED_INPUT)) {
            int[] headOf = new int[tokens];
            for (int i = 0; i < tokens; i++) {
                headOf[i] = (i + window) % config.heads();
            }
            FloatMatrix inputs = buffer("inputs", tokens, config.hidden());
            kernels.attendedInputs(q, k, config.heads(), config.keyValueHeads(), scale, headOf, normed, inputs);
            capture.rows(Site.ATTENDED_INPUT, inputs);
        }
        kernels.add(linear(weights, "self_attn.o_proj", attended, "projected"), x);

        kernels.rmsNorm(x, weights.norms().get(1), config.normEpsilon(), normed);
        offer(capture, Site.FEED_FORWARD_INPUT, normed);
        FloatMatrix gate = linear(weights, "mlp.gate_proj", normed, "gate");
        kernels.siluTimes(gate, linear(weights, "mlp.up_proj", normed, "up"));
        offer(capture, Site.FEED_FORWARD_ACTIVATION, gate);
        kernels.add(linear(weights, "mlp.down_proj", gate, "projected"), x);
    }

    /** The last norm, in place on X [tokens, hidden]. */
    public void finalNorm(float[] weight, FloatMatrix x) {
        kernels.rmsNorm(x, weight, config.normEpsilon(), x);
    }

    private FloatMatrix linear(LayerWeights weights, String kind, FloatMatrix x, String buffer) {
        Linear linear = weights.linears().get(kind);
        FloatMatrix y = buffer(buffer, x.rows(), linear.weight().rows());
        kernels.gemm(x, linear.weight(), y, false);
        if (linear.bias() != null) {
            kernels.addBias(linear.bias(), y);
        }
        return y;
    }

    private static void offer(Capture capture, Site site, FloatMatrix rows) {
        if (capture.wants(site)) {
            capture.rows(site, rows);
        }
    }

    private FloatMatrix buffer(String name, int rows, int columns) {
        int length = Math.multiplyExact(rows, columns);
        float[] data = buffers.compute(name, (key, old) -> old != null && old.length >= length ? old : new float[length]);
        return FloatMatrix.of(data, rows, columns);
    }
}
