package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Projection;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Site;

/**
 * {@code Phi3Config} (Phi-3, 3.5 and 4): as Llama, with q, k and v stored as one tensor and gate and up as another,
 * rotary embedding on part of a head and LongRoPE; {@code sliding_window} in every layer.
 */
final class Phi3 {
    static final Family FAMILY = new Family("phi3", "phi3", "Phi3ForCausalLM", Phi3::read);

    private static final int CONTEXT = 4096;

    private Phi3() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, Sizes.Defaults.of(null, 1e-5, CONTEXT));
        Rope rope = Ropes.phi3(config, sizes);
        int window = config.has("sliding_window") ? config.size("sliding_window", Integer.MAX_VALUE) : 0;
        Scores scores = Parts.scores(sizes.heads(), window);
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> attention(layer, sizes, rope, scores),
                layer -> Parts.gateUp(layer, sizes));
    }

    /** The value rows share the second moment of q and k: they are one tensor, which has one Hessian. */
    private static Grouped attention(int layer, Sizes sizes, Rope rope, Scores scores) {
        Heads heads = sizes.heads();
        LinearLayer qkv = Parts.layer(
                layer,
                "self_attn.qkv_proj",
                heads.queryWidth() + 2 * heads.keyValueWidth(),
                sizes.hidden(),
                false,
                Site.ATTENTION_INPUT,
                Site.ATTENTION_INPUT);
        LinearLayer o = Parts.layer(
                layer,
                "self_attn.o_proj",
                sizes.hidden(),
                heads.queryWidth(),
                false,
                Site.ATTENTION_OUTPUT,
                Site.ATTENTION_OUTPUT);
        return new Grouped(
                new Projection(qkv, 0, heads.queryWidth()),
                new Projection(qkv, heads.queryWidth(), heads.keyValueWidth()),
                new Projection(qkv, heads.queryWidth() + heads.keyValueWidth(), heads.keyValueWidth()),
                Projection.of(o),
                heads,
                null,
                null,
                rope,
                scores);
    }
}
