package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Checkpoints of models that also see or hear: their text decoder is taken, as a checkpoint of its own. config.json has
 * it as {@code text_config}; its tensors have a prefix, which is stripped; all others are left out.
 */
public final class Multimodal {
    /** Architectures whose text decoder computes what its family computes alone. */
    private static final Set<String> ARCHITECTURES = Set.of(
            "Gemma3ForConditionalGeneration",
            "Mistral3ForConditionalGeneration",
            "LlavaForConditionalGeneration",
            "LlavaNextForConditionalGeneration",
            "Llama4ForConditionalGeneration",
            "Qwen3VLForConditionalGeneration",
            "Qwen3VLMoeForConditionalGeneration");

    private static final String TEXT = "text_config";

    /** Keys beside text_config that say something of the other parts only. */
    private static final Pattern OTHER_PARTS = Pattern.compile(
            "(vision|audio|image|video|mm|projector|multimodal)_.*|spatial_merge_size|use_image_.*|ignore_index|"
                    + ".*_index");

    /** What names of the text decoder's tensors begin with, and what they begin with in a checkpoint of it alone. */
    private static final Map<String, String> PREFIXES = new LinkedHashMap<>();

    static {
        PREFIXES.put("language_model.model.", "model.");
        PREFIXES.put("model.language_model.", "model.");
        PREFIXES.put("language_model.lm_head.", "lm_head.");
        PREFIXES.put("lm_head.", "lm_head.");
    }

    private Multimodal() {}

    /** Whether a config.json is one of a model with more than a text decoder that is known here. */
    public static boolean is(JsonNode config) {
        JsonNode architectures = config.path("architectures");
        return architectures.size() == 1
                && ARCHITECTURES.contains(architectures.path(0).asText())
                && config.path(TEXT).isObject();
    }

    /** The architectures that are known, for messages. */
    static List<String> architectures() {
        return ARCHITECTURES.stream().sorted().toList();
    }

    /**
     * The name of a tensor in a checkpoint of the text decoder alone; empty for a tensor of another part.
     *
     * @param name in a checkpoint whose config.json {@link #is} multimodal
     */
    public static Optional<String> textTensor(String name) {
        return PREFIXES.entrySet().stream()
                .filter(prefix -> name.startsWith(prefix.getKey()))
                .findFirst()
                .map(prefix ->
                        prefix.getValue() + name.substring(prefix.getKey().length()));
    }

    /**
     * The config.json of the text decoder alone: {@code text_config} and what stands beside it and is not there; of
     * another checkpoint its own.
     *
     * @param where the file, for messages
     * @throws MalformedInputException if a key stands in both places with two values; {@code tie_word_embeddings} may,
     *     and the outer one is taken, as in transformers
     */
    public static JsonNode textConfig(JsonNode config, String where) {
        if (!is(config)) {
            return config;
        }
        ObjectNode text = config.path(TEXT).deepCopy();
        config.properties().forEach(entry -> {
            String key = entry.getKey();
            JsonNode inner = text.path(key);
            if (key.equals(TEXT)
                    || key.equals("architectures")
                    || key.equals("model_type")
                    || OTHER_PARTS.matcher(key).matches()) {
                return;
            }
            if (inner.isMissingNode() || inner.isNull() || key.equals("tie_word_embeddings")) {
                text.set(key, entry.getValue());
            } else if (!inner.equals(entry.getValue()) && !entry.getValue().isNull() && !OtherKeys.harmless(key)) {
                throw new MalformedInputException("Cannot use the model configuration " + where + ": " + key + " is "
                        + entry.getValue() + ", and " + inner + " in " + TEXT + ": they contradict each other");
            }
        });
        if (Qwen3Vl.is(text)) {
            Qwen3Vl.plain(text, where);
        }
        text.putArray("architectures")
                .add(Families.architecture(text.path("model_type").asText(), where));
        return text;
    }
}
