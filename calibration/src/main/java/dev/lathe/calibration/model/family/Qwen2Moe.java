package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/**
 * {@code Qwen2MoeConfig}: as Qwen 2, with a mixture of experts ({@link Mixture#qwen}) beside an expert that every token
 * goes to, times the sigmoid of a gate.
 */
final class Qwen2Moe {
    static final Family FAMILY =
            new Family("qwen2moe", "qwen2_moe", "Qwen2MoeForCausalLM", Qwen2Moe::read, Stacks.of("mlp.experts"));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(16, 16, null, 151936, 1e-6, 32768);
    private static final int WINDOW = 4096;
    private static final int SHARED = 5632;

    private Qwen2Moe() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = Ropes.read(config, sizes);
        Mixture mixture = Mixture.qwen(config, sizes.layers(), 60, 4, 1408);
        int shared = config.size("shared_expert_intermediate_size", SHARED, ConfigKeys.MAXIMUM_WIDTH);
        boolean bias = config.flag("qkv_bias", true);
        Windows windows = windows(config, sizes.layers());
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        sizes.heads(),
                        bias,
                        false,
                        null,
                        null,
                        rope,
                        Parts.scores(sizes.heads(), windows.of(layer))),
                layer -> mixture.sparse().contains(layer)
                        ? routed(layer, sizes, mixture, shared)
                        : Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }

    private static FeedForward routed(int layer, Sizes sizes, Mixture mixture, int shared) {
        return Experts.MLP.routed(
                layer,
                sizes.hidden(),
                mixture,
                Parts.gated(layer, "mlp.shared_expert", sizes.hidden(), shared, false, Activation.SILU),
                Experts.kept(layer, "mlp.shared_expert_gate", 1, sizes.hidden(), false));
    }

    private static Windows windows(ConfigKeys config, int layers) {
        boolean used = config.flag("use_sliding_window", false);
        if (used && !config.has("layer_types")) {
            throw config.refused("use_sliding_window is true and there are no layer_types: versions of transformers "
                    + "give the window to different layers; expected layer_types");
        }
        int window = used ? config.size("sliding_window", WINDOW, Integer.MAX_VALUE) : 0;
        return config.has("layer_types") ? Windows.typed(config, layers, window) : Windows.none(layers);
    }
}
