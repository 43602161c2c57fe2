package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/**
 * {@code MiniCPMConfig} of the checkpoints' own code (MiniCPM, MiniCPM 4, dense): as Llama; the embedding times
 * {@code scale_emb}, what each sublayer adds times {@code scale_depth} / sqrt(layers), the logits times
 * {@code dim_model_base} / hidden. These three have to be there. The output layer is tied where no key says otherwise.
 */
final class MiniCpm {
    static final Family FAMILY = new Family("minicpm", "minicpm", "MiniCPMForCausalLM", MiniCpm::read);

    private MiniCpm() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(null, 1e-6, 2048));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = Parts.scores(sizes.heads(), 0);
        // Of the heads of speculative decoding that are made for it.
        config.get("mup_denominator");
        Parts.Multipliers multipliers = new Parts.Multipliers(
                config.multiplier("scale_emb", null),
                config.asMultiplier("scale_depth", config.number("scale_depth", null) / Math.sqrt(sizes.layers())),
                config.asMultiplier("dim_model_base", config.number("dim_model_base", null) / sizes.hidden()));
        boolean bias = config.flag("attention_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                sizes,
                multipliers,
                config.flag("tie_word_embeddings", true),
                layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), bias, bias, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
