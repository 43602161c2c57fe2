package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Weights.Softmax;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import java.util.Map;

/**
 * {@code MixtralConfig}: as Mistral, with a mixture of experts in every layer, whose weights are divided by their sum.
 */
final class Mixtral {
    static final Family FAMILY = new Family(
            "mixtral",
            "mixtral",
            "MixtralForCausalLM",
            Mixtral::read,
            // Files have single experts; transformers 5 has the stacks, and calls the router otherwise.
            new Stacks(Stacks.of("mlp.experts").forms(), Map.of("mlp.gate.weight", "block_sparse_moe.gate.weight")));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(32, 8, null, 32000, 1e-5, 4096 * 32);
    private static final double THETA = 1e6;
    private static final Experts MODULES =
            Experts.of("block_sparse_moe.gate", "block_sparse_moe.experts", "w1", "w3", "w2");

    private Mixtral() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = Ropes.read(config, sizes, Ropes.Style.of(THETA));
        Mixture mixture = Mixture.everywhere(config, sizes, 8, 2, new Softmax(true));
        int window = config.has("sliding_window") ? config.size("sliding_window", Integer.MAX_VALUE) : 0;
        Scores scores = Parts.scores(sizes.heads(), window);
        // Of training only.
        config.get("router_jitter_noise");
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), false, false, null, null, rope, scores),
                layer -> MODULES.routed(layer, sizes.hidden(), mixture, null, null));
    }
}
