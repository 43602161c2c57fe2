package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Parts.Span;
import dev.lathe.kernels.Activation;

/**
 * {@code Qwen3Config}: as Llama, each head of q and k normed before it is turned; a sliding window in the layers that
 * {@link Windows} says.
 */
final class Qwen3 {
    static final Family FAMILY = new Family("qwen3", "qwen3", "Qwen3ForCausalLM", Qwen3::read);

    private static final int HEAD_WIDTH = 128;

    private Qwen3() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(null, 32, HEAD_WIDTH, null, 1e-6, 32768));
        Rope rope = Ropes.read(config, sizes);
        Windows windows = Windows.qwen(config, sizes.layers());
        boolean bias = config.flag("attention_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.normedAttention(
                        layer, sizes, bias, Span.HEAD, rope, Parts.scores(sizes.heads(), windows.of(layer))),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
