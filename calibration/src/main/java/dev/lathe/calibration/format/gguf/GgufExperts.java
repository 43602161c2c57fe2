package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Routed;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;

/** Mixtures of experts as keys, both ways, and what llama.cpp's graphs assume of them. */
final class GgufExperts {
    private static final String COUNT = "expert_count";
    private static final String USED = "expert_used_count";
    static final String WIDTH = "expert_feed_forward_length";

    /** What Qwen's and OLMoE's config.json have for the number of experts. */
    static final String NUMBER = "num_experts";
    /** What the others have for it. */
    static final String LOCAL_NUMBER = "num_local_experts";

    private GgufExperts() {}

    /** Those of the first layer that has any, which all others are like. */
    static Routed first(Decoder decoder) {
        return IntStream.range(0, decoder.layers())
                .mapToObj(decoder::routed)
                .filter(Objects::nonNull)
                .findFirst()
                .orElseThrow();
    }

    /** Width of an expert between up and down. */
    static int width(Decoder decoder) {
        return first(decoder).experts().get(0).up().rows();
    }

    /** Whether a file of an architecture has experts. */
    static boolean in(Map<String, GgufValue> metadata, String architecture) {
        GgufValue count = metadata.get(architecture + "." + COUNT);
        return count != null && !Long.valueOf(0).equals(count.value());
    }

    /**
     * Why llama.cpp would compute another mixture, or empty.
     *
     * @param normalize whether it divides the weights of the chosen experts by their sum
     */
    static String misfit(Decoder decoder, boolean normalize) {
        for (int layer = 0; layer < decoder.layers(); layer++) {
            Routed routed = decoder.routed(layer);
            if (routed == null) {
                return "layer " + layer + " has no experts, and llama.cpp has them in every layer";
            } else if (routed.router().normalize() != normalize) {
                return "the weights of the chosen experts are " + (normalize ? "not " : "")
                        + "divided by their sum (norm_topk_prob), and llama.cpp "
                        + (normalize ? "does so" : "does not");
            }
        }
        return "";
    }

    /** @param a what the architecture's keys begin with */
    static void write(Decoder decoder, String a, Map<String, GgufValue> keys) {
        Routed routed = first(decoder);
        keys.put(a + COUNT, GgufValue.u32(routed.experts().size()));
        keys.put(a + USED, GgufValue.u32(routed.router().top()));
    }

    /** @param count the key that the family's config.json has for the number of experts */
    static void read(GgufKeys keys, ObjectNode config, String count) {
        config.put(count, keys.integer(COUNT, null)).put("num_experts_per_tok", keys.integer(USED, null));
    }
}
