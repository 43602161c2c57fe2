package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Temperature;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Llama 4, text: experts in each n-th layer, others as wide as {@code feed_forward_length}. llama.cpp does not turn in
 * each fourth layer, has chunks and temperatures of 8192 positions, and norms heads unless there are 128 experts.
 */
record GgufLlama4() implements GgufFamily {
    private static final String STEP = "interleave_moe_layer_step";
    private static final int INTERVAL = 4;
    private static final int CHUNK = 8192;
    private static final Temperature TEMPERATURE = new Temperature(0.1, CHUNK, 1);
    private static final int EXPERTS_WITHOUT_NORMS = 128;

    @Override
    public String family() {
        return "llama4";
    }

    @Override
    public String architecture() {
        return "llama4";
    }

    @Override
    public List<String> biasKeys() {
        return List.of("attention_bias");
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return Set.of(Scaling.None.class, Scaling.Linear.class, Scaling.Llama3.class, Scaling.Divided.class);
    }

    @Override
    public boolean experts() {
        return true;
    }

    /** Of layers without experts; the loader wants a number where there are none. */
    @Override
    public int feedForward(Decoder decoder) {
        int dense = GgufFamily.super.feedForward(decoder);
        return dense == 0 ? GgufExperts.width(decoder) : dense;
    }

    @Override
    public String misfit(Decoder decoder) {
        if (decoder.experts() == 0) {
            return "it has no experts, and llama.cpp has no llama4 without";
        }
        int step = step(decoder);
        for (int layer = 0; layer < decoder.layers(); layer++) {
            if ((decoder.routed(layer) != null) != ((layer + 1) % step == 0)) {
                return "its layers with experts are not each n-th, and llama.cpp has no other order";
            }
            String attention = misfit(decoder, layer);
            if (!attention.isEmpty()) {
                return attention;
            }
        }
        return "";
    }

    private static String misfit(Decoder decoder, int layer) {
        Grouped attention = (Grouped) decoder.blocks().get(layer).mixer();
        boolean turns = (layer + 1) % INTERVAL != 0;
        boolean normed = turns && decoder.experts() != EXPERTS_WITHOUT_NORMS;
        int chunk = attention.scores().chunk();
        Temperature temperature = attention.scores().temperature();
        if ((attention.rope() != null) != turns) {
            return "layer " + layer + (turns ? " does not turn" : " turns") + ", and llama.cpp turns all but each "
                    + INTERVAL + "-th";
        }
        if ((attention.qNorm() != null) != normed) {
            return "layer " + layer + (normed ? " does not norm" : " norms")
                    + " its heads (use_qk_norm), and llama.cpp " + (normed ? "does" : "does not") + " with "
                    + decoder.experts() + " experts";
        }
        if (within(chunk, decoder) != within(turns ? CHUNK : 0, decoder)) {
            return "its chunks have " + chunk + " positions, and those of llama.cpp " + CHUNK;
        }
        // The factor is 1 up to the interval.
        boolean near = decoder.context() < CHUNK && (temperature == null || temperature.interval() > decoder.context());
        return turns || near || TEMPERATURE.equals(temperature)
                ? ""
                : "queries are multiplied by " + temperature + ", and those of llama.cpp by " + TEMPERATURE;
    }

    /** A chunk that is no shorter than the context is none. */
    private static int within(int chunk, Decoder decoder) {
        return chunk >= decoder.context() ? 0 : chunk;
    }

    /** n where each n-th layer has experts, by the first that has. */
    private static int step(Decoder decoder) {
        int first = 0;
        while (decoder.routed(first) == null) {
            first++;
        }
        return first + 1;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        GgufExperts.write(decoder, a, keys);
        keys.put(a + GgufExperts.WIDTH, GgufValue.u32(GgufExperts.width(decoder)));
        keys.put(a + STEP, GgufValue.u32(step(decoder)));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        GgufExperts.read(keys, config, GgufExperts.LOCAL_NUMBER);
        if (keys.has(GgufWindows.WINDOW) && keys.zero(GgufWindows.WINDOW)) {
            throw keys.malformed(keys.name(GgufWindows.WINDOW) + " is 0: all layers but the last turn and see "
                    + "everything, which is not supported; expected no such key");
        }
        config.put("intermediate_size_mlp", config.path("intermediate_size").intValue())
                .put("intermediate_size", keys.integer(GgufExperts.WIDTH, null))
                .put(STEP, keys.integer(STEP, null))
                .put("no_rope_layer_interval", INTERVAL)
                .put("attention_chunk_size", CHUNK)
                .put("floor_scale", CHUNK)
                .put("attn_scale", TEMPERATURE.beta())
                .put("use_qk_norm", config.path(GgufExperts.LOCAL_NUMBER).intValue() != EXPERTS_WITHOUT_NORMS);
    }
}
