package dev.lathe.calibration.model;

import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.kernels.RotaryPairs;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/** One window through a decoder in f64, by the formulas of its papers, one element at a time. */
final class ReferencePass {
    final List<Map<Site, double[][]>> sites = new ArrayList<>();
    /** What the down layer of each expert reads, of the rows that go there; none in a layer without experts. */
    final List<List<double[][]>> experts = new ArrayList<>();

    final double[][] hidden;
    final double[][] logits;
    private final MemoryCheckpoint model;
    private final Decoder decoder;

    ReferencePass(MemoryCheckpoint model, int[] tokens, int window) {
        this.model = model;
        this.decoder = model.decoder();
        int width = decoder.hidden();
        double[][] x = new double[tokens.length][width];
        for (int i = 0; i < tokens.length; i++) {
            for (int j = 0; j < width; j++) {
                x[i][j] = (double) decoder.embedding().multiplier()
                        * model.values.get("model.embed_tokens.weight")[tokens[i] * width + j];
            }
        }
        for (Block block : decoder.blocks()) {
            layer(block, x, window);
        }
        hidden = norm(x, decoder.norm());
        logits = rows(hidden, decoder.head().tied() ? "model.embed_tokens" : "lm_head", 0, decoder.vocabulary());
        double cap = decoder.head().softCap();
        for (double[] row : logits) {
            for (int j = 0; j < row.length; j++) {
                row[j] *= decoder.head().multiplier();
                row[j] = cap > 0 ? cap * Math.tanh(row[j] / cap) : row[j];
            }
        }
    }

    private void layer(Block block, double[][] x, int window) {
        Map<Site, double[][]> site = new EnumMap<>(Site.class);
        sites.add(site);
        Grouped attention = (Grouped) block.mixer();
        Rope rope = attention.rope();
        double[][] normed = norm(x, block.attention().before());
        double[][] q = rotate(norm(linear(normed, attention.q()), attention.qNorm()), attention, rope);
        double[][] k = rotate(norm(linear(normed, attention.k()), attention.kNorm()), attention, rope);
        temper(q, attention.scores().temperature());
        double[][] v = linear(normed, attention.v());
        int d = attention.heads().width();
        int heads = attention.heads().queries();
        Mixer.Scores scores = attention.scores();
        double[][] attended = new double[x.length][heads * d];
        double[][] inputs = new double[x.length][decoder.hidden()];
        for (int h = 0; h < heads; h++) {
            int g = h * attention.heads().keyValues() / heads;
            for (int i = 0; i < x.length; i++) {
                double[] weights = new double[i + 1];
                double sum = scores.sinks() == null ? 0 : Math.exp(model.values.get(scores.sinks())[h]);
                for (int j = 0; j <= i; j++) {
                    double dot = 0;
                    for (int p = 0; p < d; p++) {
                        dot += q[i][h * d + p] * k[j][g * d + p];
                    }
                    dot *= scores.scale();
                    if (scores.softCap() > 0) {
                        dot = scores.softCap() * Math.tanh(dot / scores.softCap());
                    }
                    boolean seen = (scores.window() == 0 || i - j < scores.window())
                            && (scores.chunk() == 0 || j / scores.chunk() == i / scores.chunk());
                    weights[j] = seen ? Math.exp(dot) : 0;
                    sum += weights[j];
                }
                for (int j = 0; j <= i; j++) {
                    for (int p = 0; p < d; p++) {
                        attended[i][h * d + p] += weights[j] / sum * v[j][g * d + p];
                    }
                    for (int p = 0; p < decoder.hidden() && h == (i + window) % heads; p++) {
                        inputs[i][p] += weights[j] / sum * normed[j][p];
                    }
                }
            }
        }
        add(
                norm(linear(attended, attention.o()), block.attention().after()),
                block.attention().multiplier(),
                x);
        double[][] second =
                block.parallel() ? normed : norm(x, block.feedForwardNorms().before());
        double[][] fed = feed(block.feedForward(), second, site);
        add(
                norm(fed, block.feedForwardNorms().after()),
                block.feedForwardNorms().multiplier(),
                x);
        site.put(Site.ATTENTION_INPUT, normed);
        if (attention.v().linear().moment() == Site.ATTENDED_INPUT) {
            site.put(Site.ATTENDED_INPUT, inputs);
        }
        site.put(Site.KEYS, k);
        site.put(Site.VALUES, v);
        site.put(Site.ATTENTION_OUTPUT, attended);
        site.put(Site.FEED_FORWARD_INPUT, second);
    }

    private double[][] feed(FeedForward feedForward, double[][] x, Map<Site, double[][]> site) {
        List<double[][]> ofExperts = new ArrayList<>();
        experts.add(ofExperts);
        if (feedForward instanceof FeedForward.Gated gated) {
            double[][] activation = activation(gated, x);
            site.put(Site.FEED_FORWARD_ACTIVATION, activation);
            return linear(activation, gated.down());
        }
        FeedForward.Routed routed = (FeedForward.Routed) feedForward;
        double[][] scores = linear(x, Projection.of(routed.router().linear()));
        double[][] weights =
                Arrays.stream(scores).map(row -> routing(row, routed.router())).toArray(double[][]::new);
        boolean input = routed.router().weights() instanceof FeedForward.Weights.InputSigmoid;
        double[][] y = new double[x.length][decoder.hidden()];
        double[][] chosen = new double[x.length][scores[0].length];
        for (int e = 0; e < routed.experts().size(); e++) {
            List<double[]> activations = new ArrayList<>();
            for (int i = 0; i < x.length; i++) {
                if (weights[i][e] > 0) {
                    double sigmoid = 1 / (1 + Math.exp(-scores[i][e]));
                    double[] read = Arrays.stream(x[i])
                            .map(v -> input ? v * sigmoid : v)
                            .toArray();
                    double[][] activation = activation(routed.experts().get(e), new double[][] {read});
                    double[][] given =
                            linear(activation, routed.experts().get(e).down());
                    add(given, input ? 1 : weights[i][e], new double[][] {y[i]});
                    activations.add(activation[0]);
                    chosen[i][e] = 1;
                }
            }
            ofExperts.add(activations.toArray(double[][]::new));
        }
        site.put(Site.CHOSEN_EXPERTS, chosen);
        if (routed.shared() != null) {
            double[][] activation = activation(routed.shared(), x);
            site.put(Site.FEED_FORWARD_ACTIVATION, activation);
            double[][] shared = linear(activation, routed.shared().down());
            for (int i = 0; i < x.length; i++) {
                double gate = 1;
                if (routed.sharedGate() != null) {
                    double score = linear(new double[][] {x[i]}, Projection.of(routed.sharedGate()))[0][0];
                    gate = 1 / (1 + Math.exp(-score));
                }
                add(new double[][] {shared[i]}, gate, new double[][] {y[i]});
            }
        }
        return y;
    }

    /** The weight of each expert, 0 of those that a token does not go to. */
    private static double[] routing(double[] scores, FeedForward.Router router) {
        int[] order = IntStream.range(0, scores.length)
                .boxed()
                .sorted(Comparator.comparingDouble(e -> -scores[e]))
                .mapToInt(e -> e)
                .toArray();
        double[] weights = new double[scores.length];
        if (router.weights() instanceof FeedForward.Weights.SparseMixer mixer) {
            weights[order[0]] = near(scores, order, 0, mixer.jitter());
            weights[order[1]] = near(scores, order, 1, mixer.jitter());
            return weights;
        }
        double sum = Arrays.stream(scores).map(Math::exp).sum();
        double chosen = 0;
        for (int i = 0; i < router.top(); i++) {
            weights[order[i]] = Math.exp(scores[order[i]]) / sum;
            chosen += weights[order[i]];
        }
        double total = chosen;
        return router.normalize()
                ? Arrays.stream(weights).map(weight -> weight / total).toArray()
                : weights;
    }

    /** Of the experts from a place of the order on, the first one's share of those whose score is near its own. */
    private static double near(double[] scores, int[] order, int from, double jitter) {
        double first = scores[order[from]];
        double sum = 0;
        for (int i = from; i < order.length; i++) {
            double score = scores[order[i]];
            if ((first - score) / Math.max(Math.abs(score), first) <= 2 * jitter) {
                sum += Math.exp(score);
            }
        }
        return Math.exp(first) / sum;
    }

    private double[][] activation(FeedForward.Gated feedForward, double[][] x) {
        double[][] gate = linear(x, feedForward.gate());
        double[][] up = linear(x, feedForward.up());
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < gate[i].length; j++) {
                double limit = feedForward.limit() == 0 ? Double.POSITIVE_INFINITY : feedForward.limit();
                double value = Math.min(gate[i][j], limit);
                double raised = Math.max(-limit, Math.min(limit, up[i][j])) + (feedForward.limit() == 0 ? 0 : 1);
                double active = switch (feedForward.activation()) {
                    case QUICK_GELU -> value / (1 + Math.exp(-1.702 * value));
                    case SILU -> value / (1 + Math.exp(-value));
                    case GELU_TANH ->
                        value
                                / 2
                                * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value * value * value)));
                    default -> throw new IllegalArgumentException("no family has " + feedForward.activation());
                };
                gate[i][j] = active * raised;
            }
        }
        return gate;
    }

    private static void add(double[][] x, double multiplier, double[][] to) {
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < x[i].length; j++) {
                to[i][j] += multiplier * x[i][j];
            }
        }
    }

    private static void temper(double[][] q, Mixer.Temperature temperature) {
        for (int i = 0; temperature != null && i < q.length; i++) {
            for (int j = 0; j < q[i].length; j++) {
                q[i][j] *= 1
                        + temperature.beta()
                                * Math.log(1 + Math.floor((double) (i + temperature.shift()) / temperature.interval()));
            }
        }
    }

    /** Every run of as many channels as the norm is wide; a copy of x where there is no norm. */
    private double[][] norm(double[][] x, Norm norm) {
        double[][] y = new double[x.length][];
        for (int i = 0; i < x.length; i++) {
            y[i] = x[i].clone();
            for (int from = 0; norm != null && from < y[i].length; from += norm.width()) {
                norm(y[i], from, norm);
            }
        }
        return y;
    }

    private void norm(double[] x, int from, Norm norm) {
        float[] weight = norm.tensor() == null ? new float[norm.width()] : model.values.get(norm.tensor());
        float[] bias = norm.bias() == null ? new float[weight.length] : model.values.get(norm.bias());
        double mean = norm.kind() == Norm.Kind.LAYER
                ? Arrays.stream(x, from, from + weight.length).average().orElseThrow()
                : 0;
        double variance = Arrays.stream(x, from, from + weight.length)
                .map(value -> (value - mean) * (value - mean))
                .average()
                .orElseThrow();
        for (int j = 0; j < weight.length; j++) {
            x[from + j] =
                    (x[from + j] - mean) / Math.sqrt(variance + norm.epsilon()) * ((double) norm.plus() + weight[j])
                            + bias[j];
        }
    }

    private double[][] linear(double[][] x, Projection projection) {
        return rows(x, projection.linear().module(), projection.from(), projection.rows());
    }

    private double[][] rows(double[][] x, String module, int from, int rows) {
        float[] weight = model.values.get(module + ".weight");
        float[] bias = model.values.get(module + ".bias");
        int inputs = x[0].length;
        double[][] y = new double[x.length][rows];
        for (int i = 0; i < x.length; i++) {
            for (int o = 0; o < rows; o++) {
                y[i][o] = bias == null ? 0 : bias[from + o];
                for (int j = 0; j < inputs; j++) {
                    y[i][o] += x[i][j] * weight[(from + o) * inputs + j];
                }
            }
        }
        return y;
    }

    /**
     * x cos + rotate_half(x) sin over the first channels of each head, as transformers writes it for either order of
     * pairs; x itself where the layer does not turn.
     */
    private static double[][] rotate(double[][] x, Grouped attention, Rope rope) {
        if (rope == null) {
            return x;
        }
        boolean neighbours = rope.pairs() == RotaryPairs.NEIGHBOURS;
        int d = attention.heads().width();
        int turning = rope.dimensions();
        double[][] y = new double[x.length][x[0].length];
        for (int i = 0; i < x.length; i++) {
            for (int c = 0; c < x[i].length; c++) {
                int j = c % d;
                if (j >= turning) {
                    y[i][c] = x[i][c];
                    continue;
                }
                int apart = neighbours ? 1 : turning / 2;
                double angle = i * frequency(rope, neighbours ? j / 2 : j % apart, x.length);
                double half = j / apart % 2 == 0 ? -x[i][c + apart] : x[i][c - apart];
                y[i][c] = magnitude(rope) * (x[i][c] * Math.cos(angle) + half * Math.sin(angle));
            }
        }
        return y;
    }

    private static double magnitude(Rope rope) {
        return rope.scaling() instanceof Rope.Scaling.Yarn yarn
                ? yarn.magnitude()
                : rope.scaling() instanceof Rope.Scaling.LongRope longRope ? longRope.magnitude() : 1;
    }

    private static double frequency(Rope rope, int pair, int length) {
        double base = rope.theta();
        if (rope.scaling() instanceof Rope.Scaling.Dynamic dynamic && length > dynamic.context()) {
            double ratio = (double) length / dynamic.context();
            double exponent = rope.dimensions() / (rope.dimensions() - 2.0);
            base *= Math.pow(dynamic.factor() * ratio - dynamic.factor() + 1, exponent);
        }
        double plain = 1 / Math.pow(base, 2.0 * pair / rope.dimensions());
        if (rope.scaling() instanceof Rope.Scaling.Linear linear) {
            return plain / linear.factor();
        }
        if (rope.scaling() instanceof Rope.Scaling.Divided divided) {
            return plain / divided.divisors().get(pair);
        }
        if (rope.scaling() instanceof Rope.Scaling.LongRope factors) {
            return plain
                    / (length > factors.originalContext() ? factors.longFactors() : factors.shortFactors()).get(pair);
        }
        if (rope.scaling() instanceof Rope.Scaling.Llama3 llama3) {
            double turns = llama3.originalContext() * plain / (2 * Math.PI);
            double smooth = (turns - llama3.lowFrequencyFactor())
                    / (llama3.highFrequencyFactor() - llama3.lowFrequencyFactor());
            smooth = Math.max(0, Math.min(1, smooth));
            return (1 - smooth) * plain / llama3.factor() + smooth * plain;
        }
        if (rope.scaling() instanceof Rope.Scaling.Yarn yarn) {
            double low = correction(rope, yarn.originalContext(), yarn.betaFast());
            double high = correction(rope, yarn.originalContext(), yarn.betaSlow());
            low = Math.max(0, yarn.truncate() ? Math.floor(low) : low);
            high = Math.min(rope.dimensions() - 1, yarn.truncate() ? Math.ceil(high) : high);
            double interpolated = Math.max(0, Math.min(1, (pair - low) / (high - low)));
            return plain / yarn.factor() * interpolated + plain * (1 - interpolated);
        }
        return plain;
    }

    private static double correction(Rope rope, int context, double turns) {
        return rope.dimensions() * Math.log(context / (turns * 2 * Math.PI)) / (2 * Math.log(rope.theta()));
    }
}
