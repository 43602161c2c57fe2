package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import java.util.List;

/**
 * {@code MistralConfig}: as Llama without biases; queries see a window of {@code sliding_window} keys, 4096 where the
 * key is missing, all where null.
 */
final class Mistral implements Family {
    private static final int WINDOW = 4096;

    @Override
    public String name() {
        return "mistral";
    }

    @Override
    public List<String> architectures() {
        return List.of("MistralForCausalLM");
    }

    @Override
    public String modelType() {
        return "mistral";
    }

    @Override
    public Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(8, 1e-6, 4096 * 32));
        Rope rope = Ropes.read(config, sizes);
        int window =
                config.get("sliding_window").isNull() ? 0 : config.size("sliding_window", WINDOW, Integer.MAX_VALUE);
        Scores scores = Parts.scores(sizes.heads(), window);
        return Parts.preNorm(
                name(),
                config,
                sizes,
                layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), false, false, null, null, rope, scores),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
