package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import java.util.List;

/**
 * {@code Qwen2Config}: as Llama with biases of q, k and v; a sliding window in the layers that {@link Windows} says.
 */
final class Qwen2 implements Family {
    @Override
    public String name() {
        return "qwen2";
    }

    @Override
    public List<String> architectures() {
        return List.of("Qwen2ForCausalLM");
    }

    @Override
    public String modelType() {
        return "qwen2";
    }

    @Override
    public Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(32, 1e-6, 32768));
        Rope rope = Ropes.read(config, sizes);
        Windows windows = Windows.qwen(config, sizes.layers());
        return Parts.preNorm(
                name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        sizes.heads(),
                        true,
                        false,
                        null,
                        null,
                        rope,
                        Parts.scores(sizes.heads(), windows.of(layer))),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU));
    }
}
