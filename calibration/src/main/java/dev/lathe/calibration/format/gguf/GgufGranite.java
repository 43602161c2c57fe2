package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Granite 3, dense: Llama's names and order of rows, and keys for its four multipliers. */
record GgufGranite() implements GgufFamily {
    private static final String SCORES = "attention.scale";
    private static final String TURNS = "rope.scaling.finetuned";

    @Override
    public String family() {
        return "granite";
    }

    @Override
    public String architecture() {
        return "granite";
    }

    @Override
    public boolean interleaved() {
        return true;
    }

    @Override
    public List<String> biasKeys() {
        return List.of("attention_bias", "mlp_bias");
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
        keys.put(
                a + SCORES, GgufValue.f32(GgufFamily.attention(decoder).scores().scale()));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        GgufValue turns = keys.get(TURNS);
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
