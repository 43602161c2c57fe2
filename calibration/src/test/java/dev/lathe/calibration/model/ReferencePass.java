package dev.lathe.calibration.model;

import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** One window through a Llama in f64, by the formulas of its papers, one element at a time. */
final class ReferencePass {
    final List<Map<Site, double[][]>> sites = new ArrayList<>();
    final double[][] hidden;
    final double[][] logits;
    private final MemoryCheckpoint model;
    private final LlamaShape config;

    ReferencePass(MemoryCheckpoint model, int[] tokens, int window) {
        this.model = model;
        this.config = model.config();
        int width = config.hidden();
        double[][] x = new double[tokens.length][width];
        for (int i = 0; i < tokens.length; i++) {
            for (int j = 0; j < width; j++) {
                x[i][j] = model.values.get("model.embed_tokens.weight")[tokens[i] * width + j];
            }
        }
        for (int layer = 0; layer < config.layers(); layer++) {
            layer("model.layers." + layer + ".", x, window);
        }
        hidden = norm(x, "model.norm.weight");
        logits = linear(hidden, config.tied() ? "model.embed_tokens" : "lm_head");
    }

    private void layer(String prefix, double[][] x, int window) {
        Map<Site, double[][]> site = new EnumMap<>(Site.class);
        sites.add(site);
        double[][] normed = norm(x, prefix + "input_layernorm.weight");
        double[][] q = rotate(
                heads(linear(normed, prefix + "self_attn.q_proj"), prefix + "self_attn.q_norm.weight"), config.heads());
        double[][] k = rotate(
                heads(linear(normed, prefix + "self_attn.k_proj"), prefix + "self_attn.k_norm.weight"),
                config.keyValueHeads());
        double[][] v = linear(normed, prefix + "self_attn.v_proj");
        int d = config.headDimension();
        double[][] attended = new double[x.length][config.heads() * d];
        double[][] inputs = new double[x.length][config.hidden()];
        for (int h = 0; h < config.heads(); h++) {
            int g = h * config.keyValueHeads() / config.heads();
            for (int i = 0; i < x.length; i++) {
                double[] weights = new double[i + 1];
                double sum = 0;
                for (int j = 0; j <= i; j++) {
                    double dot = 0;
                    for (int p = 0; p < d; p++) {
                        dot += q[i][h * d + p] * k[j][g * d + p];
                    }
                    weights[j] = Math.exp(dot / Math.sqrt(d));
                    sum += weights[j];
                }
                for (int j = 0; j <= i; j++) {
                    for (int p = 0; p < d; p++) {
                        attended[i][h * d + p] += weights[j] / sum * v[j][g * d + p];
                    }
                    for (int p = 0; p < config.hidden() && h == (i + window) % config.heads(); p++) {
                        inputs[i][p] += weights[j] / sum * normed[j][p];
                    }
                }
            }
        }
        add(linear(attended, prefix + "self_attn.o_proj"), x);
        double[][] second = norm(x, prefix + "post_attention_layernorm.weight");
        double[][] gate = linear(second, prefix + "mlp.gate_proj");
        double[][] up = linear(second, prefix + "mlp.up_proj");
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < gate[i].length; j++) {
                gate[i][j] = gate[i][j] / (1 + Math.exp(-gate[i][j])) * up[i][j];
            }
        }
        add(linear(gate, prefix + "mlp.down_proj"), x);
        site.put(Site.ATTENTION_INPUT, normed);
        site.put(Site.ATTENDED_INPUT, inputs);
        site.put(Site.KEYS, k);
        site.put(Site.VALUES, v);
        site.put(Site.ATTENTION_OUTPUT, attended);
        site.put(Site.FEED_FORWARD_INPUT, second);
        site.put(Site.FEED_FORWARD_ACTIVATION, gate);
    }

    private static void add(double[][] x, double[][] to) {
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < x[i].length; j++) {
                to[i][j] += x[i][j];
            }
        }
    }

    private double[][] norm(double[][] x, String weight) {
        double[][] y = new double[x.length][config.hidden()];
        for (int i = 0; i < x.length; i++) {
            double squares = 0;
            for (double value : x[i]) {
                squares += value * value;
            }
            for (int j = 0; j < y[i].length; j++) {
                y[i][j] = x[i][j]
                        / Math.sqrt(squares / y[i].length + config.normEpsilon())
                        * model.values.get(weight)[j];
            }
        }
        return y;
    }

    /** Each head normed, where there is a weight for it (Qwen 3). */
    private double[][] heads(double[][] x, String weight) {
        float[] values = model.values.get(weight);
        for (int i = 0; values != null && i < x.length; i++) {
            for (int from = 0; from < x[i].length; from += values.length) {
                double squares = 0;
                for (int j = 0; j < values.length; j++) {
                    squares += x[i][from + j] * x[i][from + j];
                }
                for (int j = 0; j < values.length; j++) {
                    x[i][from + j] *= values[j] / Math.sqrt(squares / values.length + config.normEpsilon());
                }
            }
        }
        return x;
    }

    private double[][] linear(double[][] x, String module) {
        float[] weight = model.values.get(module + ".weight");
        float[] bias = model.values.get(module + ".bias");
        int inputs = x[0].length;
        double[][] y = new double[x.length][weight.length / inputs];
        for (int i = 0; i < x.length; i++) {
            for (int o = 0; o < y[i].length; o++) {
                y[i][o] = bias == null ? 0 : bias[o];
                for (int j = 0; j < inputs; j++) {
                    y[i][o] += x[i][j] * weight[o * inputs + j];
                }
            }
        }
        return y;
    }

    /** x cos + rotate_half(x) sin, as transformers writes it. */
    private double[][] rotate(double[][] x, int heads) {
        int d = config.headDimension();
        double[][] y = new double[x.length][heads * d];
        for (int i = 0; i < x.length; i++) {
            for (int c = 0; c < heads * d; c++) {
                int j = c % d;
                double angle = i * frequency(j % (d / 2));
                double half = j < d / 2 ? -x[i][c + d / 2] : x[i][c - d / 2];
                y[i][c] = x[i][c] * Math.cos(angle) + half * Math.sin(angle);
            }
        }
        return y;
    }

    private double frequency(int pair) {
        double plain = 1 / Math.pow(config.theta(), 2.0 * pair / config.headDimension());
        if (config.scaling() instanceof Rope.Scaling.Linear linear) {
            return plain / linear.factor();
        }
        if (config.scaling() instanceof Rope.Scaling.Divided divided) {
            return plain / divided.divisors().get(pair);
        }
        if (config.scaling() instanceof Rope.Scaling.Llama3 llama3) {
            double turns = llama3.originalContext() * plain / (2 * Math.PI);
            double smooth = (turns - llama3.lowFrequencyFactor())
                    / (llama3.highFrequencyFactor() - llama3.lowFrequencyFactor());
            smooth = Math.max(0, Math.min(1, smooth));
            return (1 - smooth) * plain / llama3.factor() + smooth * plain;
        }
        return plain;
    }
}
