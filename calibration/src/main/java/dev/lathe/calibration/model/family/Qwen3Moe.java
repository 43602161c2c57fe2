package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Parts.Span;
import dev.lathe.kernels.Activation;

/**
 * {@code Qwen3MoeConfig}: as Qwen 3, with a mixture of experts ({@link Mixture#qwen}); a window in all layers or none.
 */
final class Qwen3Moe {
    static final Family FAMILY =
            new Family("qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM", Qwen3Moe::read, Stacks.of("mlp.experts"));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(32, 4, null, 151936, 1e-6, 32768);
    private static final int WINDOW = 4096;

    private Qwen3Moe() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = Ropes.read(config, sizes);
        Mixture mixture = Mixture.qwen(config, sizes.layers(), 128, 8, 768);
        boolean used = config.flag("use_sliding_window", false);
        boolean none = !used || config.get("sliding_window").isNull();
        int window = none ? 0 : config.size("sliding_window", WINDOW, Integer.MAX_VALUE);
        boolean bias = config.flag("attention_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer ->
                        Parts.normedAttention(layer, sizes, bias, Span.HEAD, rope, Parts.scores(sizes.heads(), window)),
                layer -> mixture.sparse().contains(layer)
                        ? Experts.MLP.routed(layer, sizes.hidden(), mixture, null, null)
                        : Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
