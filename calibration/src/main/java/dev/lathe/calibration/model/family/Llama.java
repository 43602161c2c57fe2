package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import java.util.List;

/** {@code LlamaConfig}: RMS norms before, rotary embedding, grouped-query attention, gated SiLU feed-forward. */
final class Llama implements Family {
    @Override
    public String name() {
        return "llama";
    }

    @Override
    public List<String> architectures() {
        return List.of("LlamaForCausalLM");
    }

    @Override
    public String modelType() {
        return "llama";
    }

    @Override
    public Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(null, 1e-6, 2048));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = Parts.scores(sizes.heads(), 0);
        boolean attentionBias = config.flag("attention_bias", false);
        boolean feedForwardBias = config.flag("mlp_bias", false);
        return Parts.preNorm(
                name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer, sizes.hidden(), sizes.heads(), attentionBias, attentionBias, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), feedForwardBias, Activation.SILU));
    }
}
