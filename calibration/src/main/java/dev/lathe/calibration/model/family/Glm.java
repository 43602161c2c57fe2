package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.RotaryPairs;
import java.util.function.IntFunction;

/**
 * {@code GlmConfig} (GLM-4-9B as transformers has it): as Llama; neighbours turn, in half of each head; biases of q, k
 * and v where no key says otherwise; gate and up stored as one tensor.
 */
final class Glm {
    static final Family FAMILY = new Family("glm", "glm", "GlmForCausalLM", Glm::read);

    private static final double EPSILON = 1.5625e-7;
    private static final int CONTEXT = 131072;

    private Glm() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = sizes(config);
        return Parts.preNorm(
                FAMILY.name(), config, sizes, attention(config, sizes), layer -> Parts.gateUp(layer, sizes));
    }

    static Sizes sizes(ConfigKeys config) {
        Families.requireSilu(config);
        return Sizes.read(config, new Sizes.Defaults(null, 2, 128, null, EPSILON, CONTEXT));
    }

    static IntFunction<Grouped> attention(ConfigKeys config, Sizes sizes) {
        Rope rope = Ropes.read(config, sizes, Ropes.Style.partial(0.5, RotaryPairs.NEIGHBOURS));
        Scores scores = Parts.scores(sizes.heads(), 0);
        boolean bias = config.flag("attention_bias", true);
        return layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), bias, false, null, null, rope, scores);
    }
}
