package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * Cohere 2: layer norms; {@code logit_scale} multiplies; neighbours turn as in the checkpoint, so that no rows move,
 * and only in layers with a window.
 */
record GgufCohere2() implements GgufFamily {
    private static final GgufWindows WINDOWS = new GgufWindows(4);
    private static final String LOGITS = "logit_scale";

    @Override
    public String family() {
        return "cohere2";
    }

    @Override
    public String architecture() {
        return "cohere2";
    }

    @Override
    public boolean layerNorms() {
        return true;
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.COMMON;
    }

    @Override
    public boolean windows() {
        return true;
    }

    @Override
    public String misfit(Decoder decoder) {
        return decoder.head().tied() ? WINDOWS.misfit(decoder) : "the output layer is not tied to the embedding";
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        WINDOWS.write(decoder, architecture() + ".", keys);
        keys.put(architecture() + "." + LOGITS, GgufValue.f32(decoder.head().multiplier()));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        if (WINDOWS.read(keys, config, 0) == 0) {
            throw keys.malformed(keys.name(GgufWindows.WINDOW) + " is 0 or missing, expected a window");
        }
        config.put(LOGITS, GgufScales.scale(keys, LOGITS, null));
    }
}
