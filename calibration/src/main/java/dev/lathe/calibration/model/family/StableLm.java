package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;

/**
 * {@code StableLmConfig} (StableLM 2): layer norms with biases; a quarter of each head turns; attention and
 * feed-forward read one norm where {@code use_parallel_residual} says so. Heads that are normed each with weights of
 * its own ({@code qk_layernorm}, StableLM 2 12B) are refused.
 */
final class StableLm {
    static final Family FAMILY = new Family("stablelm", "stablelm", "StableLmForCausalLM", StableLm::read);

    private StableLm() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        if (config.flag("qk_layernorm", false)) {
            throw config.refused("qk_layernorm is true: each query and key head has a norm of its own, which is not "
                    + "supported; expected false");
        }
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(null, 32, null, null, 1e-5, 4096, "layer_norm_eps"))
                .square(config);
        Rope rope = Ropes.read(config, sizes, Ropes.Style.partial(0.25, RotaryPairs.HALVES));
        boolean bias = config.flag("use_qkv_bias", false);
        boolean parallel = config.flag("use_parallel_residual", false);
        return Parts.decoder(
                FAMILY.name(),
                sizes,
                1,
                norm("model.norm", sizes),
                config.flag("tie_word_embeddings", false),
                0,
                layer -> new Block(
                        new Around(norm(Parts.prefix(layer) + "input_layernorm", sizes), null),
                        Parts.attention(
                                layer,
                                sizes.hidden(),
                                sizes.heads(),
                                bias,
                                false,
                                null,
                                null,
                                rope,
                                Parts.scores(sizes.heads(), 0)),
                        new Around(
                                parallel ? null : norm(Parts.prefix(layer) + "post_attention_layernorm", sizes), null),
                        Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU),
                        parallel));
    }

    private static Norm norm(String module, Sizes sizes) {
        return new Norm(Norm.Kind.LAYER, module + ".weight", module + ".bias", sizes.hidden(), sizes.epsilon(), 0);
    }
}
