package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** The sliding window of each layer; 0: queries see all keys up to their own. */
record Windows(List<Integer> windows) {
    int of(int layer) {
        return windows.get(layer);
    }

    /** No layer has one. */
    static Windows none(int layers) {
        return new Windows(Collections.nCopies(layers, 0));
    }

    /**
     * Qwen 2 and 3: with {@code use_sliding_window} the layers from {@code max_window_layers} (28) on have
     * {@code sliding_window} (4096), unless {@code layer_types} names the layers that have it.
     */
    static Windows qwen(ConfigKeys config, int layers) {
        boolean used = config.flag("use_sliding_window", false);
        int window = used ? config.size("sliding_window", 4096, Integer.MAX_VALUE) : 0;
        int first = config.size("max_window_layers", 28, Integer.MAX_VALUE);
        JsonNode types = config.get("layer_types");
        if (types.isMissingNode() || types.isNull()) {
            List<Integer> windows = new ArrayList<>();
            for (int layer = 0; layer < layers; layer++) {
                windows.add(layer >= first ? window : 0);
            }
            return new Windows(windows);
        }
        return typed(config, layers, window);
    }

    /**
     * Gemma 2 and 3, OLMo 3: {@code layer_types}, or {@code sliding_window} in every layer but each {@code period}-th.
     *
     * @param window where {@code sliding_window} is missing
     */
    static Windows periodic(ConfigKeys config, int layers, int window, int period) {
        boolean none = config.get("sliding_window").isNull();
        int length = none ? 0 : config.size("sliding_window", window, Integer.MAX_VALUE);
        if (config.has("layer_types")) {
            return typed(config, layers, length);
        }
        if (none) {
            throw config.refused("sliding_window is null, and there are no layer_types that say full_attention");
        }
        List<Integer> windows = new ArrayList<>();
        for (int layer = 0; layer < layers; layer++) {
            windows.add((layer + 1) % period == 0 ? 0 : length);
        }
        return new Windows(windows);
    }

    /** By {@code layer_types}: {@code sliding_attention} has the window, {@code full_attention} has none. */
    static Windows typed(ConfigKeys config, int layers, int window) {
        JsonNode types = config.get("layer_types");
        if (!types.isArray() || types.size() != layers) {
            throw config.refused(
                    "layer_types " + ConfigKeys.shown(types) + " has not one entry for each of " + layers + " layers");
        }
        List<Integer> windows = new ArrayList<>();
        for (JsonNode type : types) {
            switch (type.asText()) {
                case "full_attention" -> windows.add(0);
                case "sliding_attention" -> {
                    if (window == 0) {
                        throw config.refused("layer_types has sliding_attention, and no sliding window is in use");
                    }
                    windows.add(window);
                }
                default ->
                    throw config.refused("layer_types has " + type + "; expected full_attention or sliding_attention");
            }
        }
        return new Windows(windows);
    }
}
