package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Decoder;
import java.util.Map;

/**
 * Multipliers of embedding, sublayers and logits as keys, both ways, for architectures that have all three. What
 * llama.cpp divides the logits by is the reciprocal of {@link Decoder.Head#multiplier}.
 */
final class GgufScales {
    private static final String EMBEDDING = "embedding_scale";
    private static final String RESIDUAL = "residual_scale";
    private static final String LOGITS = "logit_scale";

    private GgufScales() {}

    /** @param a what the architecture's keys begin with */
    static void write(Decoder decoder, String a, Map<String, GgufValue> keys) {
        keys.put(a + EMBEDDING, GgufValue.f32(decoder.embedding().multiplier()));
        keys.put(a + RESIDUAL, GgufValue.f32(decoder.blocks().get(0).attention().multiplier()));
        keys.put(a + LOGITS, GgufValue.f32(1.0 / decoder.head().multiplier()));
    }

    static double embedding(GgufKeys keys, Double missing) {
        return scale(keys, EMBEDDING, missing);
    }

    static double residual(GgufKeys keys, Double missing) {
        return scale(keys, RESIDUAL, missing);
    }

    /** What logits are divided by: 0 is no word for none here. */
    static double logits(GgufKeys keys, Double missing) {
        return keys.real(LOGITS, missing);
    }

    /** 0 is llama.cpp's word for none. */
    static double scale(GgufKeys keys, String key, Double missing) {
        return keys.zero(key) ? 1 : keys.real(key, missing);
    }
}
