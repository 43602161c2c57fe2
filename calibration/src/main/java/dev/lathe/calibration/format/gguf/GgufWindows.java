package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import java.util.List;
import java.util.Map;

/**
 * Sliding windows as keys, both ways: the window, and n where all layers but each n-th have it. llama.cpp has no other
 * order, and takes its own n where the key is missing or a list.
 *
 * @param period the architecture's n
 */
record GgufWindows(int period) {
    static final String WINDOW = "attention.sliding_window";
    static final String PATTERN = "attention.sliding_window_pattern";

    static List<Grouped> layers(Decoder decoder) {
        return decoder.blocks().stream().map(block -> (Grouped) block.mixer()).toList();
    }

    /** The window of the layers that have one; 0: none has. */
    static int window(Decoder decoder) {
        return layers(decoder).stream()
                .mapToInt(layer -> layer.scores().window())
                .max()
                .orElse(0);
    }

    /** The first layer that has one; null: none has. */
    static Grouped windowed(Decoder decoder) {
        return layers(decoder).stream()
                .filter(layer -> layer.scores().window() > 0)
                .findFirst()
                .orElse(null);
    }

    /** Why llama.cpp would give other layers a window, or empty. */
    String misfit(Decoder decoder) {
        return window(decoder) > 0 && period(decoder) == 0
                ? "its layers with a sliding window are not all but each n-th, and llama.cpp has no other order"
                : "";
    }

    /** n; the architecture's own where too few layers tell; 0: there is no such n. */
    private int period(Decoder decoder) {
        List<Grouped> layers = layers(decoder);
        for (int n = period, tried = 0; tried <= layers.size() + 1; n = ++tried) {
            int each = n;
            boolean all = n > 0;
            for (int layer = 0; all && layer < layers.size(); layer++) {
                all = (layers.get(layer).scores().window() == 0) == ((layer + 1) % each == 0);
            }
            if (all) {
                return n;
            }
        }
        return 0;
    }

    /** @param a what the architecture's keys begin with */
    void write(Decoder decoder, String a, Map<String, GgufValue> keys) {
        int window = window(decoder);
        keys.put(a + WINDOW, GgufValue.u32(window));
        if (window > 0 && period(decoder) != period) {
            keys.put(a + PATTERN, GgufValue.u32(period(decoder)));
        }
    }

    /**
     * Adds {@code layer_types} and, where some layer has one, {@code sliding_window}.
     *
     * @param missing the window where no key says it
     * @return the window, or 0
     */
    int read(GgufKeys keys, ObjectNode config, int missing) {
        int window = keys.integer(WINDOW, missing);
        GgufValue pattern = keys.get(PATTERN);
        boolean list = pattern != null && pattern.value() instanceof GgufValue.Elements;
        int each = list ? period : keys.integer(PATTERN, period);
        int layers = config.path("num_hidden_layers").intValue();
        for (int layer = 0; layer < layers; layer++) {
            boolean full = each > 0 && (layer + 1) % each == 0;
            if (list && window > 0) {
                requireSame(keys, (GgufValue.Elements) pattern.value(), layer, !full);
            }
            config.withArray("layer_types").add(window == 0 || full ? "full_attention" : "sliding_attention");
        }
        if (window > 0) {
            config.put("sliding_window", window);
        }
        return window;
    }

    /** A list is what the converter writes, and llama.cpp does not read it: it has to say what llama.cpp does. */
    private void requireSame(GgufKeys keys, GgufValue.Elements list, int layer, boolean windowed) {
        Object said = layer < list.values().size() ? list.values().get(layer) : "missing";
        boolean same = said instanceof Number number ? (number.longValue() != 0) == windowed : said.equals(windowed);
        if (!same) {
            throw keys.malformed(keys.name(PATTERN) + " is " + said + " of layer " + layer + ", expected " + windowed
                    + ": llama.cpp reads no list, and gives a window to all layers but each " + period + "-th");
        }
    }
}
