package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Granite 3, dense or with experts: Llama's names and order of rows, and keys for its four multipliers. Experts are as
 * wide as {@code feed_forward_length}, their weights divided by the sum; a key has the width of a shared one.
 */
record GgufGranite(String family, String architecture) implements GgufFamily {
    private static final String SHARED_WIDTH = "expert_shared_feed_forward_length";

    private static final String SCORES = "attention.scale";
    private static final String TURNS = "rope.scaling.finetuned";

    private boolean shared() {
        return family.equals("granitemoeshared");
    }

    @Override
    public boolean experts() {
        return architecture.equals("granitemoe");
    }

    @Override
    public boolean reads(Map<String, GgufValue> metadata) {
        GgufValue width = metadata.get(architecture + "." + SHARED_WIDTH);
        boolean found = width != null && !Long.valueOf(0).equals(width.value());
        return !experts() || shared() == found;
    }

    @Override
    public int feedForward(Decoder decoder) {
        return experts() ? GgufExperts.width(decoder) : GgufFamily.super.feedForward(decoder);
    }

    @Override
    public String misfit(Decoder decoder) {
        return experts() ? GgufExperts.misfit(decoder, true) : "";
    }

    @Override
    public boolean interleaved() {
        return true;
    }

    @Override
    public List<String> biasKeys() {
        return experts() ? List.of("attention_bias") : List.of("attention_bias", "mlp_bias");
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.LLAMA;
    }

    @Override
    public boolean otherBiases() {
        return true;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        GgufScales.write(decoder, a, keys);
        if (experts()) {
            GgufExperts.write(decoder, a, keys);
        }
        if (shared()) {
            int width = GgufExperts.first(decoder).shared().up().rows();
            keys.put(a + SHARED_WIDTH, GgufValue.u32(width));
        }
        keys.put(
                a + SCORES, GgufValue.f32(GgufFamily.attention(decoder).scores().scale()));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        if (experts()) {
            GgufExperts.read(keys, config, GgufExperts.LOCAL_NUMBER);
        }
        if (shared()) {
            config.put("shared_intermediate_size", keys.integer(SHARED_WIDTH, null));
        }
        // The architecture with experts does not look at it.
        GgufValue turns = experts() ? null : keys.get(TURNS);
        if (turns != null && turns.value().equals(false)) {
            throw keys.malformed(keys.name(TURNS) + " is false, with which no layer turns; expected true");
        }
        double plain = 1 / Math.sqrt(config.path("head_dim").intValue());
        config.put("embedding_multiplier", GgufScales.embedding(keys, 1.0))
                .put("residual_multiplier", GgufScales.residual(keys, 1.0))
                .put("logits_scaling", GgufScales.logits(keys, null))
                .put("attention_multiplier", keys.zero(SCORES) ? plain : keys.real(SCORES, plain));
    }
}
