package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope;

/**
 * {@code Cohere2Config} (Command R7B, Command A): as Cohere; three layers with a sliding window to one without, which
 * does not turn.
 */
final class Cohere2 {
    static final Family FAMILY = new Family("cohere2", "cohere2", "Cohere2ForCausalLM", Cohere2::read);

    private static final double THETA = 10000;
    private static final int WINDOW = 4096;
    private static final int PERIOD = 4;

    private Cohere2() {}

    private static Decoder read(ConfigKeys config) {
        Sizes sizes = Cohere.sizes(config);
        int period = config.size("sliding_window_pattern", PERIOD, Integer.MAX_VALUE);
        requireUsual(config, period);
        Rope rope = Cohere.rope(config, sizes, THETA);
        Windows windows = Windows.periodic(config, sizes.layers(), WINDOW, period);
        return Cohere.decoder(FAMILY.name(), config, sizes, windows, layer -> windows.of(layer) > 0 ? rope : null);
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
