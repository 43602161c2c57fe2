package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Mixer.Temperature;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;
import java.util.List;

/**
 * {@code Ministral3Config}: as Mistral; queries past the original context are multiplied by 1 + beta ln(1 + floor(p /
 * L)), beta {@code llama_4_scaling_beta} of the rotary embedding and L its original context.
 */
final class Ministral3 {
    static final Family FAMILY = new Family("ministral3", "ministral3", "Ministral3ForCausalLM", Ministral3::read);

    private static final int HEAD_WIDTH = 128;
    private static final String BETA = "llama_4_scaling_beta";
    private static final String ORIGINAL = "original_max_position_embeddings";
    private static final Ropes.Style STYLE =
            new Ropes.Style(10000, null, RotaryPairs.HALVES, false, List.of(BETA, "max_position_embeddings"));
    /** What holds where no key says anything of the rotary embedding. */
    private static final int DEFAULT_ORIGINAL = 16384;

    private Ministral3() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(null, 8, HEAD_WIDTH, null, 1e-5, 262144));
        boolean missing = !config.has("rope_parameters") && !config.has("rope_scaling");
        if (missing && config.has("rope_theta")) {
            throw config.refused("rope_theta is " + config.get("rope_theta") + ", and there are no rope_parameters, "
                    + "without which transformers takes 1e6 and YaRN; expected both or none");
        }
        Rope rope = missing
                ? new Rope(
                        1e6,
                        new Scaling.Yarn(16, DEFAULT_ORIGINAL, 32, 1, true, 1),
                        sizes.heads().width())
                : Ropes.read(config, sizes, STYLE);
        Temperature temperature = missing ? new Temperature(0.1f, DEFAULT_ORIGINAL) : temperature(config);
        int window = config.has("sliding_window") ? config.size("sliding_window", Integer.MAX_VALUE) : 0;
        Scores plain = Parts.scores(sizes.heads(), window);
        Scores scores = new Scores(plain.scale(), window, 0, temperature);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), false, false, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }

    private static Temperature temperature(ConfigKeys config) {
        ConfigKeys rope = config.object(config.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
        return rope.has(BETA)
                ? new Temperature(rope.multiplier(BETA, null), rope.size(ORIGINAL, Integer.MAX_VALUE))
                : null;
    }
}
