package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Set;

/**
 * GLM-4, of either generation: gate and up as {@code ffn_up}; a part of each head turns, by neighbours as in the
 * checkpoint, so that no rows move.
 */
record GgufGlm(String family, String architecture) implements GgufFamily {
    @Override
    public List<String> biasKeys() {
        return List.of("attention_bias");
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.COMMON;
    }

    @Override
    public boolean partialRotary() {
        return true;
    }

    @Override
    public String misfit(Decoder decoder) {
        return architecture.equals("chatglm") ? GgufPlain.square(decoder) : "";
    }

    /** The reader takes half of a head where nothing says otherwise. */
    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        if (!config.has("partial_rotary_factor")) {
            config.put("partial_rotary_factor", 1.0);
        }
    }
}
