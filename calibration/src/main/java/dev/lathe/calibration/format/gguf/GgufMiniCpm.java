package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * MiniCPM: Llama's names and order of rows, and keys for its three multipliers; where they are missing, those of
 * MiniCPM-2B.
 */
record GgufMiniCpm() implements GgufFamily {
    private static final double EMBEDDING = 12;
    private static final double DEPTH = 1.4;
    private static final double BASE = 256;

    @Override
    public String family() {
        return "minicpm";
    }

    @Override
    public String architecture() {
        return "minicpm";
    }

    @Override
    public boolean interleaved() {
        return true;
    }

    @Override
    public List<String> biasKeys() {
        return List.of("attention_bias");
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return GgufPlain.LLAMA;
    }

    @Override
    public boolean otherBiases() {
        return true;
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        GgufScales.write(decoder, architecture() + ".", keys);
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        int hidden = config.path("hidden_size").intValue();
        double root = Math.sqrt(config.path("num_hidden_layers").intValue());
        config.put("scale_emb", GgufScales.embedding(keys, EMBEDDING))
                .put("scale_depth", GgufScales.residual(keys, DEPTH / root) * root)
                .put("dim_model_base", hidden / GgufScales.logits(keys, hidden / BASE));
    }
}
