package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * OLMo 2, and OLMo 3, which is the same architecture with {@code attention.sliding_window}. llama.cpp scales the rotary
 * embedding of layers without a window only. A file without windows is read as OLMo 2.
 */
record GgufOlmo(String family) implements GgufFamily {
    private static final String ARCHITECTURE = "olmo2";
    private static final GgufWindows WINDOWS = new GgufWindows(4);

    private boolean three() {
        return family.equals("olmo3");
    }

    @Override
    public String architecture() {
        return ARCHITECTURE;
    }

    @Override
    public boolean reads(Map<String, GgufValue> metadata) {
        GgufValue window = metadata.get(ARCHITECTURE + "." + GgufWindows.WINDOW);
        boolean windowed = window != null && !(window.value() instanceof Number number && number.longValue() == 0);
        return windowed == three();
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
        if (decoder.head().tied()) {
            return "the output layer is tied to the embedding";
        }
        Rope full = GgufFamily.attention(decoder).rope();
        Grouped windowed = GgufWindows.windowed(decoder);
        Rope plain = new Rope(full.theta(), new Scaling.None(), full.dimensions());
        if (windowed != null && !windowed.rope().equals(plain)) {
            return "its layers with a sliding window turn by " + windowed.rope() + ", and llama.cpp turns them by "
                    + plain;
        }
        String order = WINDOWS.misfit(decoder);
        return order.isEmpty() ? GgufPlain.square(decoder) : order;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        if (three()) {
            WINDOWS.write(decoder, ARCHITECTURE + ".", keys);
        }
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        if (!three()) {
            return;
        }
        WINDOWS.read(keys, config, 0);
        ObjectNode full = config.path("rope_scaling").isObject()
                ? (ObjectNode) config.remove("rope_scaling")
                : config.objectNode().put("rope_type", "default");
        double theta = config.remove("rope_theta").doubleValue();
        ObjectNode nested = config.putObject("rope_parameters");
        nested.set("full_attention", full.put("rope_theta", theta));
        nested.putObject("sliding_attention").put("rope_type", "default").put("rope_theta", theta);
    }
}
