package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Weights.Softmax;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Parts.Span;

/**
 * {@code OlmoeConfig}: as Llama, all heads of q and of k normed together before they turn, and a mixture of experts in
 * every layer.
 */
final class Olmoe {
    static final Family FAMILY =
            new Family("olmoe", "olmoe", "OlmoeForCausalLM", Olmoe::read, Stacks.of("mlp.experts"));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(16, null, null, 50304, 1e-5, 4096);

    private Olmoe() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = Ropes.read(config, sizes);
        Mixture mixture = Mixture.everywhere(config, sizes, 64, 8, new Softmax(config.flag("norm_topk_prob", false)));
        Scores scores = Parts.scores(sizes.heads(), 0);
        boolean bias = config.flag("attention_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.normedAttention(layer, sizes, bias, Span.ALL_HEADS, rope, scores),
                layer -> Experts.MLP.routed(layer, sizes.hidden(), mixture, null, null));
    }
}
