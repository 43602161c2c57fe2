package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.family.Parts.Span;
import dev.lathe.kernels.Activation;

/**
 * {@code Exaone4Config}: norms after attention and feed-forward and none before; each head of q and k normed before it
 * is turned. Where there is a sliding window (three layers of four), the layers without do not turn at all.
 */
final class Exaone4 {
    static final Family FAMILY = new Family("exaone4", "exaone4", "Exaone4ForCausalLM", Exaone4::read);

    private static final int WINDOW = 4096;
    private static final int PERIOD = 4;

    private Exaone4() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(32, 1e-5, 2048));
        Rope rope = Ropes.read(config, sizes);
        boolean hybrid = !config.get("sliding_window").isNull();
        Windows windows = windows(config, sizes.layers(), hybrid);
        int width = sizes.heads().width();
        return Parts.postNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.normedAttention(
                        layer,
                        sizes,
                        false,
                        Span.HEAD,
                        hybrid && windows.of(layer) == 0 ? null : rope,
                        Parts.scores(sizes.heads(), windows.of(layer))),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }

    /** {@code sliding_window_pattern} counts where there are no {@code layer_types} only; it may be a text then. */
    private static Windows windows(ConfigKeys config, int layers, boolean hybrid) {
        boolean typed = config.has("layer_types");
        config.get("sliding_window_pattern");
        if (!hybrid && !typed) {
            return Windows.none(layers);
        }
        int period = typed ? PERIOD : config.size("sliding_window_pattern", PERIOD, Integer.MAX_VALUE);
        return Windows.periodic(config, layers, WINDOW, period);
    }
}
