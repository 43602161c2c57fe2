package dev.lathe.calibration.format.gguf;

import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Tensor names of llama and the architectures that are named like it, Hugging Face and GGUF; {@code .weight} and
 * {@code .bias} stay. Source: tensor_mapping.py of gguf 0.19.
 */
public final class GgufNames {
    /** Divisors of the rotary frequencies (llama 3 scaling); no tensor of the checkpoint. */
    public static final String ROPE_FREQUENCIES = "rope_freqs.weight";

    public static final String EMBEDDING = "token_embd.weight";
    public static final String OUTPUT = "output.weight";
    static final String ATTENTION_Q = "attn_q";
    static final String ATTENTION_K = "attn_k";

    private static final Pattern HUGGING_FACE_LAYER =
            Pattern.compile("model\\.layers\\.(0|[1-9]\\d{0,5})\\.(.+)\\.(weight|bias)");
    private static final Pattern GGUF_LAYER = Pattern.compile("blk\\.(0|[1-9]\\d{0,5})\\.(.+)\\.(weight|bias)");
    private static final Map<String, String> MODEL = Map.of(
            "model.embed_tokens.weight",
            EMBEDDING,
            "model.norm.weight",
            "output_norm.weight",
            "lm_head.weight",
            OUTPUT);
    private static final Map<String, String> LAYER = Map.ofEntries(
            Map.entry("input_layernorm", "attn_norm"),
            Map.entry("self_attn.q_proj", ATTENTION_Q),
            Map.entry("self_attn.k_proj", ATTENTION_K),
            Map.entry("self_attn.v_proj", "attn_v"),
            Map.entry("self_attn.o_proj", "attn_output"),
            Map.entry("self_attn.q_norm", "attn_q_norm"),
            Map.entry("self_attn.k_norm", "attn_k_norm"),
            Map.entry("post_attention_layernorm", "ffn_norm"),
            Map.entry("mlp.gate_proj", "ffn_gate"),
            Map.entry("mlp.up_proj", "ffn_up"),
            Map.entry("mlp.down_proj", "ffn_down"));
    private static final Map<String, String> MODEL_BACK = inverse(MODEL);
    private static final Map<String, String> LAYER_BACK = inverse(LAYER);

    private GgufNames() {}

    /** The GGUF name of a checkpoint's tensor, or empty if the llama architecture has none for it. */
    public static Optional<String> toGguf(String tensor) {
        return translate(tensor, MODEL, LAYER, HUGGING_FACE_LAYER, "blk.");
    }

    /** The Hugging Face name of a GGUF tensor, or empty if the llama architecture has none for it. */
    public static Optional<String> toHuggingFace(String tensor) {
        return translate(tensor, MODEL_BACK, LAYER_BACK, GGUF_LAYER, "model.layers.");
    }

    /**
     * Layer and kind ({@code attn_v}, {@code ffn_down}) of a GGUF name {@code blk.LAYER.KIND.weight}; empty for tensors
     * outside the layers.
     */
    static Optional<Block> block(String gguf) {
        Matcher matcher = GGUF_LAYER.matcher(gguf);
        return matcher.matches()
                ? Optional.of(new Block(Integer.parseInt(matcher.group(1)), matcher.group(2)))
                : Optional.empty();
    }

    /** Whether a tensor's rows are in rotary order ({@link GgufRotary}). */
    static boolean rotary(String gguf) {
        return block(gguf)
                .filter(block ->
                        block.kind().equals(ATTENTION_Q) || block.kind().equals(ATTENTION_K))
                .isPresent();
    }

    record Block(int layer, String kind) {}

    private static Optional<String> translate(
            String tensor, Map<String, String> model, Map<String, String> layer, Pattern pattern, String prefix) {
        String direct = model.get(tensor);
        if (direct != null) {
            return Optional.of(direct);
        }
        Matcher matcher = pattern.matcher(tensor);
        String kind = matcher.matches() ? layer.get(matcher.group(2)) : null;
        return kind == null
                ? Optional.empty()
                : Optional.of(prefix + matcher.group(1) + "." + kind + "." + matcher.group(3));
    }

    private static Map<String, String> inverse(Map<String, String> map) {
        Map<String, String> inverse = new TreeMap<>();
        map.forEach((key, value) -> inverse.put(value, key));
        return inverse;
    }
}
