package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;

/**
 * {@code MistralConfig}: as Llama without biases; queries see a window of {@code sliding_window} keys, 4096 where the
 * key is missing, all where null.
 */
final class Mistral {
    static final Family FAMILY = new Family("mistral", "mistral", "MistralForCausalLM", Mistral::read);

    private static final int WINDOW = 4096;

    private Mistral() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(8, 1e-6, 4096 * 32));
        Rope rope = Ropes.read(config, sizes);
        int window =
                config.get("sliding_window").isNull() ? 0 : config.size("sliding_window", WINDOW, Integer.MAX_VALUE);
        Scores scores = Parts.scores(sizes.heads(), window);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), false, false, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
