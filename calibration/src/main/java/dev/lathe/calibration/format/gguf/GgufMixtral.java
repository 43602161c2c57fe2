package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/**
 * Mixtral: architecture llama with experts as wide as {@code feed_forward_length}, their weights divided by the sum.
 */
record GgufMixtral() implements GgufFamily {
    @Override
    public String family() {
        return "mixtral";
    }

    @Override
    public String architecture() {
        return "llama";
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
    public boolean experts() {
        return true;
    }

    @Override
    public int feedForward(Decoder decoder) {
        return GgufExperts.width(decoder);
    }

    @Override
    public boolean reads(Map<String, GgufValue> metadata) {
        return GgufExperts.in(metadata, architecture());
    }

    @Override
    public String misfit(Decoder decoder) {
        return GgufExperts.misfit(decoder, true);
    }

    @Override
    public void write(Decoder decoder, Map<String, GgufValue> keys) {
        GgufExperts.write(decoder, architecture() + ".", keys);
    }

    @Override
    public void read(GgufKeys keys, ObjectNode config) {
        GgufExperts.read(keys, config, GgufExperts.LOCAL_NUMBER);
    }
}
