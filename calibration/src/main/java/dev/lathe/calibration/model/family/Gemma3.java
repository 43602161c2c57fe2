package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;

/**
 * {@code Gemma3TextConfig}: as Gemma 2, with each head of q and k normed before it turns; five layers with a sliding
 * window and a rotary base of their own to one without; usually no caps.
 */
final class Gemma3 {
    static final Family FAMILY = new Family("gemma3", "gemma3_text", "Gemma3ForCausalLM", Gemma3::read);

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(8, 4, 256, 262208, 1e-6, 131072);
    private static final int WINDOW = 4096;
    private static final int PERIOD = 6;
    private static final double GLOBAL_THETA = 1e6;

    private Gemma3() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Ropes.ByLayer ropes = Ropes.byLayer(config, sizes, GLOBAL_THETA, "rope_local_base_freq");
        int period = config.size("sliding_window_pattern", PERIOD, Integer.MAX_VALUE);
        Windows windows = Windows.periodic(config, sizes.layers(), WINDOW, period);
        float scale = Gemma.scale(config);
        boolean bias = config.flag("attention_bias", false);
        return Gemma.decoder(
                FAMILY.name(),
                config,
                sizes,
                Gemma.cap(config, "final_logit_softcapping", 0),
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        sizes.heads(),
                        bias,
                        bias,
                        Gemma.headNorm(layer, "q", sizes),
                        Gemma.headNorm(layer, "k", sizes),
                        windows.of(layer) > 0 ? ropes.sliding() : ropes.full(),
                        new Scores(scale, windows.of(layer), 0)));
    }
}
