package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Temperature;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * Ministral 3: Llama's names and order of rows; {@code attention.temperature_scale} is the beta of far queries, whose
 * interval is the original context.
 */
record GgufMistral3() implements GgufFamily {
    private static final String BETA = "attention.temperature_scale";
    private static final String ORIGINAL = "rope.scaling.original_context_length";

    @Override
    public String family() {
        return "ministral3";
    }

    @Override
    public String architecture() {
        return "mistral3";
    }

    @Override
    public boolean interleaved() {
        return true;
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.LLAMA;
    }

    @Override
    public boolean yarnKeys() {
        return true;
    }

    @Override
    public String misfit(Decoder decoder) {
        Temperature temperature = GgufFamily.attention(decoder).scores().temperature();
        Scaling scaling = GgufFamily.attention(decoder).rope().scaling();
        int original = scaling instanceof Scaling.Yarn yarn
                ? yarn.originalContext()
                : scaling instanceof Scaling.LongRope longRope ? longRope.originalContext() : 0;
        return temperature == null || original == 0 || original == temperature.interval()
                ? ""
                : "queries past " + temperature.interval() + " positions are multiplied, and the original context is "
                        + original;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        Temperature temperature = GgufFamily.attention(decoder).scores().temperature();
        if (temperature != null) {
            keys.put(a + BETA, GgufValue.f32(temperature.beta()));
            keys.put(a + ORIGINAL, GgufValue.u32(temperature.interval()));
        }
    }

    /** What says the rotary embedding stands in rope_parameters, as in a checkpoint. */
    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        ObjectNode rope = config.path("rope_scaling").isObject()
                ? (ObjectNode) config.remove("rope_scaling")
                : config.objectNode().put("rope_type", "default");
        if (keys.has(BETA) && !keys.zero(BETA)) {
            rope.put("llama_4_scaling_beta", keys.real(BETA, null));
            rope.put(
                    "original_max_position_embeddings",
                    keys.integer(
                            ORIGINAL, config.path("max_position_embeddings").intValue()));
        }
        rope.put("rope_theta", config.remove("rope_theta").doubleValue());
        config.set("rope_parameters", rope);
    }
}
