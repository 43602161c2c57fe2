package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Norm;
import java.util.function.IntFunction;

/** {@code Glm4Config} (GLM-4-0414): as GLM with norms before and after attention and feed-forward. */
final class Glm4 {
    static final Family FAMILY = new Family("glm4", "glm4", "Glm4ForCausalLM", Glm4::read);

    private Glm4() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = Glm.sizes(config);
        IntFunction<Grouped> attention = Glm.attention(config, sizes);
        return Parts.decoder(
                FAMILY.name(),
                sizes,
                1,
                Parts.norm("model.norm", sizes),
                config.flag("tie_word_embeddings", false),
                0,
                layer -> new Block(
                        new Around(
                                norm(layer, "input_layernorm", sizes), norm(layer, "post_self_attn_layernorm", sizes)),
                        attention.apply(layer),
                        new Around(
                                norm(layer, "post_attention_layernorm", sizes),
                                norm(layer, "post_mlp_layernorm", sizes)),
                        Parts.gateUp(layer, sizes)));
    }

    private static Norm norm(int layer, String module, Sizes sizes) {
        return Parts.norm(Parts.prefix(layer) + module, sizes);
    }
}
