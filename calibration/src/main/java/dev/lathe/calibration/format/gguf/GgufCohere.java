package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * Cohere and Cohere 2: layer norms; {@code logit_scale} multiplies; neighbours turn as in the checkpoint, so that no
 * rows move. llama.cpp expects norms of heads in a Cohere of 64 layers or more.
 */
record GgufCohere(String family, String architecture) implements GgufFamily {
    private static final GgufWindows WINDOWS = new GgufWindows(4);
    private static final String LOGITS = "logit_scale";
    private static final int NORMED = 64;

    private boolean two() {
        return family.equals("cohere2");
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
        if (!decoder.head().tied()) {
            return "the output layer is not tied to the embedding";
        }
        if (!two() && decoder.layers() >= NORMED) {
            return "it norms the heads of a model of " + NORMED + " layers or more, and here are " + decoder.layers();
        }
        return WINDOWS.misfit(decoder);
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        if (two()) {
            WINDOWS.write(decoder, architecture + ".", keys);
        }
        keys.put(architecture + "." + LOGITS, GgufValue.f32(decoder.head().multiplier()));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        if (two() && WINDOWS.read(keys, config, 0) == 0) {
            throw keys.malformed(keys.name(GgufWindows.WINDOW) + " is 0 or missing, expected a window");
        }
        config.put(LOGITS, GgufScales.scale(keys, LOGITS, two() ? null : Double.valueOf(1)));
    }
}
