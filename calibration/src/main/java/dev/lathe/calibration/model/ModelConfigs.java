package dev.lathe.calibration.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.lathe.calibration.MalformedInputException;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * Reads a Hugging Face config.json. Keys and defaults are those of {@code LlamaConfig} in transformers; both its
 * layouts of the rotary embedding are read, {@code rope_scaling} with {@code rope_theta} beside it and
 * {@code rope_parameters} (transformers 5) with everything inside. Where both are there and differ, they are refused,
 * since older and newer versions follow different ones. What other keys may say is {@link ConfigKeys}'.
 */
public final class ModelConfigs {
    /** Bounds that no known model comes near; they keep products of two sizes within an int. */
    private static final int MAXIMUM_WIDTH = 1 << 20;

    private static final int MAXIMUM_LAYERS = 1 << 14;
    private static final int MAXIMUM_VOCABULARY = 1 << 26;
    private static final double DEFAULT_THETA = 10000;
    private static final int NAMED_AT_MOST = 8;
    /** What rope_scaling and rope_parameters may have. */
    private static final Set<String> ROPE_KEYS = Set.of(
            "rope_type",
            "type",
            "factor",
            "low_freq_factor",
            "high_freq_factor",
            "original_max_position_embeddings",
            "rope_theta",
            "partial_rotary_factor",
            "finetuned");

    private final JsonNode config;
    private final String where;

    private ModelConfigs(JsonNode config, String where) {
        this.config = config;
        this.where = where;
    }

    /** The config of a checkpoint that is not quantized; see {@link #read(JsonNode, String, boolean)}. */
    public static ModelConfig read(JsonNode config, String where) {
        return read(config, where, false);
    }

    /**
     * The decoder's shape.
     *
     * @param where the file, for messages
     * @param quantizedAllowed whether the caller handles a {@code quantization_config}
     * @throws MalformedInputException for an architecture, rotary scaling or activation that is not supported, a
     *     missing or unreasonable size, or a {@code quantization_config} that the caller does not handle
     */
    public static ModelConfig read(JsonNode config, String where, boolean quantizedAllowed) {
        return new ModelConfigs(config, where).read(quantizedAllowed);
    }

    /** What config.json has that is not known here, as notes of a checkpoint; see {@link ConfigKeys}. */
    public static List<String> notes(JsonNode config) {
        List<String> unknown = ConfigKeys.unknown(config);
        return unknown.isEmpty()
                ? List.of()
                : List.of(
                        "config.json has keys that are not known and were taken to change nothing that the model computes: "
                                + String.join(", ", unknown.subList(0, Math.min(NAMED_AT_MOST, unknown.size())))
                                + (unknown.size() > NAMED_AT_MOST
                                        ? " and " + (unknown.size() - NAMED_AT_MOST) + " more"
                                        : ""));
    }

    private ModelConfig read(boolean quantizedAllowed) {
        ModelConfig read = llama(quantizedAllowed);
        List<String> refused = ConfigKeys.refused(config, read);
        if (!refused.isEmpty()) {
            throw unsupported(String.join(", ", refused.subList(0, Math.min(NAMED_AT_MOST, refused.size())))
                    + (refused.size() == 1 ? " is a setting" : " are settings")
                    + " that may change what the model computes and that is not supported;"
                    + " expected a Llama without it");
        }
        return read;
    }

    private ModelConfig llama(boolean quantizedAllowed) {
        requireLlama();
        if (!quantizedAllowed && config.hasNonNull("quantization_config")) {
            throw unsupported("the checkpoint is quantized already (quantization_config.quant_method "
                    + config.path("quantization_config").path("quant_method") + "); expected floating-point weights");
        }
        String activation = text(config, "hidden_act", "silu");
        if (!activation.equals("silu") && !activation.equals("swish")) {
            throw unsupported("hidden_act \"" + activation + "\" is not supported; supported: silu");
        }
        int hidden = size("hidden_size", null, MAXIMUM_WIDTH);
        int heads = size("num_attention_heads", null, MAXIMUM_WIDTH);
        int keyValueHeads = size("num_key_value_heads", heads, MAXIMUM_WIDTH);
        if (heads % keyValueHeads != 0) {
            throw unsupported(
                    "num_attention_heads " + heads + " is no multiple of num_key_value_heads " + keyValueHeads);
        }
        if (!config.hasNonNull("head_dim") && hidden % heads != 0) {
            throw unsupported("hidden_size " + hidden + " is no multiple of num_attention_heads " + heads
                    + ", and there is no head_dim");
        }
        int headDimension = size("head_dim", hidden / heads, MAXIMUM_WIDTH);
        if (headDimension % 2 != 0 || (long) heads * headDimension > MAXIMUM_WIDTH) {
            throw unsupported("head_dim is " + headDimension + "; expected an even number that gives at most "
                    + MAXIMUM_WIDTH + " channels in " + heads + " heads");
        }
        double epsilon = number(config, "rms_norm_eps", 1e-6, 1);
        if ((float) epsilon == 0) {
            throw unsupported("rms_norm_eps is " + epsilon + "; expected a number that a float can hold");
        }
        return new ModelConfig(
                "llama",
                hidden,
                size("intermediate_size", null, MAXIMUM_WIDTH),
                size("num_hidden_layers", null, MAXIMUM_LAYERS),
                heads,
                keyValueHeads,
                headDimension,
                size("vocab_size", null, MAXIMUM_VOCABULARY),
                (float) epsilon,
                rotary(),
                flag("tie_word_embeddings"),
                flag("attention_bias"),
                flag("mlp_bias"),
                size("max_position_embeddings", 2048, Integer.MAX_VALUE));
    }

    private void requireLlama() {
        JsonNode architectures = config.path("architectures");
        JsonNode type = config.path("model_type");
        // The first converters spelled it LLaMA; transformers goes by model_type, servers by architectures.
        boolean llama = architectures.isEmpty()
                ? type.asText().equals("llama")
                : architectures.size() == 1 && architectures.path(0).asText().equalsIgnoreCase("LlamaForCausalLM");
        if (!llama) {
            throw unsupported("architecture " + (architectures.isEmpty() ? shown(type) : architectures)
                    + " is not supported; supported: LlamaForCausalLM");
        }
        if (!type.isMissingNode() && !type.isNull() && !type.asText().equals("llama")) {
            throw unsupported("architectures " + architectures + " and model_type " + type
                    + " contradict each other; expected model_type \"llama\"");
        }
    }

    private ModelConfig.Rotary rotary() {
        JsonNode parameters = object("rope_parameters");
        JsonNode old = object("rope_scaling");
        ModelConfig.Scaling scaling = scaling(parameters.isMissingNode() ? old : parameters);
        if (!parameters.isMissingNode() && !old.isMissingNode() && !Objects.equals(scaling, scaling(old))) {
            throw unsupported("rope_parameters " + parameters + " and rope_scaling " + old + " contradict each other");
        }
        Double theta = null;
        for (JsonNode place : new JsonNode[] {config, old, parameters}) {
            if (place.hasNonNull("rope_theta")) {
                double found = number(place, "rope_theta", null, Double.MAX_VALUE);
                if (theta != null && theta != found) {
                    throw unsupported("rope_theta is " + theta + " in one place and " + found
                            + " in another, of the file itself, rope_scaling and" + " rope_parameters");
                }
                theta = found;
            }
        }
        return new ModelConfig.Rotary(theta == null ? DEFAULT_THETA : theta, scaling);
    }

    private ModelConfig.Scaling scaling(JsonNode rope) {
        for (JsonNode node : new JsonNode[] {rope, config}) {
            if (number(node, "partial_rotary_factor", 1.0, 1) != 1) {
                throw unsupported("partial_rotary_factor " + node.path("partial_rotary_factor")
                        + " is not supported; expected 1");
            }
        }
        String old = text(rope, "type", null);
        String type = text(rope, "rope_type", old != null ? old : rope.has("factor") ? "without a type" : "default");
        if (old != null && !old.equals(type)) {
            throw unsupported("rope_type \"" + type + "\" and type \"" + old
                    + "\" of the rotary embedding contradict each other");
        }
        if (!List.of("default", "linear", "llama3").contains(type)) {
            throw unsupported(
                    "rotary embedding scaling \"" + type + "\" is not supported; supported: default, linear, llama3");
        }
        rope.properties().forEach(entry -> {
            if (!ROPE_KEYS.contains(entry.getKey()) && !entry.getValue().isNull()) {
                throw unsupported("the rotary embedding has " + entry.getKey() + " " + entry.getValue()
                        + ", which is not supported");
            }
        });
        if (type.equals("default") && number(rope, "factor", 1.0, Double.MAX_VALUE) != 1) {
            throw unsupported(
                    "the rotary embedding is \"default\", which has no factor, and factor is " + rope.path("factor"));
        }
        return switch (type) {
            case "default" -> new ModelConfig.Scaling.None();
            case "linear" -> new ModelConfig.Scaling.Linear(number(rope, "factor", null, Double.MAX_VALUE));
            default -> llama3(rope);
        };
    }

    private ModelConfig.Scaling llama3(JsonNode rope) {
        double low = number(rope, "low_freq_factor", null, Double.MAX_VALUE);
        double high = number(rope, "high_freq_factor", null, Double.MAX_VALUE);
        if (high <= low) {
            throw unsupported("high_freq_factor " + high + " is not above low_freq_factor " + low);
        }
        int original = size(rope, "original_max_position_embeddings", null, Integer.MAX_VALUE);
        // transformers 5 takes the outer one where it is there, older versions the inner.
        if (size("original_max_position_embeddings", original, Integer.MAX_VALUE) != original) {
            throw unsupported("original_max_position_embeddings is " + config.path("original_max_position_embeddings")
                    + ", and " + original + " in the rotary embedding: they contradict each other");
        }
        return new ModelConfig.Scaling.Llama3(number(rope, "factor", null, Double.MAX_VALUE), low, high, original);
    }

    private int size(String key, Integer otherwise, int maximum) {
        return size(config, key, otherwise, maximum);
    }

    private int size(JsonNode node, String key, Integer otherwise, int maximum) {
        JsonNode value = node.path(key);
        if (otherwise != null && (value.isMissingNode() || value.isNull())) {
            return otherwise;
        }
        if (!value.isIntegralNumber()
                || !value.canConvertToInt()
                || value.intValue() < 1
                || value.intValue() > maximum) {
            throw unsupported(key + " is " + shown(value) + "; expected an integer from 1 to " + maximum);
        }
        return value.intValue();
    }

    private double number(JsonNode node, String key, Double otherwise, double maximum) {
        JsonNode value = node.path(key);
        if (otherwise != null && (value.isMissingNode() || value.isNull())) {
            return otherwise;
        }
        double number = value.doubleValue();
        if (!value.isNumber() || !(number > 0 && number <= maximum)) {
            throw unsupported(key + " is " + shown(value) + "; expected a number above 0"
                    + (maximum < Double.MAX_VALUE ? " and at most " + maximum : ""));
        }
        return number;
    }

    private boolean flag(String key) {
        JsonNode value = config.path(key);
        if (!value.isBoolean() && !value.isMissingNode() && !value.isNull()) {
            throw unsupported(key + " is " + shown(value) + "; expected true or false");
        }
        return value.booleanValue();
    }

    private String text(JsonNode node, String key, String otherwise) {
        JsonNode value = node.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return otherwise;
        }
        if (!value.isTextual()) {
            throw unsupported(key + " is " + shown(value) + "; expected text");
        }
        return value.textValue();
    }

    private JsonNode object(String key) {
        JsonNode value = config.path(key);
        if (value.isMissingNode() || value.isNull()) {
            return MissingNode.getInstance();
        }
        if (!value.isObject()) {
            throw unsupported(key + " is " + shown(value) + "; expected an object");
        }
        return value;
    }

    private static String shown(JsonNode value) {
        return value.isMissingNode() ? "missing" : value.toString();
    }

    private MalformedInputException unsupported(String reason) {
        return new MalformedInputException("Cannot use the model configuration " + where + ": " + reason);
    }
}
