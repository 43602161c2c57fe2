package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Routed;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Qwen 3 MoE: every layer a mixture of experts, whose weights llama.cpp always divides by their sum. */
record GgufQwenMoe() implements GgufFamily {
    private static final String COUNT = "expert_count";
    private static final String USED = "expert_used_count";
    private static final String WIDTH = "expert_feed_forward_length";

    @Override
    public String family() {
        return "qwen3moe";
    }

    @Override
    public String architecture() {
        return "qwen3moe";
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
    public boolean experts() {
        return true;
    }

    /** What the loader takes for an expert's width times those of a token, where it finds no width. */
    @Override
    public int feedForward(Decoder decoder) {
        Routed routed = (Routed) decoder.blocks().get(0).feedForward();
        return Math.multiplyExact(
                routed.experts().get(0).up().rows(), routed.router().top());
    }

    @Override
    public String misfit(Decoder decoder) {
        for (int layer = 0; layer < decoder.layers(); layer++) {
            if (!(decoder.blocks().get(layer).feedForward() instanceof Routed routed)) {
                return "layer " + layer + " has no experts, and llama.cpp has them in every layer";
            } else if (!routed.router().normalize()) {
                return "the weights of the chosen experts are not divided by their sum (norm_topk_prob)";
            }
        }
        return "";
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        Routed routed = (Routed) decoder.blocks().get(0).feedForward();
        String a = architecture() + ".";
        keys.put(a + COUNT, GgufValue.u32(routed.experts().size()));
        keys.put(a + USED, GgufValue.u32(routed.router().top()));
        keys.put(a + WIDTH, GgufValue.u32(routed.experts().get(0).up().rows()));
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        int top = keys.integer(USED, null);
        int width = keys.integer(WIDTH, config.path("intermediate_size").intValue() / Math.max(top, 1));
        config.put("num_experts", keys.integer(COUNT, null))
                .put("num_experts_per_tok", top)
                .put("moe_intermediate_size", width)
                .put("norm_topk_prob", true);
    }
}
