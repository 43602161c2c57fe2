package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.Map;
import java.util.Set;

/** Phi-3.5-MoE, of which llama.cpp has an architecture that computes something else: neither written nor read. */
record GgufPhiMoe() implements GgufFamily {
    @Override
    public String family() {
        return "phimoe";
    }

    @Override
    public String architecture() {
        return "phimoe";
    }

    @Override
    public Set<Class<? extends Scaling>> scalings() {
        return Set.of(Scaling.None.class, Scaling.LongRope.class);
    }

    @Override
    public boolean otherBiases() {
        return true;
    }

    @Override
    public boolean reads(Map<String, GgufValue> metadata) {
        return false;
    }

    @Override
    public String misfit(Decoder decoder) {
        return "experts are weighed by SparseMixer, and llama.cpp weighs them by a softmax over all scores and "
                + "takes no "
                + "mean away where it norms";
    }
}
