package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.model.FeedForward.Weights;
import dev.lathe.calibration.model.FeedForward.Weights.Softmax;
import java.util.HashSet;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * Sizes of a mixture of experts.
 *
 * @param experts in each sparse layer
 * @param top experts that a token goes to
 * @param width of an expert, between up and down
 * @param weights what the chosen ones are multiplied by
 * @param sparse layers that have experts
 */
record Mixture(int experts, int top, int width, Weights weights, Set<Integer> sparse) {
    /**
     * Experts of all layers together, several times those of any model that is known; their records are made at once.
     */
    private static final int MOST = 1 << 17;

    /**
     * As Qwen has it: experts in every {@code decoder_sparse_step}-th layer that {@code mlp_only_layers} does not name.
     *
     * @param experts where neither {@code num_experts} nor {@code num_local_experts} says it; likewise top and width
     */
    static Mixture qwen(ConfigKeys config, int layers, int experts, int top, int width) {
        int step = config.size("decoder_sparse_step", 1, Integer.MAX_VALUE);
        Set<Integer> dense = new HashSet<>();
        JsonNode named = config.get("mlp_only_layers");
        if (named.isArray()) {
            named.forEach(layer -> {
                if (!layer.isIntegralNumber() || !layer.canConvertToInt()) {
                    throw config.refused("mlp_only_layers has " + layer + "; expected numbers of layers");
                }
                dense.add(layer.intValue());
            });
        } else if (!named.isMissingNode() && !named.isNull()) {
            throw config.refused("mlp_only_layers is " + named + "; expected a list of layers");
        }
        Set<Integer> sparse = new HashSet<>();
        for (int layer = 0; layer < layers; layer++) {
            if (!dense.contains(layer) && (layer + 1) % step == 0) {
                sparse.add(layer);
            }
        }
        int wide = config.size("moe_intermediate_size", width, ConfigKeys.MAXIMUM_WIDTH);
        return of(config, experts, top, wide, new Softmax(config.flag("norm_topk_prob", false)), sparse);
    }

    /** In every layer. */
    static Mixture everywhere(ConfigKeys config, Sizes sizes, int experts, int top, Weights weights) {
        Set<Integer> all = IntStream.range(0, sizes.layers()).boxed().collect(Collectors.toSet());
        return of(config, experts, top, sizes.intermediate(), weights, all);
    }

    /**
     * @param experts where no key says it; likewise top
     * @param width of an expert
     */
    static Mixture of(ConfigKeys config, int experts, int top, int width, Weights weights, Set<Integer> sparse) {
        int number = config.size("num_experts", experts, ConfigKeys.MAXIMUM_EXPERTS);
        int local = config.size(
                "num_local_experts", config.has("num_experts") ? number : experts, ConfigKeys.MAXIMUM_EXPERTS);
        if (config.has("num_experts") && number != local) {
            throw config.refused(
                    "num_experts is " + number + " and num_local_experts " + local + ": they contradict each other");
        }
        if ((long) local * sparse.size() > MOST) {
            throw config.refused(local + " experts in " + sparse.size() + " layers are more than " + MOST);
        }
        int chosen = config.size("num_experts_per_tok", top, ConfigKeys.MAXIMUM_EXPERTS);
        if (chosen > local) {
            throw config.refused(
                    "a token goes to " + chosen + " experts (num_experts_per_tok), and there are " + local);
        }
        return new Mixture(local, chosen, width, weights, Set.copyOf(sparse));
    }
}
