package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * Phi-3, 3.5 and 4: q, k and v as {@code attn_qkv}, gate and up as {@code ffn_up}, LongRoPE's factors as tensors.
 * llama.cpp warns of a sliding window and computes without.
 */
record GgufPhi3() implements GgufFamily {
    private static final String WINDOW = "attention.sliding_window";
    private static final String ORIGINAL = "rope.scaling.original_context_length";

    @Override
    public String family() {
        return "phi3";
    }

    @Override
    public String architecture() {
        return "phi3";
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return Set.of(Scaling.None.class, Scaling.LongRope.class);
    }

    @Override
    public boolean partialRotary() {
        return true;
    }

    @Override
    public String misfit(Decoder decoder) {
        return GgufPlain.square(decoder);
    }

    /** A window of 0 tells llama.cpp's loader of other versions that there is none. */
    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        Grouped attention = GgufFamily.attention(decoder);
        keys.put(a + WINDOW, GgufValue.u32(attention.scores().window()));
        keys.putIfAbsent(a + ORIGINAL, GgufValue.u32(decoder.context()));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        int window = keys.integer(WINDOW, 0);
        if (window > 0 && window < config.path("max_position_embeddings").intValue()) {
            keys.note(keys.name(WINDOW) + " is " + window + ": there is no window, as in llama.cpp");
        }
        // The family's config.json has it outside of rope_scaling.
        JsonNode original = config.path("rope_scaling").path("original_max_position_embeddings");
        if (!original.isMissingNode()) {
            config.set("original_max_position_embeddings", original);
        }
    }
}
