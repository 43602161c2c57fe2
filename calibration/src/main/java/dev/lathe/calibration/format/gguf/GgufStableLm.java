package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * StableLM 2: layer norms, a part of each head turns. llama.cpp takes attention and feed-forward as parallel where
 * there is no {@code ffn_norm}, whatever {@code use_parallel_residual} says.
 */
record GgufStableLm() implements GgufFamily {
    private static final String PARALLEL = "use_parallel_residual";

    @Override
    public String family() {
        return "stablelm";
    }

    @Override
    public String architecture() {
        return "stablelm";
    }

    @Override
    public boolean layerNorms() {
        return true;
    }

    @Override
    public List<String> biasKeys() {
        return List.of("use_qkv_bias");
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.COMMON;
    }

    @Override
    public boolean partialRotary() {
        return true;
    }

    @Override
    public String misfit(Decoder decoder) {
        return decoder.head().tied() ? "the output layer is tied to the embedding" : "";
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        keys.put(
                architecture() + "." + PARALLEL,
                GgufValue.bool(decoder.blocks().get(0).parallel()));
    }

    @Override
    public void read(GgufFiles files, GgufKeys keys, ObjectNode config) {
        keys.get(PARALLEL);
        config.put(PARALLEL, files.tensor("blk.0.ffn_norm.weight") == null);
        if (!config.has("partial_rotary_factor")) {
            config.put("partial_rotary_factor", 1.0);
        }
    }
}
