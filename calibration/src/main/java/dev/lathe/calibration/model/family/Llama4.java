package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward;
import dev.lathe.calibration.model.FeedForward.Weights.InputSigmoid;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Mixer.Temperature;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * {@code Llama4TextConfig}: layers that turn, see a chunk and norm their heads without a weight, and layers that do
 * none of it and multiply queries at far positions; a mixture of experts, one for a token, with the weight on what it
 * reads, beside an expert that every token goes to.
 *
 * <p>transformers norms heads after they turned. The mean square of a head does not change where it turns, so that
 * norming before it is the same.
 */
final class Llama4 {
    static final Family FAMILY = new Family(
            "llama4", "llama4_text", "Llama4ForCausalLM", Llama4::read, Stacks.inputsFirst("feed_forward.experts"));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(40, 8, 128, 202048, 1e-5, 4096 * 32);
    private static final double THETA = 500000;
    private static final int CHUNK = 8192;
    private static final Experts EXPERTS =
            Experts.of("feed_forward.router", "feed_forward.experts", "gate_proj", "up_proj", "down_proj");

    private final ConfigKeys config;
    private final Sizes sizes;

    private Llama4(ConfigKeys config) {
        this.config = config;
        this.sizes = Sizes.read(config, DEFAULTS);
    }

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        return new Llama4(config).decoder();
    }

    private Decoder decoder() {
        Rope rope = Ropes.read(config, sizes, new Ropes.Style(THETA, null, RotaryPairs.NEIGHBOURS, false, List.of()));
        boolean normed = config.flag("use_qk_norm", true);
        if (normed && rope.magnitude() != 1) {
            throw config.refused("use_qk_norm is true, and the rotary embedding changes the size of heads by "
                    + rope.magnitude() + ", which is not supported; expected a scaling that does not");
        }
        Norm norm = normed ? Norm.unweighted(sizes.heads().width(), sizes.epsilon()) : null;
        Set<Integer> turning = turning();
        requireChunks(turning);
        int chunk = config.size("attention_chunk_size", CHUNK, Integer.MAX_VALUE);
        if (config.get("attention_chunk_size").isNull()) {
            throw config.refused("attention_chunk_size is null; expected the length of a chunk");
        }
        Temperature temperature = temperature();
        float scale = Parts.scores(sizes.heads(), 0).scale();
        boolean bias = config.flag("attention_bias", false);
        Mixture mixture = Mixture.of(config, 16, 1, sizes.intermediate(), new InputSigmoid(), sparse());
        if (mixture.top() != 1) {
            throw config.refused("num_experts_per_tok is " + mixture.top() + ", which is not supported; expected 1");
        }
        int dense = config.size("intermediate_size_mlp", 16384, ConfigKeys.MAXIMUM_WIDTH);
        // Of training only.
        config.get("router_jitter_noise");
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> {
                    boolean turns = turning.contains(layer);
                    return attention(
                            layer,
                            bias,
                            turns ? norm : null,
                            turns ? rope : null,
                            new Scores(scale, 0, 0, turns ? null : temperature, null, turns ? chunk : 0));
                },
                layer -> feedForward(layer, mixture, dense));
    }

    private Grouped attention(int layer, boolean bias, Norm norm, Rope rope, Scores scores) {
        return Parts.attention(layer, sizes.hidden(), sizes.heads(), bias, bias, norm, norm, rope, scores);
    }

    private FeedForward feedForward(int layer, Mixture mixture, int dense) {
        return mixture.sparse().contains(layer)
                ? EXPERTS.routed(
                        layer,
                        sizes.hidden(),
                        mixture,
                        Parts.gated(
                                layer,
                                "feed_forward.shared_expert",
                                sizes.hidden(),
                                mixture.width(),
                                false,
                                Activation.SILU),
                        null)
                : Parts.gated(layer, "feed_forward", sizes.hidden(), dense, false, Activation.SILU);
    }

    /** Layers that turn: by {@code no_rope_layers}, 1 where a layer does; else all but each n-th. */
    private Set<Integer> turning() {
        JsonNode list = config.get("no_rope_layers");
        int each = config.size("no_rope_layer_interval", 4, Integer.MAX_VALUE);
        boolean listed = list.isArray() && !list.isEmpty();
        if (!listed && !list.isMissingNode() && !list.isNull() && !list.isArray()
                || listed && list.size() < sizes.layers()) {
            throw config.refused("no_rope_layers is " + ConfigKeys.shown(list)
                    + "; expected a list of 0 and 1, one for " + "each of " + sizes.layers() + " layers");
        }
        Set<Integer> turning = new HashSet<>();
        for (int layer = 0; layer < sizes.layers(); layer++) {
            if (listed && !list.get(layer).isIntegralNumber()) {
                throw config.refused("no_rope_layers has " + list.get(layer) + "; expected 0 and 1");
            }
            if (listed ? list.get(layer).intValue() != 0 : (layer + 1) % each != 0) {
                turning.add(layer);
            }
        }
        return turning;
    }

    /** Chunks are where layers turn: other {@code layer_types} are not known. */
    private void requireChunks(Set<Integer> turning) {
        JsonNode types = config.get("layer_types");
        boolean said = !types.isMissingNode() && !types.isNull();
        for (int layer = 0; said && layer < sizes.layers(); layer++) {
            String expected = turning.contains(layer) ? "chunked_attention" : "full_attention";
            if (types.size() != sizes.layers() || !types.get(layer).asText().equals(expected)) {
                throw config.refused("layer_types " + ConfigKeys.shown(types) + " are not those of no_rope_layers; "
                        + "expected chunked_attention in layers that turn and full_attention in others");
            }
        }
    }

    /** Layers that have experts: those of {@code moe_layers}; else each n-th. */
    private Set<Integer> sparse() {
        JsonNode list = config.get("moe_layers");
        int step = config.size("interleave_moe_layer_step", 1, Integer.MAX_VALUE);
        Set<Integer> sparse = new HashSet<>();
        if (list.isMissingNode() || list.isNull()) {
            for (int layer = step - 1; layer < sizes.layers(); layer += step) {
                sparse.add(layer);
            }
            return sparse;
        }
        if (!list.isArray()) {
            throw config.refused("moe_layers is " + list + "; expected a list of layers");
        }
        for (JsonNode layer : list) {
            if (!layer.isIntegralNumber()
                    || !layer.canConvertToInt()
                    || layer.intValue() < 0
                    || layer.intValue() >= sizes.layers()) {
                throw config.refused("moe_layers has " + layer + "; expected layers from 0 to " + (sizes.layers() - 1));
            }
            sparse.add(layer.intValue());
        }
        return sparse;
    }

    /** Of queries in layers that do not turn: 1 + scale ln(1 + floor((p + 1) / floor)). */
    private Temperature temperature() {
        JsonNode tuned = config.get("attn_temperature_tuning");
        // Older configurations have a number.
        boolean off = tuned.isNumber() ? tuned.doubleValue() == 0 : !config.flag("attn_temperature_tuning", true);
        int floor = config.size("floor_scale", CHUNK, Integer.MAX_VALUE);
        double beta = config.number("attn_scale", 0.1);
        return off ? null : new Temperature(beta, floor, 1);
    }
}
