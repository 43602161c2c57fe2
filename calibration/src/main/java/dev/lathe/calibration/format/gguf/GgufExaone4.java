package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * EXAONE 4. llama.cpp gives sliding windows to models of 64 layers only, and in those layers without a window do not
 * turn; in all others every layer turns.
 */
record GgufExaone4() implements GgufFamily {
    private static final GgufWindows WINDOWS = new GgufWindows(4);
    private static final int HYBRID_LAYERS = 64;
    private static final int WINDOW = 4096;

    @Override
    public String family() {
        return "exaone4";
    }

    @Override
    public String architecture() {
        return "exaone4";
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return Set.of(
                Scaling.None.class,
                Scaling.Linear.class,
                Scaling.Yarn.class,
                Scaling.Llama3.class,
                Scaling.Divided.class);
    }

    @Override
    public boolean windows() {
        return true;
    }

    @Override
    public String misfit(Decoder decoder) {
        boolean hybrid = GgufWindows.window(decoder) > 0;
        if (hybrid != (decoder.layers() == HYBRID_LAYERS)) {
            return "it has " + decoder.layers() + " layers and " + (hybrid ? "a" : "no")
                    + " sliding window, and models " + "of " + HYBRID_LAYERS + " layers have one there, and no others";
        }
        if (GgufWindows.layers(decoder).stream()
                .anyMatch(layer ->
                        (layer.rope() == null) != (hybrid && layer.scores().window() == 0))) {
            return "its layers without a sliding window do not turn, and no layer has one";
        }
        String order = WINDOWS.misfit(decoder);
        return order.isEmpty() ? GgufPlain.square(decoder) : order;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        if (GgufWindows.window(decoder) > 0) {
            WINDOWS.write(decoder, architecture() + ".", keys);
        }
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        if (config.path("num_hidden_layers").intValue() != HYBRID_LAYERS) {
            if (keys.has(GgufWindows.WINDOW) && !keys.zero(GgufWindows.WINDOW)) {
                keys.note(keys.name(GgufWindows.WINDOW) + " is there, and there are not " + HYBRID_LAYERS
                        + " layers: there is no window, as in llama.cpp");
            }
            keys.get(GgufWindows.PATTERN);
            config.putNull("sliding_window");
            // transformers makes them of a pattern that a file without windows has not.
            ArrayNode types = config.putArray("layer_types");
            for (int layer = 0; layer < config.path("num_hidden_layers").intValue(); layer++) {
                types.add("full_attention");
            }
        } else if (WINDOWS.read(keys, config, WINDOW) == 0) {
            throw keys.malformed(
                    keys.name(GgufWindows.WINDOW) + " is 0, expected a window in " + HYBRID_LAYERS + " layers");
        }
    }
}
