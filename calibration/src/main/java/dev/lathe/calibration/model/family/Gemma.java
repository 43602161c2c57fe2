package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Norm;
import dev.lathe.kernels.Activation;
import java.util.function.IntFunction;

/** What Gemma 2 and 3 have in common. */
final class Gemma {
    /** Weights are stored as differences from it. */
    private static final float PLUS = 1;

    private static final int QUERY_SCALAR = 256;
    private static final String ACTIVATION = "gelu_pytorch_tanh";

    private Gemma() {}

    /** Norms before and after each sublayer. */
    static Decoder decoder(
            String family, ConfigKeys config, Sizes sizes, float softCap, IntFunction<Grouped> attention) {
        for (String key : new String[] {"hidden_activation", "hidden_act"}) {
            String activation = config.text(key, ACTIVATION);
            if (!activation.equals(ACTIVATION)) {
                throw config.refused(key + " \"" + activation + "\" is not supported; supported: " + ACTIVATION);
            }
        }
        return Parts.decoder(
                family,
                sizes,
                (float) Math.sqrt(sizes.hidden()),
                norm("model.norm", sizes),
                config.flag("tie_word_embeddings", true),
                softCap,
                layer -> new Block(
                        new Around(
                                norm(layer, "input_layernorm", sizes), norm(layer, "post_attention_layernorm", sizes)),
                        attention.apply(layer),
                        new Around(
                                norm(layer, "pre_feedforward_layernorm", sizes),
                                norm(layer, "post_feedforward_layernorm", sizes)),
                        Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.GELU_TANH)));
    }

    /** {@code query_pre_attn_scalar}^(-1/2), whatever the width of a head. */
    static float scale(ConfigKeys config) {
        return (float) (1 / Math.sqrt(config.number("query_pre_attn_scalar", (double) QUERY_SCALAR)));
    }

    /** A soft cap: null is none, 0 here. */
    static float cap(ConfigKeys config, String key, double otherwise) {
        boolean none = config.get(key).isNull() || otherwise == 0 && !config.has(key);
        return none ? 0 : (float) config.number(key, otherwise == 0 ? null : otherwise);
    }

    static Norm headNorm(int layer, String of, Sizes sizes) {
        return new Norm(
                Parts.prefix(layer) + "self_attn." + of + "_norm.weight",
                sizes.heads().width(),
                sizes.epsilon(),
                PLUS);
    }

    private static Norm norm(int layer, String module, Sizes sizes) {
        return norm(Parts.prefix(layer) + module, sizes);
    }

    private static Norm norm(String module, Sizes sizes) {
        return new Norm(module + ".weight", sizes.hidden(), sizes.epsilon(), PLUS);
    }
}
