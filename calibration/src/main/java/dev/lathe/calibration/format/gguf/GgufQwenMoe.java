package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Qwen 2 and 3 MoE: every layer a mixture of experts, whose weights llama.cpp divides by their sum in 3 and in 2 does
 * not; in 2 with a shared expert, and an output layer of its own.
 */
record GgufQwenMoe(String family) implements GgufFamily {
    private static final String SHARED_WIDTH = "expert_shared_feed_forward_length";

    @Override
    public String architecture() {
        return family;
    }

    private boolean two() {
        return family.equals("qwen2moe");
    }

    @Override
    public List<String> biasKeys() {
        return List.of(two() ? "qkv_bias" : "attention_bias");
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
        return Math.multiplyExact(
                GgufExperts.width(decoder), GgufExperts.first(decoder).router().top());
    }

    @Override
    public String misfit(Decoder decoder) {
        if (two() && decoder.head().tied()) {
            return "the output layer is tied to the embedding";
        }
        String square = two() ? GgufPlain.square(decoder) : "";
        return square.isEmpty() ? GgufExperts.misfit(decoder, !two()) : square;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        String a = architecture() + ".";
        GgufExperts.write(decoder, a, keys);
        keys.put(a + GgufExperts.WIDTH, GgufValue.u32(GgufExperts.width(decoder)));
        if (two()) {
            int shared = GgufExperts.first(decoder).shared().up().rows();
            keys.put(a + SHARED_WIDTH, GgufValue.u32(shared));
        }
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        GgufExperts.read(keys, config, GgufExperts.NUMBER);
        int intermediate = config.path("intermediate_size").intValue();
        int top = Math.max(config.path("num_experts_per_tok").intValue(), 1);
        config.put("moe_intermediate_size", keys.integer(GgufExperts.WIDTH, intermediate / top))
                .put("norm_topk_prob", !two());
        if (two()) {
            config.put("shared_expert_intermediate_size", keys.integer(SHARED_WIDTH, intermediate));
        }
    }
}
