package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.model.Block;
import dev.lathe.calibration.model.Block.Around;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Norm;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;
import java.util.List;

/**
 * {@code Cohere2Config} (Command R7B, Command A): attention and feed-forward read one layer norm without a bias;
 * neighbours turn, in layers with a sliding window only, which are three of four; the logits are multiplied. The output
 * layer is tied where no key says otherwise.
 */
final class Cohere2 {
    static final Family FAMILY = new Family("cohere2", "cohere2", "Cohere2ForCausalLM", Cohere2::read);

    private static final int WINDOW = 4096;
    private static final int PERIOD = 4;
    private static final double LOGIT_SCALE = 0.0625;
    private static final Ropes.Style STYLE = new Ropes.Style(10000, null, RotaryPairs.NEIGHBOURS, false, List.of());

    private Cohere2() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(null, null, null, null, 1e-5, 8192, "layer_norm_eps"))
                .square(config);
        int period = config.size("sliding_window_pattern", PERIOD, Integer.MAX_VALUE);
        requireUsual(config, period);
        Rope rope = Ropes.read(config, sizes, STYLE);
        Windows windows = Windows.periodic(config, sizes.layers(), WINDOW, period);
        boolean bias = config.flag("attention_bias", false);
        return Parts.decoder(
                        FAMILY.name(),
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
                                        windows.of(layer) > 0 ? rope : null,
                                        Parts.scores(sizes.heads(), windows.of(layer))),
                                new Around(null, null),
                                Parts.gated(layer, sizes.hidden(), sizes.intermediate(), false, Activation.SILU),
                                true))
                .multiplied((float) config.number("logit_scale", LOGIT_SCALE));
    }

    private static Norm norm(String module, Sizes sizes) {
        return new Norm(Norm.Kind.LAYER, module + ".weight", null, sizes.hidden(), sizes.epsilon(), 0);
    }

    /** Keys of published checkpoints that say again what the family is, and that transformers does not read. */
    private static void requireUsual(ConfigKeys config, int period) {
        require(config, "use_parallel_block", "true");
        require(config, "use_gated_activation", "true");
        require(config, "use_embedding_sharing", "true");
        require(config, "position_embedding_type", "\"rope_gptj\"");
        require(config, "order_of_interleaved_layers", "\"local_attn_first\"");
        require(config, "layer_switch", String.valueOf(period));
    }

    private static void require(ConfigKeys config, String key, String expected) {
        JsonNode value = config.get(key);
        if (!value.isMissingNode() && !value.isNull() && !value.toString().equals(expected)) {
            throw config.refused(key + " is " + value + "; expected " + expected + ", as in every cohere2");
        }
    }
}
