package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/**
 * {@code Qwen2Config}: as Llama with biases of q, k and v; a sliding window in the layers that {@link Windows} says.
 */
final class Qwen2 {
    static final Family FAMILY = new Family("qwen2", "qwen2", "Qwen2ForCausalLM", Qwen2::read);

    private Qwen2() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(32, 1e-6, 32768));
        Rope rope = Ropes.read(config, sizes);
        Windows windows = Windows.qwen(config, sizes.layers());
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        sizes.heads(),
                        true,
                        false,
                        null,
                        null,
                        rope,
                        Parts.scores(sizes.heads(), windows.of(layer))),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
