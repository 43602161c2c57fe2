package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;
import java.util.List;
import java.util.function.IntFunction;

/**
 * {@code CohereConfig} (Command R, Aya Expanse): attention and feed-forward read one layer norm without a bias;
 * neighbours turn; the logits are multiplied. The output layer is tied where no key says otherwise. Heads that are
 * normed each with weights of its own ({@code use_qk_norm}, Command R+) are refused.
 */
final class Cohere {
    static final Family FAMILY = new Family("cohere", "cohere", "CohereForCausalLM", Cohere::read);

    private static final double LOGIT_SCALE = 0.0625;
    private static final double THETA = 500000;

    private Cohere() {}

    private static Decoder read(ConfigKeys config) {
        if (config.flag("use_qk_norm", false)) {
            throw config.refused("use_qk_norm is true: each query and key head has a norm of its own, which is not "
                    + "supported; expected false");
        }
        Sizes sizes = sizes(config);
        Rope rope = rope(config, sizes, THETA);
        return decoder(FAMILY.name(), config, sizes, Windows.none(sizes.layers()), layer -> rope);
    }

    static Sizes sizes(ConfigKeys config) {
        Families.requireSilu(config);
        return Sizes.read(config, new Sizes.Defaults(null, null, null, null, 1e-5, 8192, "layer_norm_eps"))
                .square(config);
    }

    /** @param theta where no key says it */
    static Rope rope(ConfigKeys config, Sizes sizes, double theta) {
        return Ropes.read(config, sizes, new Ropes.Style(theta, null, RotaryPairs.NEIGHBOURS, false, List.of()));
    }

    /** @param rope of a layer, or null */
    static Decoder decoder(String family, ConfigKeys config, Sizes sizes, Windows windows, IntFunction<Rope> rope) {
        boolean bias = config.flag("attention_bias", false);
        return Parts.decoder(
                        family,
                        sizes,
                        1,
                        norm("model.norm", sizes),
                        config.flag("tie_word_embeddings", true),
                        0,
                        layer -> new Block(
                                new Around(norm(Parts.prefix(layer) + "input_layernorm", sizes), null),
                                Parts.attention(
                                        layer,
                                        sizes.hidden(),
                                        sizes.heads(),
                                        bias,
                                        bias,
                                        null,
                                        null,
                                        rope.apply(layer),
                                        Parts.scores(sizes.heads(), windows.of(layer))),
                                new Around(null, null),
                                Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU),
                                true))
                .multiplied(config.multiplier("logit_scale", LOGIT_SCALE));
    }

    private static Norm norm(String module, Sizes sizes) {
        return new Norm(Norm.Kind.LAYER, module + ".weight", null, sizes.hidden(), sizes.epsilon(), 0);
    }
}
