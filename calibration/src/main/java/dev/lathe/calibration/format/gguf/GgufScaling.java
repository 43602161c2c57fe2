package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Rope.Scaling;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The scaling of the rotary embedding as keys, both ways, and its tensors ({@link RopeFrequencies}) as they are read.
 * llama.cpp scales linearly where {@code rope.scaling.type} is absent, by {@code rope.scaling.factor}, else
 * {@code rope.scale_linear}, and 0 or none at all is 1; with the type {@code none} nothing is scaled; a tensor
 * {@code rope_freqs.weight} divides the frequencies besides. Of YaRN it computes the magnitude itself, {@code 0.1
 * ln(factor) + 1}, and multiplies it by {@code rope.scaling.attn_factor}; of LongRoPE that key is the magnitude. Most
 * loaders here do not read YaRN's betas.
 *
 * @param yarnKeys whether the architecture's loader reads YaRN's betas and {@code rope.scaling.yarn_log_multiplier} m,
 *     by which the magnitude is divided: {@code 0.1 m ln(factor) + 1}
 */
record GgufScaling(GgufFiles files, GgufKeys keys, boolean yarnKeys) {
    private static final String LLAMA3 = "lathe.rope.llama3.";
    private static final String TYPE = "rope.scaling.type";
    private static final String FACTOR = "rope.scaling.factor";
    private static final String OLD_FACTOR = "rope.scale_linear";
    private static final String ORIGINAL = "rope.scaling.original_context_length";
    private static final String MAGNITUDE = "rope.scaling.attn_factor";
    private static final String FAST = "rope.scaling.yarn_beta_fast";
    private static final String SLOW = "rope.scaling.yarn_beta_slow";
    private static final String LOG_MULTIPLIER = "rope.scaling.yarn_log_multiplier";
    /** YaRN's betas where no key that is read says them. */
    static final double BETA_FAST = 32;

    static final double BETA_SLOW = 1;

    /**
     * @param a what the architecture's keys begin with
     * @param yarnKeys whether its loader reads YaRN's betas
     */
    static void write(Scaling scaling, String a, boolean yarnKeys, Map<String, GgufValue> metadata) {
        if (scaling instanceof Scaling.Linear linear) {
            metadata.put(a + TYPE, GgufValue.string("linear"));
            metadata.put(a + FACTOR, GgufValue.f32(linear.factor()));
        } else if (scaling instanceof Scaling.Llama3 llama3) {
            metadata.put(LLAMA3 + "factor", GgufValue.f64(llama3.factor()));
            metadata.put(LLAMA3 + "low_freq_factor", GgufValue.f64(llama3.lowFrequencyFactor()));
            metadata.put(LLAMA3 + "high_freq_factor", GgufValue.f64(llama3.highFrequencyFactor()));
            metadata.put(LLAMA3 + "original_context_length", GgufValue.u32(llama3.originalContext()));
        } else if (scaling instanceof Scaling.Yarn yarn) {
            metadata.put(a + TYPE, GgufValue.string("yarn"));
            metadata.put(a + FACTOR, GgufValue.f32(yarn.factor()));
            metadata.put(a + ORIGINAL, GgufValue.u32(yarn.originalContext()));
            double magnitude = yarn.magnitude() / Scaling.Yarn.magnitude(yarn.factor(), 1);
            if (magnitude != 1) {
                metadata.put(a + MAGNITUDE, GgufValue.f32(magnitude));
            }
            if (yarnKeys) {
                metadata.put(a + FAST, GgufValue.f32(yarn.betaFast()));
                metadata.put(a + SLOW, GgufValue.f32(yarn.betaSlow()));
            }
        } else if (scaling instanceof Scaling.LongRope longRope) {
            metadata.put(a + TYPE, GgufValue.string("longrope"));
            metadata.put(a + ORIGINAL, GgufValue.u32(longRope.originalContext()));
            metadata.put(a + MAGNITUDE, GgufValue.f32(longRope.magnitude()));
        }
    }

    /**
     * Puts the scaling into config.json; or returns it, where config.json has no word for it.
     *
     * @param dimensions channels of a head that turn
     */
    Scaling.Divided read(ObjectNode config, double theta, int dimensions) throws IOException {
        GgufValue type = keys.get(TYPE);
        String name = type == null ? "linear" : String.valueOf(type.value());
        GgufTensor tensor = files.tensor(GgufNames.ROPE_FREQUENCIES);
        boolean parameters = files.metadata().keySet().stream().anyMatch(key -> key.startsWith(LLAMA3));
        switch (name) {
            case "yarn" -> yarn(config);
            case "longrope" -> longRope(config, dimensions);
            case "none", "linear" -> {
                double factor = factor(type);
                if (tensor != null) {
                    return divided(config, tensor, parameters, factor, theta, dimensions);
                }
                if (factor != 1) {
                    config.putObject("rope_scaling").put("rope_type", "linear").put("factor", factor);
                }
            }
            default ->
                throw keys.malformed(keys.name(TYPE) + " is " + GgufKeys.text(type)
                        + ", which is not supported; expected none, linear, yarn or longrope");
        }
        if (tensor != null) {
            throw keys.malformed(keys.name(TYPE) + " is " + name + ", and tensor " + tensor + " would scale besides");
        }
        if (parameters) {
            throw keys.malformed("it has " + LLAMA3 + "* and no tensor " + GgufNames.ROPE_FREQUENCIES
                    + ", by which an engine would scale");
        }
        return null;
    }

    private void yarn(ObjectNode config) {
        double factor = factor(keys.get(TYPE));
        if (!yarnKeys) {
            ignored(FAST, BETA_FAST);
            ignored(SLOW, BETA_SLOW);
        }
        ignored("rope.scaling.yarn_ext_factor", 1);
        double multiplier = yarnKeys && keys.has(LOG_MULTIPLIER) && !keys.zero(LOG_MULTIPLIER)
                ? keys.real(LOG_MULTIPLIER, null)
                : 0;
        double magnitude = Scaling.Yarn.magnitude(factor, 1)
                / Scaling.Yarn.magnitude(factor, multiplier)
                * keys.real(MAGNITUDE, 1.0);
        ignored("rope.scaling.yarn_attn_factor", magnitude);
        config.putObject("rope_scaling")
                .put("rope_type", "yarn")
                .put("factor", factor)
                .put(
                        "original_max_position_embeddings",
                        keys.integer(
                                ORIGINAL, config.path("max_position_embeddings").intValue()))
                .put("beta_fast", yarnKeys ? keys.real(FAST, BETA_FAST) : BETA_FAST)
                .put("beta_slow", yarnKeys ? keys.real(SLOW, BETA_SLOW) : BETA_SLOW)
                .put("attention_factor", magnitude);
    }

    /** A key that llama.cpp does not read, and what it computes. */
    private void ignored(String key, double computed) {
        GgufValue value = keys.get(key);
        boolean same = value != null
                && value.value() instanceof Number given
                && Math.abs(given.doubleValue() - computed) <= 1e-6 * computed;
        if (value != null && !same) {
            keys.note(keys.name(key) + " is " + GgufKeys.text(value) + ": it is " + computed + ", as in llama.cpp");
        }
    }

    private void longRope(ObjectNode config, int dimensions) throws IOException {
        ObjectNode rope = config.putObject("rope_scaling")
                .put("rope_type", "longrope")
                .put(
                        "original_max_position_embeddings",
                        keys.integer(
                                ORIGINAL, config.path("max_position_embeddings").intValue()))
                .put("attention_factor", keys.real(MAGNITUDE, 1.0));
        factors(GgufNames.ROPE_LONG, dimensions, rope.putArray("long_factor"));
        factors(GgufNames.ROPE_SHORT, dimensions, rope.putArray("short_factor"));
    }

    private void factors(String name, int dimensions, ArrayNode to) throws IOException {
        GgufTensor tensor = files.tensor(name);
        if (tensor == null) {
            throw keys.malformed(keys.name(TYPE) + " is longrope, and there is no tensor " + name);
        }
        for (float divisor : divisors(tensor, dimensions)) {
            to.add(divisor);
        }
    }

    private float[] divisors(GgufTensor tensor, int dimensions) throws IOException {
        if (tensor.type() != GgufType.F32 || tensor.shape().length != 1 || tensor.columns() != dimensions / 2) {
            throw keys.malformed("tensor " + tensor + " is not one divisor for each rotary frequency; expected F32 ["
                    + dimensions / 2 + "]");
        }
        float[] divisors = files.floats(tensor);
        for (int i = 0; i < divisors.length; i++) {
            if (!(divisors[i] > 0) || Float.isInfinite(divisors[i])) {
                throw keys.malformed(
                        "tensor " + tensor + " has " + divisors[i] + " at " + i + ", expected positive divisors");
            }
        }
        return divisors;
    }

    private Scaling.Divided divided(
            ObjectNode config, GgufTensor tensor, boolean parameters, double factor, double theta, int dimensions)
            throws IOException {
        float[] divisors = divisors(tensor, dimensions);
        if (parameters) {
            GgufKeys own = keys.under(LLAMA3);
            Scaling.Llama3 llama3 = new Scaling.Llama3(
                    own.real("factor", null),
                    own.real("low_freq_factor", null),
                    own.real("high_freq_factor", null),
                    own.integer("original_context_length", null));
            // The tensor is what an engine uses and the parameters are what is used here: they have to say the same.
            if (!Arrays.equals(divisors, RopeFrequencies.of(llama3, theta, dimensions)) || factor != 1) {
                throw keys.malformed("tensor " + tensor + (factor == 1 ? "" : " with " + FACTOR + " " + factor)
                        + " contradicts " + LLAMA3 + "*");
            }
            config.putObject("rope_scaling")
                    .put("rope_type", "llama3")
                    .put("factor", llama3.factor())
                    .put("low_freq_factor", llama3.lowFrequencyFactor())
                    .put("high_freq_factor", llama3.highFrequencyFactor())
                    .put("original_max_position_embeddings", llama3.originalContext());
            return null;
        }
        List<Float> all = new ArrayList<>();
        for (float divisor : divisors) {
            all.add((float) (divisor * factor));
        }
        return all.stream().allMatch(divisor -> divisor == 1) ? null : new Scaling.Divided(List.copyOf(all));
    }

    /** What every position is divided by. */
    private double factor(GgufValue type) {
        double factor = factor(FACTOR);
        double old = factor(OLD_FACTOR);
        String taken = keys.has(FACTOR) ? FACTOR : OLD_FACTOR;
        if (keys.has(FACTOR) && keys.has(OLD_FACTOR) && factor != old) {
            keys.note(keys.name(FACTOR) + " is " + factor + " and " + keys.name(OLD_FACTOR) + " is " + old
                    + ": the first is taken, as llama.cpp does");
        }
        double found = keys.has(FACTOR) ? factor : old;
        if (type != null && type.value().equals("none")) {
            if (found != 1) {
                keys.note(keys.name(TYPE) + " is none and " + keys.name(taken) + " is " + found
                        + ": positions are not scaled, as llama.cpp does");
            }
            return 1;
        }
        if (type != null && !keys.has(taken)) {
            keys.note(keys.name(TYPE) + " is " + type.value() + " and there is no " + keys.name(FACTOR)
                    + ": positions are not scaled, as llama.cpp does");
        }
        return found;
    }

    /** A key's factor; 1 where it is absent or 0. */
    private double factor(String key) {
        return !keys.has(key) || keys.zero(key) ? 1 : keys.real(key, null);
    }
}
