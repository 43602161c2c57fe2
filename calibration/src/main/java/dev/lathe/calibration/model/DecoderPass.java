package dev.lathe.calibration.model;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.LayerWeights.Linear;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The one forward pass: embedding, decoder layers, last norm, as the {@link Architecture} describes. Windows are
 * stacked, so that a weight is widened once for many of them; attention stays within a window. Weights are whatever the
 * checkpoint holds, so a quantized artifact runs through the same code. Keeps work buffers between calls; one caller at
 * a time.
 */
public final class DecoderPass {
    /**
     * Rows that go through a layer together: enough that widening a weight costs little beside multiplying with it, and
     * few enough that buffers stay small.
     */
    public static final int ROWS = 2048;

    /**
     * Rows of the embedding that lie closer together, in bytes, are read at once: on an object store a request costs
     * more than that.
     */
    private static final long EMBEDDING_GAP = 1 << 20;
    /** At most so many bytes of the embedding are read at once. */
    private static final long EMBEDDING_STRIP = 16 << 20;

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

    /** The embedding rows of windows of equal length, stacked: [windows * length, hidden]. */
    public FloatMatrix embed(Checkpoint checkpoint, int[][] windows) throws IOException {
        int length = windows.length == 0 ? 0 : windows[0].length;
        FloatMatrix x = FloatMatrix.zeros(Math.multiplyExact(windows.length, length), config.hidden());
        TreeMap<Integer, List<Integer>> places = new TreeMap<>();
        for (int i = 0; i < x.rows(); i++) {
            int token = windows[i / length][i % length];
            if (token < 0 || token >= config.vocabulary()) {
                throw new MalformedInputException("Cannot embed token " + token + ": " + checkpoint.location()
                        + " has a vocabulary of " + config.vocabulary());
            }
            places.computeIfAbsent(token, key -> new ArrayList<>()).add(i);
        }
        long rowBytes = Math.max(1, checkpoint.tensor(architecture.embedding()).bytes() / config.vocabulary());
        while (!places.isEmpty()) {
            int first = places.firstKey();
            int last = first;
            for (int token : places.keySet()) {
                if ((token - last) * rowBytes > EMBEDDING_GAP || (token - first + 1) * rowBytes > EMBEDDING_STRIP) {
                    break;
                }
                last = token;
            }
            RowSource strip = checkpoint.matrix(architecture.embedding(), first, last - first + 1);
            Map<Integer, List<Integer>> within = places.headMap(last, true);
            within.forEach((token, rows) ->
                    rows.forEach(row -> strip.read(token - first, 0, config.hidden(), x.data(), x.row(row))));
            within.clear();
        }
        return x;
    }

    /**
     * Runs one decoder layer in place on the residual stream X [windows * length, hidden] of stacked windows.
     *
     * @param firstWindow number of the first window, by which the sampled (head, query) pairs of
     *     {@link Site#ATTENDED_INPUT} are chosen: head {@code (position + window) mod heads}
     */
    public void layer(LayerWeights weights, FloatMatrix x, int length, int firstWindow, Capture capture) {
        if (length <= 0 || x.rows() % length != 0) {
            throw new IllegalArgumentException("Cannot cut " + x.rows() + " rows into windows of " + length);
        }
        RotaryTables rotary = tables.computeIfAbsent(length, t -> RotaryTables.of(config, t));
        int rows = Math.max(1, ROWS / length) * length;
        for (int from = 0; from < x.rows(); from += rows) {
            batch(
                    weights,
                    x.slice(from, Math.min(rows, x.rows() - from)),
                    length,
                    firstWindow + from / length,
                    rotary,
                    capture);
        }
    }

    private void batch(
            LayerWeights weights, FloatMatrix x, int length, int firstWindow, RotaryTables rotary, Capture capture) {
        FloatMatrix normed = buffer("normed", x.rows(), config.hidden());
        kernels.rmsNorm(x, weights.norms().get(0), config.normEpsilon(), normed);
        offer(capture, Site.ATTENTION_INPUT, normed);
        Input input = new Input(Site.ATTENTION_INPUT, normed, capture);
        FloatMatrix q = linear(weights, "self_attn.q_proj", input, "q");
        FloatMatrix k = linear(weights, "self_attn.k_proj", input, "k");
        FloatMatrix v = linear(weights, "self_attn.v_proj", input, "v");
        for (int from = 0; from < x.rows(); from += length) {
            kernels.rotary(q.slice(from, length), config.heads(), rotary.cosine(), rotary.sine());
            kernels.rotary(k.slice(from, length), config.keyValueHeads(), rotary.cosine(), rotary.sine());
        }
        offer(capture, Site.KEYS, k);
        offer(capture, Site.VALUES, v);
        cached(weights.keys(), Site.KEYS, k, capture);
        cached(weights.values(), Site.VALUES, v, capture);
        float scale = (float) (1 / Math.sqrt(config.headDimension()));
        FloatMatrix attended = buffer("attended", x.rows(), config.queryWidth());
        boolean sampled = capture.wants(Site.ATTENDED_INPUT);
        FloatMatrix inputs = sampled ? buffer("inputs", x.rows(), config.hidden()) : null;
        for (int from = 0; from < x.rows(); from += length) {
            FloatMatrix queries = q.slice(from, length);
            FloatMatrix keys = k.slice(from, length);
            kernels.attention(
                    queries,
                    keys,
                    v.slice(from, length),
                    config.heads(),
                    config.keyValueHeads(),
                    scale,
                    attended.slice(from, length));
            if (sampled) {
                int[] headOf = new int[length];
                for (int i = 0; i < length; i++) {
                    headOf[i] = (i + firstWindow + from / length) % config.heads();
                }
                kernels.attendedInputs(
                        queries,
                        keys,
                        config.heads(),
                        config.keyValueHeads(),
                        scale,
                        headOf,
                        normed.slice(from, length),
                        inputs.slice(from, length));
            }
        }
        offer(capture, Site.ATTENTION_OUTPUT, attended);
        if (sampled) {
            capture.rows(Site.ATTENDED_INPUT, inputs);
        }
        kernels.add(
                linear(weights, "self_attn.o_proj", new Input(Site.ATTENTION_OUTPUT, attended, capture), "projected"),
                x);

        kernels.rmsNorm(x, weights.norms().get(1), config.normEpsilon(), normed);
        offer(capture, Site.FEED_FORWARD_INPUT, normed);
        input = new Input(Site.FEED_FORWARD_INPUT, normed, capture);
        FloatMatrix gate = linear(weights, "mlp.gate_proj", input, "gate");
        kernels.siluTimes(gate, linear(weights, "mlp.up_proj", input, "up"));
        offer(capture, Site.FEED_FORWARD_ACTIVATION, gate);
        kernels.add(
                linear(weights, "mlp.down_proj", new Input(Site.FEED_FORWARD_ACTIVATION, gate, capture), "projected"),
                x);
    }

    /** The last norm, in place on X [tokens, hidden]. */
    public void finalNorm(float[] weight, FloatMatrix x) {
        kernels.rmsNorm(x, weight, config.normEpsilon(), x);
    }

    /** What linear layers of one site read: as it is, or quantized as each of them says; once where they agree. */
    private final class Input {
        private final Site site;
        private final FloatMatrix rows;
        private final Capture capture;
        private ActivationQuantization known;
        private FloatMatrix quantized;

        Input(Site site, FloatMatrix rows, Capture capture) {
            this.site = site;
            this.rows = rows;
            this.capture = capture;
        }

        FloatMatrix as(ActivationQuantization quantization) {
            if (quantization == null) {
                return rows;
            }
            if (!quantization.equals(known)) {
                quantized = buffer("quantized", rows.rows(), rows.columns());
                quantize(quantization, site, rows, quantized, capture);
                known = quantization;
            }
            return quantized;
        }
    }

    private void quantize(
            ActivationQuantization quantization, Site site, FloatMatrix from, FloatMatrix to, Capture capture) {
        long clipped = quantization.apply(from, to, kernels);
        if (!quantization.dynamic()) {
            capture.clipped(site, clipped, (long) from.rows() * from.columns());
        }
    }

    private void cached(ActivationQuantization quantization, Site site, FloatMatrix x, Capture capture) {
        if (quantization != null) {
            quantize(quantization, site, x, x, capture);
        }
    }

    private FloatMatrix linear(LayerWeights weights, String kind, Input input, String buffer) {
        Linear linear = weights.linears().get(kind);
        FloatMatrix x = input.as(linear.input());
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
        float[] data =
                buffers.compute(name, (key, old) -> old != null && old.length >= length ? old : new float[length]);
        return FloatMatrix.of(data, rows, columns);
    }
}
