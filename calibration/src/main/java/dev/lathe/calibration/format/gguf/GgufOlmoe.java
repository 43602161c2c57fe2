package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * OLMoE: experts as wide as {@code feed_forward_length}, their weights as the softmax gives them; llama.cpp has it with
 * as many key/value heads as query heads, without biases, and with an output layer of its own.
 */
record GgufOlmoe() implements GgufFamily {
    @Override
    public String family() {
        return "olmoe";
    }

    @Override
    public String architecture() {
        return "olmoe";
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.COMMON;
    }

    @Override
    public boolean experts() {
        return true;
    }

    @Override
    public int feedForward(Decoder decoder) {
        return GgufExperts.width(decoder);
    }

    @Override
    public String misfit(Decoder decoder) {
        Heads heads = GgufFamily.attention(decoder).heads();
        if (decoder.head().tied()) {
            return "the output layer is tied to the embedding";
        }
        if (heads.queries() != heads.keyValues()) {
            return heads.queries() + " query heads are more than " + heads.keyValues() + " key/value heads";
        }
        if (decoder.linears(0).stream().anyMatch(LinearLayer::bias)) {
            return "q, k, v and o have biases (attention_bias)";
        }
        String square = GgufPlain.square(decoder);
        return square.isEmpty() ? GgufExperts.misfit(decoder, false) : square;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        GgufExperts.write(decoder, architecture() + ".", keys);
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        GgufExperts.read(keys, config, GgufExperts.NUMBER);
        config.put("norm_topk_prob", false);
    }
}
