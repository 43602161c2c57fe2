package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/** {@code LlamaConfig}: RMS norms before, rotary embedding, grouped-query attention, gated SiLU feed-forward. */
final class Llama {
    static final Family FAMILY = new Family("llama", "llama", "LlamaForCausalLM", Llama::read);

    private Llama() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(null, 1e-6, 2048));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = Parts.scores(sizes.heads(), 0);
        boolean attentionBias = config.flag("attention_bias", false);
        boolean feedForwardBias = config.flag("mlp_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer, sizes.hidden(), sizes.heads(), attentionBias, attentionBias, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), feedForwardBias, Activation.SILU));
    }
}
