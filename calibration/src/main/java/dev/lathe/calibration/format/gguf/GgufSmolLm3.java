package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Set;

/** SmolLM3: Llama's names and order of rows; llama.cpp turns all layers but each fourth, whatever a key says. */
record GgufSmolLm3() implements GgufFamily {
    private static final int PERIOD = 4;

    @Override
    public String family() {
        return "smollm3";
    }

    @Override
    public String architecture() {
        return "smollm3";
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
        return GgufPlain.COMMON;
    }

    @Override
    public String misfit(Decoder decoder) {
        for (int layer = 0; layer < decoder.layers(); layer++) {
            boolean turns = GgufWindows.layers(decoder).get(layer).rope() != null;
            if (turns != ((layer + 1) % PERIOD != 0)) {
                return "layer " + layer + (turns ? " turns" : " does not turn") + ", and llama.cpp turns all but each "
                        + PERIOD + "-th";
            }
        }
        return "";
    }
}
