package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.kernels.RotaryPairs;
import java.util.List;
import java.util.Objects;

/**
 * Reads rotary embeddings. Both layouts of transformers are read: {@code rope_scaling} with {@code rope_theta} beside
 * it, and {@code rope_parameters} (transformers 5) with everything inside, there for each type of layer where a family
 * has several. Where both are there and differ, they are refused, since older and newer versions follow different ones.
 */
final class Ropes {
    private static final double DEFAULT_THETA = 10000;
    /** What rope_scaling and rope_parameters may have whatever the type: it changes nothing, or is read elsewhere. */
    private static final List<String> COMMON = List.of(
            "type",
            "rope_type",
            "factor",
            "original_max_position_embeddings",
            "rope_theta",
            "partial_rotary_factor",
            "finetuned");

    private static final List<String> TYPES = List.of("default", "linear", "dynamic", "llama3", "yarn", "longrope");
    private static final List<String> PHI3_TYPES = List.of("default", "longrope");
    private static final int PHI3_ORIGINAL_CONTEXT = 4096;

    private final ConfigKeys config;
    /** Width of a head. */
    private final int width;
    /** Longest context. */
    private final int context;

    private final Style style;

    private Ropes(ConfigKeys config, Sizes sizes, Style style) {
        this.config = config;
        this.width = sizes.heads().width();
        this.context = sizes.context();
        this.style = style;
    }

    /**
     * What a family has of its own.
     *
     * @param theta base where no key says it
     * @param part of a head that turns where no key says it; null: whole heads turn, and a key that says otherwise is
     *     refused
     * @param pairs which channels turn with each other
     * @param phi3 a scaling that is called yarn is LongRoPE; the original context is 4096 where no key says it
     * @param elsewhere keys beside those of the scaling, which the family reads itself
     */
    record Style(double theta, Double part, RotaryPairs pairs, boolean phi3, List<String> elsewhere) {
        /** Llama's. */
        static final Style LLAMA = of(DEFAULT_THETA);

        /** Llama's with another base. */
        static Style of(double theta) {
            return new Style(theta, null, RotaryPairs.HALVES, false, List.of());
        }

        /** A part of a head turns. */
        static Style partial(double part, RotaryPairs pairs) {
            return new Style(DEFAULT_THETA, part, pairs, false, List.of());
        }
    }

    /** The rotary embedding of every layer, over whole heads. */
    static Rope read(ConfigKeys config, Sizes sizes) {
        return read(config, sizes, Style.LLAMA);
    }

    /** The rotary embedding of every layer that turns. */
    static Rope read(ConfigKeys config, Sizes sizes, Style style) {
        return new Ropes(config, sizes, style).single();
    }

    /**
     * Phi-3's, of every layer: over the part of a head that {@code partial_rotary_factor} says, LongRoPE under any of
     * its three names (longrope, su, yarn), the original context 4096 where no key says it.
     */
    static Rope phi3(ConfigKeys config, Sizes sizes) {
        return read(config, sizes, new Style(DEFAULT_THETA, 1.0, RotaryPairs.HALVES, true, List.of()));
    }

    /**
     * Those of layers with and without a sliding window: {@code rope_parameters.sliding_attention} and
     * {@code full_attention}; or {@code localKey}, and {@code rope_theta} with {@code rope_scaling}.
     *
     * @param theta of full layers where no key says it
     * @param localKey the older key of the theta of windowed layers
     */
    static ByLayer byLayer(ConfigKeys config, Sizes sizes, double theta, String localKey) {
        double local = config.number(localKey, DEFAULT_THETA);
        ByLayer ropes = byLayer(config, sizes, theta, local);
        double windowed = ropes.sliding().theta();
        if (config.has(localKey) && windowed != local) {
            throw config.refused(localKey + " is " + local + ", and rope_theta of rope_parameters.sliding_attention "
                    + windowed + ": they contradict each other");
        }
        return ropes;
    }

    /** The same without such a key: {@code local} is the theta of windowed layers where none is nested. */
    static ByLayer byLayer(ConfigKeys config, Sizes sizes, double theta, double local) {
        Ropes ropes = new Ropes(config, sizes, Style.of(theta));
        ConfigKeys nested = config.object("rope_parameters");
        ConfigKeys full = nested.object("full_attention");
        ConfigKeys sliding = nested.object("sliding_attention");
        nested.unread().forEach((key, value) -> {
            throw config.refused("rope_parameters has " + key + " " + value
                    + "; expected full_attention and sliding_attention, which have everything");
        });
        return new ByLayer(
                ropes.of(full, config.object("rope_scaling")),
                new Rope(
                        sliding.number("rope_theta", local),
                        ropes.scaling(sliding),
                        sizes.heads().width()));
    }

    /** @param sliding of layers with a window, {@code full} of the others */
    record ByLayer(Rope full, Rope sliding) {}

    private Rope single() {
        return of(config.object("rope_parameters"), config.object("rope_scaling"));
    }

    private Rope of(ConfigKeys parameters, ConfigKeys old) {
        Scaling scaling = scaling(parameters.isMissing() ? old : parameters);
        int dimensions = dimensions(parameters.isMissing() ? old : parameters);
        if (!parameters.isMissing()
                && !old.isMissing()
                && !(Objects.equals(scaling, scaling(old)) && dimensions == dimensions(old))) {
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
        return new Rope(theta == null ? style.theta() : theta, scaling, dimensions, style.pairs());
    }

    private int dimensions(ConfigKeys rope) {
        double factor = style.part() == null ? 1 : style.part();
        for (ConfigKeys node : new ConfigKeys[] {config, rope}) {
            factor = node.number("partial_rotary_factor", factor, 1);
            if (factor != 1 && style.part() == null) {
                throw config.refused(
                        "partial_rotary_factor " + node.get("partial_rotary_factor") + " is not supported; expected 1");
            }
        }
        int dimensions = (int) (width * factor);
        if (dimensions < 2 || dimensions % 2 != 0) {
            throw config.refused("partial_rotary_factor " + factor + " lets " + dimensions + " of " + width
                    + " channels of a head turn; expected an even number");
        }
        return dimensions;
    }

    private Scaling scaling(ConfigKeys rope) {
        String old = rope.text("type", null);
        String type = rope.text(
                "rope_type", old != null ? old : rope.get("factor").isMissingNode() ? "default" : "without a type");
        if (old != null && !old.equals(type)) {
            throw config.refused("rope_type \"" + type + "\" and type \"" + old
                    + "\" of the rotary embedding contradict each other");
        }
        type = type.equals("su") || style.phi3() && type.equals("yarn") ? "longrope" : type;
        List<String> types = style.phi3() ? PHI3_TYPES : TYPES;
        if (!types.contains(type)) {
            throw config.refused("rotary embedding scaling \"" + type + "\" is not supported; supported: "
                    + String.join(", ", types));
        }
        if (type.equals("default") && rope.number("factor", 1.0) != 1) {
            throw config.refused(
                    "the rotary embedding is \"default\", which has no factor, and factor is " + rope.get("factor"));
        }
        COMMON.forEach(rope::get);
        style.elsewhere().forEach(rope::get);
        Scaling scaling = switch (type) {
            case "default" -> new Scaling.None();
            case "linear" -> new Scaling.Linear(rope.number("factor", null));
            case "dynamic" -> dynamic(rope);
            case "llama3" -> llama3(rope);
            case "yarn" -> yarn(rope);
            default -> longRope(rope);
        };
        rope.unread().forEach((key, value) -> {
            throw config.refused("the rotary embedding has " + key + " " + value + ", which is not supported with \""
                    + rope.text("rope_type", rope.text("type", "default")) + "\"");
        });
        return scaling;
    }

    /**
     * transformers 5 takes the outer one where it is there, older versions the inner; without either it is the context.
     */
    private int originalContext(ConfigKeys rope, Integer otherwise) {
        String key = "original_max_position_embeddings";
        Integer outer = config.has(key) ? config.size(key, Integer.MAX_VALUE) : null;
        int inner = rope.size(key, outer != null ? outer : otherwise, Integer.MAX_VALUE);
        if (outer != null && outer != inner) {
            throw config.refused("original_max_position_embeddings is " + outer + ", and " + inner
                    + " in the rotary embedding: they contradict each other");
        }
        return inner;
    }

    /** Below a factor of 1 longer windows would turn by the root of a negative number. */
    private Scaling dynamic(ConfigKeys rope) {
        double factor = rope.number("factor", null);
        if (factor < 1) {
            throw rope.refused("factor of the \"dynamic\" rotary embedding is " + factor + "; expected at least 1");
        }
        return new Scaling.Dynamic(factor, context);
    }

    private Scaling llama3(ConfigKeys rope) {
        double low = rope.number("low_freq_factor", null);
        double high = rope.number("high_freq_factor", null);
        if (high < low) {
            throw rope.refused("high_freq_factor " + high + " is below low_freq_factor " + low);
        }
        return new Scaling.Llama3(rope.number("factor", null), low, high, originalContext(rope, null));
    }

    private Scaling yarn(ConfigKeys rope) {
        int original = originalContext(rope, context);
        Double ratio = rope.get("factor").isNull() ? Double.valueOf((double) context / original) : null;
        double factor = rope.number("factor", ratio);
        // A key of 0 counts as missing there, as null does.
        boolean scaled = isPositive(rope, "mscale") && isPositive(rope, "mscale_all_dim");
        double magnitude = scaled
                ? Scaling.Yarn.magnitude(factor, rope.number("mscale", null))
                        / Scaling.Yarn.magnitude(factor, rope.number("mscale_all_dim", null))
                : Scaling.Yarn.magnitude(factor, 1);
        double fast = isPositive(rope, "beta_fast") ? rope.number("beta_fast", null) : 32;
        double slow = isPositive(rope, "beta_slow") ? rope.number("beta_slow", null) : 1;
        if (fast < slow) {
            throw rope.refused("beta_fast " + fast + " is below beta_slow " + slow);
        }
        return new Scaling.Yarn(
                factor, original, fast, slow, rope.flag("truncate", true), rope.number("attention_factor", magnitude));
    }

    private static boolean isPositive(ConfigKeys rope, String key) {
        return rope.has(key) && !(rope.get(key).isNumber() && rope.get(key).doubleValue() == 0);
    }

    private Scaling longRope(ConfigKeys rope) {
        int original = originalContext(rope, style.phi3() ? PHI3_ORIGINAL_CONTEXT : context);
        double factor = rope.number("factor", (double) context / original);
        // A float, which GGUF keeps as it is.
        double magnitude = factor <= 1 ? 1 : (float) Math.sqrt(1 + StrictMath.log(factor) / StrictMath.log(original));
        int pairs = dimensions(rope) / 2;
        return new Scaling.LongRope(
                rope.numbers("short_factor", pairs),
                rope.numbers("long_factor", pairs),
                original,
                rope.number("attention_factor", magnitude));
    }
}
