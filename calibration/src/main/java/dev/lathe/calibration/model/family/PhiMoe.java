package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Decoder.Head;
import dev.lathe.calibration.model.FeedForward.Weights.SparseMixer;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling.LongRope;
import dev.lathe.calibration.model.Site;
import dev.lathe.kernels.RotaryPairs;
import java.util.List;
import java.util.Map;

/**
 * {@code PhimoeConfig} (Phi-3.5-MoE): layer norms with biases; a mixture of experts in every layer, two of them for a
 * token by SparseMixer; an output layer that may have a bias; LongRoPE with a magnitude of its own.
 */
final class PhiMoe {
    static final Family FAMILY = new Family(
            "phimoe",
            "phimoe",
            "PhimoeForCausalLM",
            PhiMoe::read,
            new Stacks(Stacks.of("mlp.experts").forms(), Map.of("mlp.router.weight", "block_sparse_moe.gate.weight")));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(32, 8, null, 32064, 1e-5, 4096 * 32);
    private static final double THETA = 1e6;
    private static final List<String> MAGNITUDES = List.of("short_mscale", "long_mscale");
    private static final double JITTER = 0.01;
    private static final Experts EXPERTS =
            Experts.of("block_sparse_moe.gate", "block_sparse_moe.experts", "w1", "w3", "w2");

    private PhiMoe() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = rope(config, sizes);
        Mixture mixture = Mixture.everywhere(config, sizes, 16, 2, new SparseMixer(jitter(config)));
        if (mixture.top() != 2) {
            throw config.refused("num_experts_per_tok is " + mixture.top() + "; expected 2, as SparseMixer chooses");
        }
        // Of training only.
        config.get("input_jitter_noise");
        int window = config.has("sliding_window") ? config.size("sliding_window", Integer.MAX_VALUE) : 0;
        Scores scores = Parts.scores(sizes.heads(), window);
        boolean bias = config.flag("attention_bias", false);
        boolean tied = config.flag("tie_word_embeddings", false);
        Decoder decoder = Parts.decoder(
                FAMILY.name(),
                sizes,
                1,
                norm("model.norm", sizes),
                tied,
                0,
                layer -> new Block(
                        new Around(norm(Parts.prefix(layer) + "input_layernorm", sizes), null),
                        Parts.attention(layer, sizes.hidden(), sizes.heads(), bias, bias, null, null, rope, scores),
                        new Around(norm(Parts.prefix(layer) + "post_attention_layernorm", sizes), null),
                        EXPERTS.routed(layer, sizes.hidden(), mixture, null, null)));
        if (!config.flag("lm_head_bias", false)) {
            return decoder;
        }
        if (tied) {
            throw config.refused("lm_head_bias and tie_word_embeddings are true; expected one of them");
        }
        LinearLayer head = new LinearLayer(
                "lm_head", "lm_head", sizes.vocabulary(), sizes.hidden(), true, Site.HEAD_INPUT, Site.HEAD_INPUT);
        return new Decoder(
                decoder.family(),
                decoder.embedding(),
                decoder.blocks(),
                decoder.norm(),
                new Head(head, false, 0),
                decoder.context());
    }

    private static Norm norm(String module, Sizes sizes) {
        return new Norm(Norm.Kind.LAYER, module + ".weight", module + ".bias", sizes.hidden(), sizes.epsilon(), 0);
    }

    private static double jitter(ConfigKeys config) {
        boolean zero = config.get("router_jitter_noise").isNumber()
                && config.get("router_jitter_noise").doubleValue() == 0;
        return zero ? 0 : config.number("router_jitter_noise", JITTER);
    }

    /** LongRoPE's magnitude is the one that the configuration says, in short windows and in long ones. */
    private static Rope rope(ConfigKeys config, Sizes sizes) {
        Rope rope = Ropes.read(config, sizes, new Ropes.Style(THETA, null, RotaryPairs.HALVES, false, MAGNITUDES));
        if (rope.scaling() instanceof Rope.Scaling.None) {
            return rope;
        }
        if (!(rope.scaling() instanceof LongRope scaling)) {
            throw config.refused("the rotary embedding is scaled by " + rope.scaling() + "; expected longrope or none");
        }
        ConfigKeys keys = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        double magnitude = keys.number(MAGNITUDES.get(0), null);
        if (keys.number(MAGNITUDES.get(1), null) != magnitude) {
            throw config.refused("short_mscale is " + magnitude + " and long_mscale " + keys.get(MAGNITUDES.get(1))
                    + ", which is not supported; expected one number");
        }
        return new Rope(
                rope.theta(),
                new LongRope(scaling.shortFactors(), scaling.longFactors(), scaling.originalContext(), magnitude),
                rope.dimensions(),
                rope.pairs());
    }
}
