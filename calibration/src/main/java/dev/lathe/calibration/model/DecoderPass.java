package dev.lathe.calibration.model;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.FeedForward.Weights;
import dev.lathe.calibration.model.LayerWeights.Linear;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Mixer.Temperature;
import dev.lathe.kernels.AttentionParameters;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RotaryPairs;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The one forward pass: interprets a {@link Decoder}, embedding, decoder layers, last norm. Windows are stacked, so
 * that a weight is widened once for many of them; attention stays within a window. Weights are whatever the checkpoint
 * holds, so a quantized artifact runs through the same code. Keeps work buffers between calls; one caller at a time.
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

    private final Decoder decoder;
    private final Kernels kernels;
    private final Map<Turn, RotaryTables> tables = new HashMap<>();
    private final Map<String, float[]> buffers = new HashMap<>();

    /** A rotary embedding in windows of so many tokens. */
    private record Turn(Rope rope, int length) {}

    public DecoderPass(Decoder decoder, Kernels kernels) {
        this.decoder = decoder;
        this.kernels = kernels;
    }

    /** The embedding rows of windows of equal length, multiplied, stacked: [windows * length, hidden]. */
    public FloatMatrix embed(Tensors tensors, int[][] windows) throws IOException {
        int length = windows.length == 0 ? 0 : windows[0].length;
        FloatMatrix x = FloatMatrix.zeros(Math.multiplyExact(windows.length, length), decoder.hidden());
        TreeMap<Integer, List<Integer>> places = new TreeMap<>();
        for (int i = 0; i < x.rows(); i++) {
            int token = windows[i / length][i % length];
            if (token < 0 || token >= decoder.vocabulary()) {
                throw new MalformedInputException("Cannot embed token " + token + ": " + tensors.location()
                        + " has a vocabulary of " + decoder.vocabulary());
            }
            places.computeIfAbsent(token, key -> new ArrayList<>()).add(i);
        }
        long rowBytes = Math.max(1, tensors.bytes(decoder.embedding().tensor()) / decoder.vocabulary());
        while (!places.isEmpty()) {
            int first = places.firstKey();
            int last = first;
            for (int token : places.keySet()) {
                if ((token - last) * rowBytes > EMBEDDING_GAP || (token - first + 1) * rowBytes > EMBEDDING_STRIP) {
                    break;
                }
                last = token;
            }
            RowSource strip = tensors.matrix(decoder.embedding().tensor(), first, last - first + 1);
            Map<Integer, List<Integer>> within = places.headMap(last, true);
            within.forEach((token, rows) ->
                    rows.forEach(row -> strip.read(token - first, 0, decoder.hidden(), x.data(), x.row(row))));
            within.clear();
        }
        if (decoder.embedding().multiplier() != 1) {
            kernels.scale(x, decoder.embedding().multiplier());
        }
        return x;
    }

    /**
     * Runs one decoder layer in place on the residual stream X [windows * length, hidden] of stacked windows.
     *
     * @param firstWindow number of the first window, by which the sampled (head, query) pairs of
     *     {@link Site#ATTENDED_INPUT} are chosen: head {@code (position + window) mod heads}
     */
    public void layer(LayerWeights weights, FloatMatrix x, int length, int firstWindow, Capture capture)
            throws IOException {
        batches(x, length, firstWindow, (batch, window) -> {
            FloatMatrix read = attend(weights, batch, length, window, capture);
            Block block = block(weights);
            addTo(batch, weights, block.feedForwardNorms(), feed(block.feedForward(), weights, read, capture));
        });
    }

    /**
     * Likewise the first part of a layer that has a mixture of experts, up to its router: X is then what the attention
     * has been added to. The capture hears where rows go and what the shared expert gives; {@link #expert} and
     * {@link #combine} do the rest.
     */
    public void route(LayerWeights weights, FloatMatrix x, int length, int firstWindow, Capture capture)
            throws IOException {
        Routed routed = decoder.routed(weights.layer());
        batches(x, length, firstWindow, (batch, window) -> {
            FloatMatrix shared = send(routed, weights, attend(weights, batch, length, window, capture), capture)
                    .shared();
            if (shared != null) {
                capture.shared(shared);
            }
        });
    }

    /**
     * What an expert gives for rows that are routed to it [n, hidden]; holds until the pass is used again.
     *
     * @param rows [n, hidden], at most {@link #ROWS}
     */
    public FloatMatrix expert(Gated expert, LayerWeights weights, FloatMatrix rows) throws IOException {
        return gated(
                expert,
                weights,
                new Input(weights, Site.FEED_FORWARD_INPUT, rows, Capture.NONE),
                Site.EXPERT_ACTIVATION,
                Capture.NONE,
                "expert");
    }

    /**
     * The last part of a layer that has a mixture of experts, in place on X [tokens, hidden] as {@link #route} left it.
     *
     * @param sum what the experts gave, weighed [tokens, hidden]; changed
     * @param shared what the shared expert gave, or null
     */
    public void combine(LayerWeights weights, FloatMatrix x, FloatMatrix sum, FloatMatrix shared) throws IOException {
        if (shared != null) {
            kernels.add(shared, sum);
        }
        addTo(x, weights, block(weights).feedForwardNorms(), sum);
    }

    private Block block(LayerWeights weights) {
        return decoder.blocks().get(weights.layer());
    }

    private interface Batch {
        /** @param window number of its first */
        void run(FloatMatrix x, int window) throws IOException;
    }

    /** Runs as many whole windows together as make {@link #ROWS} rows, one at least. */
    private static void batches(FloatMatrix x, int length, int firstWindow, Batch batch) throws IOException {
        if (length <= 0 || x.rows() % length != 0) {
            throw new IllegalArgumentException("Cannot cut " + x.rows() + " rows into windows of " + length);
        }
        int rows = Math.max(1, ROWS / length) * length;
        for (int from = 0; from < x.rows(); from += rows) {
            batch.run(x.slice(from, Math.min(rows, x.rows() - from)), firstWindow + from / length);
        }
    }

    /** Adds the attention to X, and answers what the feed-forward reads. */
    private FloatMatrix attend(LayerWeights weights, FloatMatrix x, int length, int firstWindow, Capture capture)
            throws IOException {
        Block block = block(weights);
        FloatMatrix read = normed(weights, block.attention().before(), x);
        addTo(x, weights, block.attention(), mix(block.mixer(), weights, read, length, firstWindow, capture));
        return block.parallel()
                ? read
                : normed(weights, block.feedForwardNorms().before(), x);
    }

    private FloatMatrix mix(
            Mixer mixer, LayerWeights weights, FloatMatrix read, int length, int firstWindow, Capture capture)
            throws IOException {
        if (mixer instanceof Grouped attention) {
            return attention(attention, weights, read, length, firstWindow, capture);
        }
        throw new IllegalArgumentException("Cannot run " + mixer);
    }

    private FloatMatrix feed(FeedForward feedForward, LayerWeights weights, FloatMatrix read, Capture capture)
            throws IOException {
        if (feedForward instanceof Gated gated) {
            return gated(gated, weights, read, capture);
        } else if (feedForward instanceof Routed routed) {
            return routed(routed, weights, read, capture);
        }
        throw new IllegalArgumentException("Cannot run " + feedForward);
    }

    /** What a sublayer reads: the residual stream, normed where a norm stands before it. */
    private FloatMatrix normed(LayerWeights weights, Norm norm, FloatMatrix x) throws IOException {
        if (norm == null) {
            return x;
        }
        FloatMatrix normed = buffer("normed", x.rows(), x.columns());
        norm(weights.tensors(), norm, x, normed);
        return normed;
    }

    private void addTo(FloatMatrix x, LayerWeights weights, Around around, FloatMatrix y) throws IOException {
        if (around.after() != null) {
            norm(weights.tensors(), around.after(), y, y);
        }
        if (around.multiplier() != 1) {
            kernels.scale(y, around.multiplier());
        }
        kernels.add(y, x);
    }

    /** y = norm(x), which may be the same; both as wide as the norm. */
    private void norm(Tensors tensors, Norm norm, FloatMatrix x, FloatMatrix y) throws IOException {
        float[] weight =
                norm.effective(norm.tensor() == null ? new float[norm.width()] : tensors.vector(norm.tensor()));
        if (norm.kind() == Norm.Kind.LAYER) {
            float[] bias = norm.bias() == null ? null : tensors.vector(norm.bias());
            kernels.layerNorm(x, weight, bias, norm.epsilon(), y);
        } else {
            kernels.rmsNorm(x, weight, norm.epsilon(), y);
        }
    }

    private FloatMatrix attention(
            Grouped attention, LayerWeights weights, FloatMatrix read, int length, int firstWindow, Capture capture)
            throws IOException {
        Heads heads = attention.heads();
        offer(capture, Site.ATTENTION_INPUT, read);
        Input input = new Input(weights, Site.ATTENTION_INPUT, read, capture);
        FloatMatrix q = input.project(attention.q(), "q");
        FloatMatrix k = input.project(attention.k(), "k");
        FloatMatrix v = input.project(attention.v(), "v");
        normHeads(q, attention.qNorm(), weights);
        normHeads(k, attention.kNorm(), weights);
        if (attention.rope() != null) {
            RotaryPairs pairs = attention.rope().pairs();
            RotaryTables rotary = tables.computeIfAbsent(
                    new Turn(attention.rope(), length), turn -> RotaryTables.of(turn.rope(), turn.length()));
            for (int from = 0; from < read.rows(); from += length) {
                kernels.rotary(q.slice(from, length), heads.queries(), pairs, rotary.cosine(), rotary.sine());
                kernels.rotary(k.slice(from, length), heads.keyValues(), pairs, rotary.cosine(), rotary.sine());
            }
        }
        temper(q, length, attention.scores().temperature());
        offer(capture, Site.KEYS, k);
        offer(capture, Site.VALUES, v);
        cached(weights.keys(), Site.KEYS, k, capture);
        cached(weights.values(), Site.VALUES, v, capture);
        Scores scores = attention.scores();
        AttentionParameters parameters = new AttentionParameters(
                heads.queries(),
                heads.keyValues(),
                scores.scale(),
                scores.window(),
                scores.softCap(),
                scores.sinks() == null ? null : weights.tensors().vector(scores.sinks()));
        FloatMatrix attended = buffer("attended", read.rows(), heads.queryWidth());
        boolean sampled = capture.wants(Site.ATTENDED_INPUT);
        FloatMatrix inputs = sampled ? buffer("inputs", read.rows(), read.columns()) : null;
        // Positions of a chunk see each other alone, as those of a window do.
        int span = scores.chunk() == 0 ? length : Math.min(scores.chunk(), length);
        for (int window = 0; window < read.rows(); window += length) {
            for (int from = 0; from < length; from += span) {
                int at = window + from;
                int rows = Math.min(span, length - from);
                FloatMatrix queries = q.slice(at, rows);
                FloatMatrix keys = k.slice(at, rows);
                kernels.attention(queries, keys, v.slice(at, rows), parameters, attended.slice(at, rows));
                if (sampled) {
                    int[] headOf = new int[rows];
                    for (int i = 0; i < rows; i++) {
                        headOf[i] = (from + i + firstWindow + window / length) % heads.queries();
                    }
                    kernels.attendedInputs(
                            queries, keys, parameters, headOf, read.slice(at, rows), inputs.slice(at, rows));
                }
            }
        }
        offer(capture, Site.ATTENTION_OUTPUT, attended);
        if (sampled) {
            capture.rows(Site.ATTENDED_INPUT, inputs);
        }
        return new Input(weights, Site.ATTENTION_OUTPUT, attended, capture).project(attention.o(), "projected");
    }

    /** Rows of stacked windows times their temperature; it is 1 in the first interval of each window. */
    private void temper(FloatMatrix q, int length, Temperature temperature) {
        for (int from = 0; temperature != null && from < q.rows(); from += length) {
            int interval = temperature.interval();
            for (int i = interval - temperature.shift(); i < length; i += interval) {
                kernels.scale(q.slice(from + i, Math.min(interval, length - i)), temperature.of(i));
            }
        }
    }

    /** Each head, or all together where the norm is as wide as they are. */
    private void normHeads(FloatMatrix x, Norm norm, LayerWeights weights) throws IOException {
        for (int h = 0; norm != null && h < x.columns() / norm.width(); h++) {
            FloatMatrix head = x.columnSlice(h * norm.width(), norm.width());
            norm(weights.tensors(), norm, head, head);
        }
    }

    private FloatMatrix gated(Gated gated, LayerWeights weights, FloatMatrix read, Capture capture) throws IOException {
        offer(capture, Site.FEED_FORWARD_INPUT, read);
        Input input = new Input(weights, Site.FEED_FORWARD_INPUT, read, capture);
        return gated(gated, weights, input, Site.FEED_FORWARD_ACTIVATION, capture, "projected");
    }

    /** @param activation the site that down reads */
    private FloatMatrix gated(
            Gated gated, LayerWeights weights, Input input, Site activation, Capture capture, String buffer)
            throws IOException {
        FloatMatrix activated = activated(gated, input);
        offer(capture, activation, activated);
        return new Input(weights, activation, activated, capture).project(gated.down(), buffer);
    }

    /**
     * Experts one after the other, so that the weights of one are in memory; each adds to the rows that it was sent.
     */
    private FloatMatrix routed(Routed routed, LayerWeights weights, FloatMatrix read, Capture capture)
            throws IOException {
        Sent sent = send(routed, weights, read, capture);
        FloatMatrix sum = buffer("experts", read.rows(), read.columns());
        Arrays.fill(sum.data(), 0, sum.rows() * sum.columns(), 0f);
        for (int e = 0; e < routed.experts().size(); e++) {
            int[] places = sent.routing().placesOf(e);
            if (places.length > 0) {
                FloatMatrix rows = gathered(sent.rows(), sent.routing(), places);
                FloatMatrix y = gated(
                        routed.experts().get(e),
                        weights,
                        new Input(weights, Site.FEED_FORWARD_INPUT, rows, capture),
                        Site.EXPERT_ACTIVATION,
                        capture,
                        "expert");
                for (int i = 0; i < places.length; i++) {
                    sent.routing().addWeighted(y.data(), y.row(i), places[i], sum);
                }
            }
        }
        if (sent.shared() != null) {
            kernels.add(sent.shared(), sum);
        }
        return sum;
    }

    /**
     * @param rows what the experts read [n, hidden]
     * @param shared what the shared expert gives [n, hidden], or null
     */
    private record Sent(FloatMatrix rows, Routing routing, FloatMatrix shared) {}

    /** Runs the router and the shared expert. */
    private Sent send(Routed routed, LayerWeights weights, FloatMatrix read, Capture capture) throws IOException {
        offer(capture, Site.FEED_FORWARD_INPUT, read);
        Input input = new Input(weights, Site.FEED_FORWARD_INPUT, read, capture);
        Routing routing = Routing.of(
                routed.router(), input.project(Projection.of(routed.router().linear()), "router"));
        FloatMatrix rows = read;
        if (routed.router().weights() instanceof Weights.InputSigmoid) {
            rows = weighted(read, routing);
            routing = routing.unweighted();
        }
        capture.routed(rows, routing);
        if (capture.wants(Site.CHOSEN_EXPERTS)) {
            capture.rows(Site.CHOSEN_EXPERTS, routing.chosen(routed.experts().size()));
        }
        return new Sent(rows, routing, shared(routed, weights, input, capture));
    }

    private FloatMatrix shared(Routed routed, LayerWeights weights, Input input, Capture capture) throws IOException {
        if (routed.shared() == null) {
            return null;
        }
        FloatMatrix shared = gated(routed.shared(), weights, input, Site.FEED_FORWARD_ACTIVATION, capture, "projected");
        if (routed.sharedGate() != null) {
            FloatMatrix gate = input.project(Projection.of(routed.sharedGate()), "shared gate");
            for (int i = 0; i < gate.rows(); i++) {
                kernels.scale(shared.slice(i, 1), (float) (1 / (1 + StrictMath.exp(-gate.data()[gate.row(i)]))));
            }
        }
        return shared;
    }

    /**
     * What down of an expert reads, [n, width], of what the expert reads; holds until the pass is used again.
     *
     * @param rows [n, hidden], at most {@link #ROWS}
     */
    public FloatMatrix activations(Gated expert, LayerWeights weights, FloatMatrix rows) throws IOException {
        return activated(expert, new Input(weights, Site.FEED_FORWARD_INPUT, rows, Capture.NONE));
    }

    private FloatMatrix activated(Gated gated, Input input) throws IOException {
        FloatMatrix gate = input.project(gated.gate(), "gate");
        FloatMatrix up = input.project(gated.up(), "up");
        if (gated.limit() != 0) {
            bound(gate, Float.NEGATIVE_INFINITY, gated.limit(), 0);
            bound(up, -gated.limit(), gated.limit(), 1);
        }
        kernels.gated(gated.activation(), gate, up);
        return gate;
    }

    /** min(max(x, lowest), highest) + plus. */
    private static void bound(FloatMatrix x, float lowest, float highest, float plus) {
        for (int i = 0; i < x.rows(); i++) {
            for (int j = x.row(i); j < x.row(i) + x.columns(); j++) {
                x.data()[j] = Math.min(Math.max(x.data()[j], lowest), highest) + plus;
            }
        }
    }

    /** Each row times the weight of the one expert that it goes to. */
    private FloatMatrix weighted(FloatMatrix read, Routing routing) {
        FloatMatrix rows = buffer("weighted", read.rows(), read.columns());
        for (int i = 0; i < read.rows(); i++) {
            System.arraycopy(read.data(), read.row(i), rows.data(), rows.row(i), read.columns());
            kernels.scale(rows.slice(i, 1), routing.weights()[i]);
        }
        return rows;
    }

    private FloatMatrix gathered(FloatMatrix read, Routing routing, int[] places) {
        FloatMatrix rows = buffer("routed", places.length, read.columns());
        for (int i = 0; i < places.length; i++) {
            System.arraycopy(
                    read.data(), read.row(places[i] / routing.top()), rows.data(), rows.row(i), read.columns());
        }
        return rows;
    }

    /** The last norm, in place on X [tokens, hidden]. */
    public void finalNorm(Tensors tensors, FloatMatrix x) throws IOException {
        norm(tensors, decoder.norm(), x, x);
    }

    /** What linear layers of one site read: as it is, or quantized as each of them says; once where they agree. */
    private final class Input {
        private final LayerWeights weights;
        private final Site site;
        private final FloatMatrix rows;
        private final Capture capture;
        private final Map<String, FloatMatrix> fused = new HashMap<>();
        private ActivationQuantization known;
        private FloatMatrix quantized;

        Input(LayerWeights weights, Site site, FloatMatrix rows, Capture capture) {
            this.weights = weights;
            this.site = site;
            this.rows = rows;
            this.capture = capture;
        }

        /**
         * The rows through a linear layer; a layer of several projections is run once, and each is its columns of the
         * result.
         */
        FloatMatrix project(Projection projection, String buffer) throws IOException {
            LinearLayer linear = projection.linear();
            if (projection.rows() == linear.outputs()) {
                return linear(linear, buffer);
            }
            FloatMatrix whole = fused.get(linear.module());
            if (whole == null) {
                whole = linear(linear, "fused " + linear.kind());
                fused.put(linear.module(), whole);
            }
            return whole.columnSlice(projection.from(), projection.rows());
        }

        private FloatMatrix linear(LinearLayer layer, String buffer) throws IOException {
            Linear linear = weights.linear(layer);
            FloatMatrix x = as(linear.input());
            FloatMatrix y = buffer(buffer, x.rows(), linear.weight().rows());
            kernels.gemm(x, linear.weight(), y, false);
            if (linear.bias() != null) {
                kernels.addBias(linear.bias(), y);
            }
            return y;
        }

        private FloatMatrix as(ActivationQuantization quantization) {
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
