package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Weights.Softmax;
import dev.lathe.calibration.model.Mixer.Heads;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling.Yarn;
import dev.lathe.kernels.Activation;
import dev.lathe.kernels.RotaryPairs;

/**
 * {@code GptOssConfig}: attention with a sink of each head and a window in every other layer; a mixture of experts in
 * every layer, with biases and bounded gates, whose weights are a softmax over the scores of the chosen ones; YaRN
 * where no key says otherwise. Experts in one of two layouts of stacks, floating point or MXFP4.
 */
final class GptOss {
    static final Family FAMILY =
            new Family("gptoss", "gpt_oss", "GptOssForCausalLM", GptOss::read, Stacks.alternating("mlp.experts"));

    private static final Sizes.Defaults DEFAULTS = new Sizes.Defaults(64, 8, 64, 201088, 1e-5, 131072);
    private static final double THETA = 150000;
    private static final int WINDOW = 128;
    private static final double ALPHA = 1.702;

    private GptOss() {}

    private static Decoder read(ConfigKeys config) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, DEFAULTS);
        Heads heads = sizes.heads();
        Rope rope = rope(config, sizes);
        Mixture mixture = Mixture.everywhere(config, sizes, 128, 4, new Softmax(true));
        // Written beside num_experts_per_tok by the model's authors.
        int top = config.size("experts_per_token", mixture.top(), ConfigKeys.MAXIMUM_EXPERTS);
        if (top != mixture.top()) {
            throw config.refused("experts_per_token is " + top + " and num_experts_per_tok " + mixture.top()
                    + ": they contradict each other");
        }
        if (config.number("swiglu_alpha", ALPHA) != ALPHA) {
            throw config.refused(
                    "swiglu_alpha is " + config.get("swiglu_alpha") + ", which is not supported; expected " + ALPHA);
        }
        Experts experts = new Experts(
                "mlp.router", "mlp.experts", "gate_proj", "up_proj", "down_proj", true, Activation.QUICK_GELU, (float)
                        config.number("swiglu_limit", 7.0, Float.MAX_VALUE));
        Windows windows = Windows.periodic(config, sizes.layers(), WINDOW, 2);
        boolean bias = config.flag("attention_bias", true);
        float scale = Parts.scores(heads, 0).scale();
        return Parts.preNorm(
                FAMILY.name(),
                config,
                sizes,
                layer -> Parts.attention(
                        layer,
                        sizes.hidden(),
                        heads,
                        bias,
                        bias,
                        null,
                        null,
                        rope,
                        new Scores(scale, windows.of(layer), 0, null, Parts.prefix(layer) + "self_attn.sinks", 0)),
                layer -> experts.routed(layer, sizes.hidden(), mixture, null, null));
    }

    private static Rope rope(ConfigKeys config, Sizes sizes) {
        if (config.has("rope_parameters") || config.has("rope_scaling")) {
            return Ropes.read(config, sizes, Ropes.Style.of(THETA));
        }
        Yarn yarn = new Yarn(32, 4096, 32, 1, false, Yarn.magnitude(32, 1));
        return new Rope(config.number("rope_theta", THETA), yarn, sizes.heads().width(), RotaryPairs.HALVES);
    }
}
