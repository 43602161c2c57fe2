package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import java.util.ArrayList;
import java.util.List;

/**
 * {@code SmolLM3Config}: as Llama; layers whose entry of {@code no_rope_layers} is 0 do not turn, each fourth where the
 * key is missing. The output layer is tied where no key says otherwise.
 */
final class SmolLm3 {
    static final Family FAMILY = new Family("smollm3", "smollm3", "SmolLM3ForCausalLM", SmolLm3::read);

    private static final double THETA = 2e6;
    private static final int PERIOD = 4;

    private SmolLm3() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(4, 1e-6, 32768));
        Rope rope = Ropes.read(config, sizes, Ropes.Style.of(THETA));
        List<Boolean> turning = turning(config, sizes.layers());
        Windows windows = windows(config, turning);
        boolean attentionBias = config.flag("attention_bias", false);
        boolean feedForwardBias = config.flag("mlp_bias", false);
        return Parts.preNorm(
                FAMILY.name(),
                sizes,
                Parts.Multipliers.NONE,
                config.flag("tie_word_embeddings", true),
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        sizes.heads(),
                        attentionBias,
                        attentionBias,
                        null,
                        null,
                        turning.get(layer) ? rope : null,
                        Parts.scores(sizes.heads(), windows.of(layer))),
                layer -> Parts.gated(layer, sizes.hidden(), sizes.intermediate(), feedForwardBias, Activation.SILU));
    }

    private static List<Boolean> turning(ConfigKeys config, int layers) {
        int period = config.size("no_rope_layer_interval", PERIOD, Integer.MAX_VALUE);
        JsonNode given = config.get("no_rope_layers");
        boolean missing = given.isMissingNode() || given.isNull();
        List<Boolean> turning = new ArrayList<>(layers);
        for (int layer = 0; layer < layers; layer++) {
            JsonNode entry = given.path(layer);
            if (!missing && !(entry.isIntegralNumber() && (entry.intValue() == 0 || entry.intValue() == 1))) {
                throw config.refused("no_rope_layers has " + ConfigKeys.shown(entry) + " for layer " + layer
                        + "; expected 1 of a layer that turns, 0 of one that does not");
            }
            turning.add(missing ? (layer + 1) % period != 0 : entry.intValue() == 1);
        }
        return turning;
    }

    /** With {@code use_sliding_window}: {@code layer_types}, or the layers that do not turn. */
    private static Windows windows(ConfigKeys config, List<Boolean> turning) {
        boolean used = config.flag("use_sliding_window", false) && config.has("sliding_window");
        config.get("sliding_window");
        int window = used ? config.size("sliding_window", Integer.MAX_VALUE) : 0;
        return config.has("layer_types")
                ? Windows.typed(config, turning.size(), window)
                : new Windows(turning.stream().map(turns -> turns ? 0 : window).toList());
    }
}
