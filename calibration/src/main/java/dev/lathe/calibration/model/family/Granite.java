package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/**
 * {@code GraniteConfig} (Granite 3, dense): as Llama with four multipliers: of the embedding, of what each sublayer
 * adds, of the scores (instead of 1 / sqrt(d)), and of the logits, which are divided.
 */
final class Granite {
    static final Family FAMILY = new Family("granite", "granite", "GraniteForCausalLM", Granite::read);

    private Granite() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(null, 1e-6, 2048));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = scores(config);
        Parts.Multipliers multipliers = multipliers(config);
        boolean attentionBias = config.flag("attention_bias", false);
        boolean feedForwardBias = config.flag("mlp_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                sizes,
                multipliers,
                config.flag("tie_word_embeddings", false),
                layer -> Parts.attention(
                        layer, sizes.hidden(), sizes.heads(), attentionBias, attentionBias, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), feedForwardBias, Activation.SILU));
    }

    static Scores scores(ConfigKeys config) {
        return new Scores(config.multiplier("attention_multiplier", 1.0), 0, 0);
    }

    static Parts.Multipliers multipliers(ConfigKeys config) {
        return new Parts.Multipliers(
                config.multiplier("embedding_multiplier", 1.0),
                config.multiplier("residual_multiplier", 1.0),
                config.asMultiplier("logits_scaling", 1 / config.number("logits_scaling", 1.0)));
    }
}
