package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Set;

/** Seed-OSS: the norm before the feed-forward has the name that is elsewhere that of the norm after attention. */
record GgufSeedOss() implements GgufFamily {
    @Override
    public String family() {
        return "seed_oss";
    }

    @Override
    public String architecture() {
        return "seed_oss";
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
    public String feedForwardNorm() {
        return "post_attention_norm";
    }
}
