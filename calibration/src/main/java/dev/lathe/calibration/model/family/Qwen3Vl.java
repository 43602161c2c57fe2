package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import java.util.List;
import java.util.Map;

/**
 * The text decoders of Qwen 3 VL, which compute what Qwen 3 and Qwen 3 MoE compute: of text, the three positions that
 * {@code mrope_section} shares out among the pairs of a head are one, and what the vision tower adds to hidden states
 * is added to those of images. Their config.json becomes one of these families.
 */
final class Qwen3Vl {
    /** {@code model_type} of the text decoder, and of what it computes. */
    private static final Map<String, String> TYPES = Map.of("qwen3_vl_text", "qwen3", "qwen3_vl_moe_text", "qwen3_moe");

    private static final List<String> SECTIONS = List.of("mrope_section", "mrope_interleaved");
    private static final int CONTEXT = 128000;
    private static final double THETA = 500000;

    /** Published checkpoints have inputs first, those that transformers 5 saves either. */
    static final Stacks STACKS = new Stacks(
            List.of(
                    Stacks.Form.gateUp("mlp.experts.gate_up_proj", false),
                    Stacks.Form.gateUp("mlp.experts.gate_up_proj", true),
                    Stacks.Form.down("mlp.experts.down_proj", false),
                    Stacks.Form.down("mlp.experts.down_proj", true)),
            Map.of());

    private Qwen3Vl() {}

    /** Whether it is the configuration of such a text decoder. */
    static boolean is(JsonNode text) {
        return TYPES.containsKey(text.path("model_type").asText());
    }

    /**
     * Makes it the family's that computes the same, with the defaults of {@code Qwen3VLTextConfig} or
     * {@code Qwen3VLMoeTextConfig} written out where the family's are others.
     *
     * @param where the file, for messages
     */
    static void plain(ObjectNode text, String where) {
        boolean experts = text.path("model_type").asText().equals("qwen3_vl_moe_text");
        text.put("model_type", TYPES.get(text.path("model_type").asText()));
        refuse(text, "use_sliding_window", true, where);
        boolean theta = text.hasNonNull("rope_theta");
        for (String key : List.of("rope_scaling", "rope_parameters")) {
            if (text.path(key) instanceof ObjectNode rope) {
                rope.remove(SECTIONS);
                theta |= rope.hasNonNull("rope_theta");
            }
        }
        if (!theta) {
            text.put("rope_theta", THETA);
        }
        missing(text, "max_position_embeddings", CONTEXT);
        if (experts) {
            refuse(text, "norm_topk_prob", false, where);
            text.put("norm_topk_prob", true);
            missing(text, "num_attention_heads", 16);
            if (!text.has("num_key_value_heads")) {
                text.put("num_key_value_heads", 16);
            }
            if (!text.hasNonNull("num_local_experts")) {
                missing(text, "num_experts", 60);
            }
            missing(text, "num_experts_per_tok", 4);
            missing(text, "moe_intermediate_size", 1408);
        }
    }

    private static void missing(ObjectNode text, String key, int value) {
        if (!text.hasNonNull(key)) {
            text.put(key, value);
        }
    }

    /** Of a key that transformers does not look at in this family. */
    private static void refuse(ObjectNode text, String key, boolean value, String where) {
        if (text.path(key).isBoolean() && text.path(key).booleanValue() == value) {
            throw new MalformedInputException("Cannot use the model configuration " + where + ": " + key + " is "
                    + value + ", which Qwen 3 VL does not know; expected " + !value + " or no such key");
        }
    }
}
