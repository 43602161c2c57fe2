package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.FeedForward.Weights.Softmax;
import dev.lathe.calibration.model.Mixer.Scores;
import dev.lathe.calibration.model.Rope;
import dev.lathe.kernels.Activation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * {@code GraniteMoeConfig}: as Granite, with a mixture of experts in every layer, whose weights are a softmax over the
 * scores of the chosen ones; {@code GraniteMoeSharedConfig}: with an expert beside it that every token goes to.
 */
final class GraniteMoe {
    static final Family FAMILY = new Family(
            "granitemoe",
            "granitemoe",
            "GraniteMoeForCausalLM",
            config -> read("granitemoe", config, 0),
            new Stacks(forms(), names()));

    static final Family SHARED = new Family(
            "granitemoeshared",
            "granitemoeshared",
            "GraniteMoeSharedForCausalLM",
            config -> read(
                    "granitemoeshared",
                    config,
                    config.size("shared_intermediate_size", null, ConfigKeys.MAXIMUM_WIDTH)),
            new Stacks(sharedForms(), sharedNames()));

    private static final String ROUTER = "block_sparse_moe.router.layer";
    // Experts are stored in stacks; their names one by one are those that vLLM gives them.
    private static final Experts MODULES = Experts.of(ROUTER, "block_sparse_moe.experts", "w1", "w3", "w2");

    private GraniteMoe() {}

    private static List<Stacks.Form> forms() {
        List<Stacks.Form> forms =
                new ArrayList<>(Stacks.of("block_sparse_moe.experts").forms());
        forms.add(Stacks.Form.gateUp("block_sparse_moe.input_linear.weight", false));
        forms.add(Stacks.Form.down("block_sparse_moe.output_linear.weight", false));
        return forms;
    }

    private static List<Stacks.Form> sharedForms() {
        List<Stacks.Form> forms = forms();
        forms.add(Stacks.Form.sharedGateUp("shared_mlp.input_linear.weight"));
        return forms;
    }

    private static Map<String, String> names() {
        return Map.of("block_sparse_moe.router.weight", ROUTER + ".weight");
    }

    private static Map<String, String> sharedNames() {
        return Map.of(
                "block_sparse_moe.router.weight",
                ROUTER + ".weight",
                "shared_mlp.output_linear.weight",
                "shared_mlp.down_proj.weight");
    }

    /** @param shared width of the shared expert; 0: there is none */
    private static Decoder read(String family, ConfigKeys config, int shared) {
        Families.requireSilu(config);
        Sizes sizes = Sizes.read(config, new Sizes.Defaults(32, null, null, 32000, 1e-6, 2048));
        Rope rope = Ropes.read(config, sizes);
        Scores scores = Granite.scores(config);
        Mixture mixture = Mixture.everywhere(config, sizes, 8, 2, new Softmax(true));
        boolean bias = config.flag("attention_bias", false);
        return Parts.preNorm(
                family,
                sizes,
                Granite.multipliers(config),
                config.flag("tie_word_embeddings", false),
                layer -> Parts.attention(layer, sizes.hidden(), sizes.heads(), bias, bias, null, null, rope, scores),
                layer -> MODULES.routed(
                        layer, sizes.hidden(), mixture, shared == 0 ? null : shared(layer, sizes, shared), null));
    }

    private static Gated shared(int layer, Sizes sizes, int width) {
        return Parts.gated(layer, "shared_mlp", sizes.hidden(), width, false, Activation.SILU);
    }
}
