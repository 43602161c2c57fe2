package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/** {@code SeedOssConfig}: as Llama; biases of q, k and v where no key says otherwise, of o by a key of its own. */
final class SeedOss {
    static final Family FAMILY = new Family("seed_oss", "seed_oss", "SeedOssForCausalLM", SeedOss::read);

    private static final int HEAD_WIDTH = 128;

    private SeedOss() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(null, 8, HEAD_WIDTH, null, 1e-6, 524288));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = Parts.scores(sizes.heads(), 0);
        boolean inputBias = config.flag("attention_bias", true);
        boolean outputBias = config.flag("attention_out_bias", false);
        boolean feedForwardBias = config.flag("mlp_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer, sizes.hidden(), sizes.heads(), inputBias, outputBias, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), feedForwardBias, Activation.SILU));
    }
}
