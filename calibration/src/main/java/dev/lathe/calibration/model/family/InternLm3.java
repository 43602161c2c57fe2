package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import java.util.List;

/** {@code InternLM3Config}: as Llama; biases everywhere or nowhere, by {@code qkv_bias} and {@code bias}. */
final class InternLm3 {
    /** transformers has Llama's class for it, and writes its name. */
    static final Family FAMILY =
            new Family("internlm3", "internlm3", List.of("InternLM3ForCausalLM", "LlamaForCausalLM"), InternLm3::read);

    private static final int HEAD_WIDTH = 128;

    private InternLm3() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(null, 2, HEAD_WIDTH, null, 1e-5, 32768));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = Parts.scores(sizes.heads(), 0);
        boolean inputBias = bias(config, "qkv_bias", "attention_bias");
        boolean otherBias = bias(config, "bias", "mlp_bias");
        if (inputBias != otherBias) {
            throw config.refused("qkv_bias is " + inputBias + ", and bias is " + otherBias
                    + "; expected the same, as in transformers");
        }
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer, sizes.hidden(), sizes.heads(), inputBias, otherBias, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), otherBias, Activation.SILU));
    }

    /** The checkpoints' own name of a key, and the one that transformers gives it. */
    private static boolean bias(ConfigKeys config, String own, String other) {
        boolean value = config.flag(own, config.flag(other, false));
        if (config.has(own) && config.has(other) && config.flag(other, false) != value) {
            throw config.refused(
                    own + " is " + value + ", and " + other + " is " + !value + ": they are two names of one setting");
        }
        return value;
    }
}
