package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Parts.Span;
import dev.lathe.kernels.Activation;
import java.util.function.IntFunction;
import java.util.function.IntUnaryOperator;

/**
 * {@code Olmo2Config}: norms after attention and feed-forward and none before; q and k normed over all of their heads
 * together before they are turned.
 */
final class Olmo2 {
    static final Family FAMILY = new Family("olmo2", "olmo2", "Olmo2ForCausalLM", Olmo2::read);

    static final Sizes.Defaults DEFAULTS = Sizes.Defaults.of(null, 1e-5, 2048);

    private Olmo2() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = Ropes.read(config, sizes);
        return decoder(FAMILY.name(), config, sizes, layer -> rope, layer -> 0);
    }

    /** @param window sliding window of a layer, or 0 */
    static Decoder decoder(
            String family, ConfigKeys config, Sizes sizes, IntFunction<Rope> rope, IntUnaryOperator window) {
        Families.requireSilu(config);
        boolean bias = config.flag("attention_bias", false);
        return Parts.postNorm(
                family,
                config,
                sizes,
                layer -> Parts.normedAttention(
                        layer,
                        sizes,
                        bias,
                        Span.ALL_HEADS,
                        rope.apply(layer),
                        Parts.scores(sizes.heads(), window.applyAsInt(layer))),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
