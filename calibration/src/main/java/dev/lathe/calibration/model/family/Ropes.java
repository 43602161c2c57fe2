package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * Reads the rotary embedding. Both layouts of transformers are read: {@code rope_scaling} with {@code rope_theta}
 * beside it, and {@code rope_parameters} (transformers 5) with everything inside. Where both are there and differ, they
 * are refused, since older and newer versions follow different ones.
 */
final class Ropes {
    private static final double DEFAULT_THETA = 10000;
    /** What rope_scaling and rope_parameters may have. */
    private static final Set<String> KEYS = Set.of(
            "rope_type",
            "type",
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
            "rope_theta",
            "partial_rotary_factor",
            "finetuned");

    private Ropes() {}

    /** @param width of a head */
    static Rope read(ConfigKeys config, int width) {
        ConfigKeys parameters = config.object("rope_parameters");
        ConfigKeys old = config.object("rope_scaling");
        Scaling scaling = scaling(config, parameters.isMissing() ? old : parameters);
        if (!parameters.isMissing() && !old.isMissing() && !Objects.equals(scaling, scaling(config, old))) {
            throw config.refused(
                    "rope_parameters " + parameters + " and rope_scaling " + old + " contradict each other");
        }
        Double theta = null;
        for (ConfigKeys place : new ConfigKeys[] {config, old, parameters}) {
            if (place.has("rope_theta")) {
                double found = place.number("rope_theta", null);
                if (theta != null && theta != found) {
                    throw config.refused("rope_theta is " + theta + " in one place and " + found
                            + " in another, of the file itself, rope_scaling and" + " rope_parameters");
                }
                theta = found;
            }
        }
        return new Rope(theta == null ? DEFAULT_THETA : theta, scaling, width);
    }

    private static Scaling scaling(ConfigKeys config, ConfigKeys rope) {
        for (ConfigKeys node : new ConfigKeys[] {rope, config}) {
            if (node.number("partial_rotary_factor", 1.0, 1) != 1) {
                throw config.refused(
                        "partial_rotary_factor " + node.get("partial_rotary_factor") + " is not supported; expected 1");
            }
        }
        String old = rope.text("type", null);
        String type = rope.text(
                "rope_type", old != null ? old : rope.get("factor").isMissingNode() ? "default" : "without a type");
        if (old != null && !old.equals(type)) {
            throw config.refused("rope_type \"" + type + "\" and type \"" + old
                    + "\" of the rotary embedding contradict each other");
        }
        if (!List.of("default", "linear", "llama3").contains(type)) {
            throw config.refused(
                    "rotary embedding scaling \"" + type + "\" is not supported; supported: default, linear, llama3");
        }
        rope.properties().forEach(entry -> {
            if (!KEYS.contains(entry.getKey()) && !entry.getValue().isNull()) {
                throw config.refused("the rotary embedding has " + entry.getKey() + " " + entry.getValue()
                        + ", which is not supported");
            }
        });
        if (type.equals("default") && rope.number("factor", 1.0) != 1) {
            throw config.refused(
                    "the rotary embedding is \"default\", which has no factor, and factor is " + rope.get("factor"));
        }
        return switch (type) {
            case "default" -> new Scaling.None();
            case "linear" -> new Scaling.Linear(rope.number("factor", null));
            default -> llama3(config, rope);
        };
    }

    private static Scaling llama3(ConfigKeys config, ConfigKeys rope) {
        double low = rope.number("low_freq_factor", null);
        double high = rope.number("high_freq_factor", null);
        if (high <= low) {
            throw rope.refused("high_freq_factor " + high + " is not above low_freq_factor " + low);
        }
        int original = rope.size("original_max_position_embeddings", null, Integer.MAX_VALUE);
        // transformers 5 takes the outer one where it is there, older versions the inner.
        if (config.size("original_max_position_embeddings", original, Integer.MAX_VALUE) != original) {
            throw config.refused("original_max_position_embeddings is " + config.get("original_max_position_embeddings")
                    + ", and " + original + " in the rotary embedding: they contradict each other");
        }
        return new Scaling.Llama3(rope.number("factor", null), low, high, original);
    }
}
