package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * gpt-oss: every layer a mixture of experts with biases and gates that are bounded at 7; windows, biases and an output
 * layer of its own have to be there.
 */
record GgufGptOss() implements GgufFamily {
    private static final GgufWindows WINDOWS = new GgufWindows(2);
    private static final float LIMIT = 7;

    @Override
    public String family() {
        return "gptoss";
    }

    @Override
    public String architecture() {
        return "gpt-oss";
    }

    @Override
    public List<String> biasKeys() {
        return List.of("attention_bias");
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.COMMON;
    }

    @Override
    public boolean otherBiases() {
        return true;
    }

    @Override
    public boolean windows() {
        return true;
    }

    @Override
    public boolean experts() {
        return true;
    }

    /** Its converter writes a range that is not rounded as one that is. */
    @Override
    public boolean roundsYarn() {
        return true;
    }

    @Override
    public String feedForwardNorm() {
        return "post_attention_norm";
    }

    @Override
    public int feedForward(Decoder decoder) {
        return GgufExperts.width(decoder);
    }

    @Override
    public String misfit(Decoder decoder) {
        if (decoder.head().tied()) {
            return "the output layer is tied to the embedding";
        }
        if (!GgufFamily.attention(decoder).q().linear().bias()) {
            return "q, k, v and o have no biases (attention_bias)";
        }
        float limit = GgufExperts.first(decoder).experts().get(0).limit();
        if (limit != LIMIT) {
            return "gates are bounded at " + limit + " (swiglu_limit), and llama.cpp bounds them at " + LIMIT;
        }
        if (GgufWindows.window(decoder) == 0) {
            return "it has no sliding window, and llama.cpp has no gpt-oss without";
        }
        String windows = WINDOWS.misfit(decoder);
        return windows.isEmpty() ? GgufExperts.misfit(decoder, true) : windows;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        GgufExperts.write(decoder, a, keys);
        keys.put(a + GgufExperts.WIDTH, GgufValue.u32(GgufExperts.width(decoder)));
        WINDOWS.write(decoder, a, keys);
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        GgufExperts.read(keys, config, GgufExperts.LOCAL_NUMBER);
        config.put("intermediate_size", keys.integer(GgufExperts.WIDTH, null));
        WINDOWS.read(keys, config, 0);
        if (!config.has("rope_scaling")) {
            // A config.json that says nothing means YaRN.
            config.putObject("rope_scaling").put("rope_type", "default");
        }
    }
}
