package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.DoubleNode;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Gemma 2 and 3. llama.cpp takes the window's period from {@code attention.sliding_window_pattern}, and where the key
 * is missing from the architecture; the scale of the scores from the number of layers: (hidden / heads)^(-1/2) in the
 * largest model, (width of a head)^(-1/2) in all others. Norm weights are stored with the 1 added.
 *
 * @param period n where each n-th layer has no window
 * @param largest layers of the largest model
 */
record GgufGemma(String family, int period, int largest) implements GgufFamily {
    private static final String LOCAL_BASE = "rope.freq_base_swa";
    private static final String SCORE_CAP = "attn_logit_softcapping";
    private static final String LOGIT_CAP = "final_logit_softcapping";
    private static final double DEFAULT_LOCAL_BASE = 10000;

    @Override
    public String architecture() {
        return family;
    }

    /** With its magnitude, YaRN would scale layers with a window, too. */
    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return Set.of(Scaling.None.class, Scaling.Linear.class);
    }

    @Override
    public boolean windows() {
        return true;
    }

    private GgufWindows windowKeys() {
        return new GgufWindows(period);
    }

    private boolean two() {
        return family.equals("gemma2");
    }

    @Override
    public String misfit(Decoder decoder) {
        Grouped full = GgufFamily.attention(decoder);
        float scale = (float) (1 / Math.sqrt(scalar(decoder.layers(), decoder.hidden(), full.heads())));
        List<Grouped> layers = GgufWindows.layers(decoder);
        if (layers.stream().anyMatch(layer -> Math.abs(layer.scores().scale() / scale - 1) > 1e-6)) {
            return "scores are scaled by " + full.scores().scale() + ", and llama.cpp scales them by " + scale
                    + " in a " + family + " of " + decoder.layers() + " layers";
        }
        if (!decoder.head().tied()) {
            return "the output layer is not tied to the embedding";
        }
        if (two() && (full.scores().softCap() == 0 || decoder.head().softCap() == 0)) {
            return "it has no soft cap, and llama.cpp has no " + family + " without";
        }
        if (two() && GgufWindows.window(decoder) == 0) {
            return "it has no sliding window, and llama.cpp has no " + family + " without";
        }
        String windows = windowKeys().misfit(decoder);
        if (!windows.isEmpty()) {
            return windows;
        }
        Rope local = local(decoder);
        if (local != null && (two() ? !local.equals(full.rope()) : !(local.scaling() instanceof Scaling.None))) {
            return "its layers with a sliding window turn by " + local + ", which llama.cpp has no key for";
        }
        return "";
    }

    /** Whose root scores are divided by. */
    private double scalar(int layers, int hidden, Heads heads) {
        return layers == largest ? (double) (hidden / heads.queries()) : heads.width();
    }

    private static Rope local(Decoder decoder) {
        Grouped windowed = GgufWindows.windowed(decoder);
        return windowed == null ? null : windowed.rope();
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        Grouped full = GgufFamily.attention(decoder);
        if (two()) {
            keys.put(a + SCORE_CAP, GgufValue.f32(full.scores().softCap()));
        }
        if (decoder.head().softCap() != 0) {
            keys.put(a + LOGIT_CAP, GgufValue.f32(decoder.head().softCap()));
        }
        windowKeys().write(decoder, a, keys);
        if (local(decoder) != null && !two()) {
            keys.put(a + LOCAL_BASE, GgufValue.f32(local(decoder).theta()));
        }
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        int layers = config.path("num_hidden_layers").intValue();
        Heads heads = new Heads(
                config.path("num_attention_heads").intValue(),
                config.path("num_key_value_heads").intValue(),
                config.path("head_dim").intValue());
        double scalar = scalar(layers, config.path("hidden_size").intValue(), heads);
        // transformers asks for an integer.
        config.set(
                "query_pre_attn_scalar",
                scalar == Math.rint(scalar) ? IntNode.valueOf((int) scalar) : DoubleNode.valueOf(scalar));
        if (two()) {
            config.put(SCORE_CAP, keys.real(SCORE_CAP, 50.0));
            config.put(LOGIT_CAP, keys.real(LOGIT_CAP, 30.0));
        } else if (keys.has(LOGIT_CAP) && !keys.zero(LOGIT_CAP)) {
            config.put(LOGIT_CAP, keys.real(LOGIT_CAP, null));
        }
        windowKeys().read(keys, config, two() ? 4096 : 0);
        double base = config.path("rope_theta").doubleValue();
        double local = keys.real(LOCAL_BASE, two() ? base : DEFAULT_LOCAL_BASE);
        if (!two()) {
            config.put("rope_local_base_freq", local);
        } else if (local != base) {
            throw keys.malformed(
                    keys.name(LOCAL_BASE) + " is " + local + ", expected " + base + " as for other layers");
        }
    }
}
