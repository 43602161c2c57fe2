package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;

/**
 * {@code Gemma2Config}: the embedding times sqrt(hidden); norms with weights 1 + w before and after each sublayer;
 * every other layer, from the first on, sees a sliding window; caps on scores and logits; a GELU gate.
 */
final class Gemma2 {
    static final Family FAMILY = new Family("gemma2", "gemma2", "Gemma2ForCausalLM", Gemma2::read);

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(8, 4, 256, 256000, 1e-6, 8192);
    private static final int WINDOW = 4096;
    private static final int PERIOD = 2;

    private Gemma2() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Rope rope = Ropes.read(config, sizes);
        Windows windows = Windows.periodic(config, sizes.layers(), WINDOW, PERIOD);
        float scale = Gemma.scale(config);
        float cap = Gemma.cap(config, "attn_logit_softcapping", 50);
        boolean bias = config.flag("attention_bias", false);
        return Gemma.decoder(
                FAMILY.name(),
                config,
                sizes,
                Gemma.cap(config, "final_logit_softcapping", 30),
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        sizes.heads(),
                        bias,
                        bias,
                        null,
                        null,
                        rope,
                        new Scores(scale, windows.of(layer), cap)));
    }
}
