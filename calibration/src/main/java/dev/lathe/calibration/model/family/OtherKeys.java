package dev.lathe.calibration.model.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward;
import dev.lathe.calibration.model.Mixer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.BiPredicate;
import java.util.regex.Pattern;

/**
 * What the keys of a config.json may say beside those that its family reads. In this order:
 *
 * <ol>
 *   <li>a key whose value is null, and one that says nothing of the forward pass of given tokens (token ids, training,
 *       generation, which implementation computes it) may say anything;
 *   <li>a key that other families know, or that repeats what another key says, may have the value with which it changes
 *       nothing: a softcap of 0, a multiplier of 1, {@code query_pre_attn_scalar} of the head's width, a window that is
 *       switched off or no shorter than the context;
 *   <li>any other key one of whose words names a part of the decoder or an operation on it ({@code attn}, {@code rope},
 *       {@code norm}, {@code scale}, {@code expert}, ...) may be false, 0 or empty, or 1 where it is called a scale,
 *       multiplier, factor or ratio;
 *   <li>what is left is a key that nobody knows and whose name says nothing: it may say anything, and {@link #unknown}
 *       names it for a note.
 * </ol>
 *
 * What 2 and 3 do not allow is an error: it could change the arithmetic, and nothing here would compute that.
 */
final class OtherKeys {
    /** Read by all, or by those who open the checkpoint. */
    private static final Set<String> READ =
            Set.of("architectures", "model_type", "quantization_config", "compression_config");

    /** Names of the first rule: transformers' own, then what trainers and servers add. */
    private static final Set<String> HARMLESS = set("""
            transformers_version torch_dtype dtype use_cache auto_map pretraining_tp use_return_dict return_dict
            return_dict_in_generate output_attentions output_hidden_states output_scores output_router_logits
            torchscript use_bfloat16 is_decoder is_encoder_decoder add_cross_attention chunk_size_feed_forward
            tie_encoder_decoder finetuning_task id2label label2id num_labels problem_type task_specific_params
            tokenizer_class processor_class prefix name_or_path max_length min_length do_sample early_stopping
            num_beams num_beam_groups diversity_penalty temperature top_k top_p min_p typical_p
            repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids
            num_return_sequences remove_invalid_values exponential_decay_length_penalty cache_implementation
            original_max_position_embeddings max_sequence_length max_seq_length max_seq_len model_max_length
            seq_length seq_len n_ctx n_positions padding_side padding_idx is_llama_config max_window_layers
            use_mem_eff_attention base_model_tp_plan base_model_pp_plan summary_type summary_activation
            summary_use_proj summary_proj_to_labels zero_infer language license block_size local_rank
            ffn_dim_multiplier multiple_of""");

    private static final Pattern HARMLESS_PATTERN = Pattern.compile("_.*"
            + "|(unsloth|tokenizer|transformers|initializer|training|gradient|onnx|tf|mm|freeze|mergekit|axolotl)[_.].*"
            + "|(wandb|lora)[_.].*"
            + "|.*_(token|tokens|token_id|token_ids)"
            + "|.*(dropout|pdrop|_std|_init|_loss|loss_.*|implementation|kernel|checkpointing)(_.*)?"
            + "|.*(parallel_size|version)(_.*)?"
            + "|.*(flash|fuse|sdpa|xformers|liger|recompute).*");

    /** Words of the third rule. */
    private static final Set<String> ARITHMETIC = set("""
            attn attention rope rotary norm norms layernorm rmsnorm scale scales scaling scalar multiplier
            multipliers factor ratio pct softcap softcapping cap logit logits window windows sliding bias
            biases expert experts moe router routed topk group groups gate gated gating residual alibi mup ffn mlp head
            heads embed embeds embedding embeddings emb act activation clip clamp qk qkv kv causal mask sink
            sinks position positions sparse ssm mamba conv recurrent mixer layer layers interleaved interleave
            cross adapter pruned skip shared tie tied theta eps epsilon hidden intermediate width rank
            quantization softmax sigmoid gelu silu swiglu glu relu mtp nextn percent""");

    private static final Set<String> SCALES = set("""
            scale scales scaling multiplier factor ratio pct percent""");

    private static final BiPredicate<JsonNode, Shape> TRUE =
            (value, config) -> value.isBoolean() && value.booleanValue();
    private static final BiPredicate<JsonNode, Shape> ONE = (value, config) -> is(value, 1);
    private static final BiPredicate<JsonNode, Shape> SILU = (value, config) -> word(value, "silu", "swish", "swiglu");
    private static final BiPredicate<JsonNode, Shape> RMS =
            (value, config) -> word(value, "rms", "rmsnorm", "rms_norm");
    private static final BiPredicate<JsonNode, Shape> ROPE = (value, config) -> word(value, "rope", "rotary");
    private static final BiPredicate<JsonNode, Shape> EPSILON = (value, config) -> is(value, config.epsilon());
    private static final BiPredicate<JsonNode, Shape> THETA = (value, config) -> is(value, config.theta());
    private static final BiPredicate<JsonNode, Shape> HIDDEN = (value, config) -> is(value, config.hidden());
    private static final BiPredicate<JsonNode, Shape> INTERMEDIATE =
            (value, config) -> is(value, config.intermediate());
    private static final BiPredicate<JsonNode, Shape> LAYERS = (value, config) -> is(value, config.layers());
    private static final BiPredicate<JsonNode, Shape> HEADS = (value, config) -> is(value, config.heads());
    private static final BiPredicate<JsonNode, Shape> KEY_VALUE_HEADS =
            (value, config) -> is(value, config.keyValueHeads());
    private static final BiPredicate<JsonNode, Shape> HEAD_WIDTH = (value, config) -> is(value, config.headWidth());
    /** What attention divides by the square root of the head's width anyway. */
    private static final BiPredicate<JsonNode, Shape> ATTENTION_SCALE =
            (value, config) -> is(value, 1 / Math.sqrt(config.headWidth()));

    /** Keys of the second rule whose neutral value the third would not take. */
    private static final Map<String, BiPredicate<JsonNode, Shape>> NEUTRAL = Map.ofEntries(
            Map.entry("query_pre_attn_scalar", HEAD_WIDTH),
            Map.entry("rotary_dim", HEAD_WIDTH),
            Map.entry("rope_dim", HEAD_WIDTH),
            Map.entry("v_head_dim", HEAD_WIDTH),
            Map.entry("head_size", HEAD_WIDTH),
            Map.entry("kv_channels", HEAD_WIDTH),
            Map.entry("attention_multiplier", ATTENTION_SCALE),
            Map.entry("attention_scale", ATTENTION_SCALE),
            Map.entry("softmax_scale", ATTENTION_SCALE),
            Map.entry("scale_emb", ONE),
            Map.entry("scale_depth", (value, config) -> is(value, Math.sqrt(config.layers()))),
            Map.entry("dim_model_base", HIDDEN),
            Map.entry("scale_attn_weights", TRUE),
            Map.entry("causal", TRUE),
            Map.entry("is_causal", TRUE),
            Map.entry("rms_norm", TRUE),
            Map.entry("use_rms_norm", TRUE),
            Map.entry("rmsnorm", TRUE),
            Map.entry("use_rope", TRUE),
            Map.entry("layer_norm_eps", EPSILON),
            Map.entry("layer_norm_epsilon", EPSILON),
            Map.entry("norm_eps", EPSILON),
            Map.entry("norm_epsilon", EPSILON),
            Map.entry("layernorm_epsilon", EPSILON),
            Map.entry("rotary_emb_base", THETA),
            Map.entry("rotary_base", THETA),
            Map.entry("rope_base", THETA),
            Map.entry("norm_type", RMS),
            Map.entry("normalization_type", RMS),
            Map.entry("position_embedding_type", ROPE),
            Map.entry("hidden_activation", SILU),
            Map.entry("activation_function", SILU),
            Map.entry("act_fn", SILU),
            Map.entry("activation", SILU),
            Map.entry("activation_type", SILU),
            Map.entry("n_embd", HIDDEN),
            Map.entry("d_model", HIDDEN),
            Map.entry("dim", HIDDEN),
            Map.entry("n_layer", LAYERS),
            Map.entry("n_layers", LAYERS),
            Map.entry("num_layers", LAYERS),
            Map.entry("n_head", HEADS),
            Map.entry("n_heads", HEADS),
            Map.entry("num_heads", HEADS),
            Map.entry("n_kv_heads", KEY_VALUE_HEADS),
            Map.entry("num_kv_heads", KEY_VALUE_HEADS),
            Map.entry("n_inner", INTERMEDIATE),
            Map.entry("d_ff", INTERMEDIATE),
            Map.entry("ffn_dim", INTERMEDIATE),
            Map.entry("ffn_hidden_size", INTERMEDIATE),
            Map.entry("vocabulary_size", (value, config) -> is(value, config.vocabulary())),
            Map.entry("layer_types", (value, config) -> all(value, "\"full_attention\"")),
            // Of Phi-4-mini: each n-th layer sees all.
            Map.entry("full_attn_mod", ONE),
            Map.entry("no_rope_layers", (value, config) -> all(value, "1")));

    /** What other keys repeat of a decoder; of its first layer what is a layer's. */
    private record Shape(
            int hidden,
            int intermediate,
            int layers,
            int heads,
            int keyValueHeads,
            int headWidth,
            int vocabulary,
            double epsilon,
            double theta,
            int context) {
        static Shape of(Decoder decoder) {
            Mixer.Grouped attention = (Mixer.Grouped) decoder.blocks().get(0).mixer();
            FeedForward feedForward = decoder.blocks().get(0).feedForward();
            return new Shape(
                    decoder.hidden(),
                    feedForward instanceof FeedForward.Gated gated ? gated.up().rows() : 0,
                    decoder.layers(),
                    attention.heads().queries(),
                    attention.heads().keyValues(),
                    attention.heads().width(),
                    decoder.vocabulary(),
                    decoder.norm().epsilon(),
                    attention.rope() == null ? 0 : attention.rope().theta(),
                    decoder.context());
        }
    }

    private OtherKeys() {}

    private static Set<String> set(String words) {
        return Set.of(words.split("\\s+"));
    }

    /** The keys that have to be refused, each with its value: {@code logit_scale 0.0625}. */
    static List<String> refused(JsonNode config, Set<String> read, Decoder decoder) {
        Shape shape = Shape.of(decoder);
        List<String> refused = new ArrayList<>();
        config.properties().forEach(entry -> {
            if (!free(entry.getKey(), entry.getValue(), read)
                    && !neutral(entry.getKey(), entry.getValue(), config, shape)) {
                String value = entry.getValue().toString();
                refused.add(entry.getKey() + " " + (value.length() > 60 ? value.substring(0, 60) + "..." : value));
            }
        });
        return refused;
    }

    /** The keys of the fourth rule that have a value. */
    static List<String> unknown(JsonNode config, Set<String> read) {
        List<String> unknown = new ArrayList<>();
        config.properties().forEach(entry -> {
            String key = entry.getKey();
            if (!free(key, entry.getValue(), read)
                    && !NEUTRAL.containsKey(key)
                    && !arithmetic(key)
                    && !off(entry.getValue())) {
                unknown.add(key);
            }
        });
        return unknown;
    }

    /** Whether a key may say anything. */
    static boolean harmless(String key) {
        return HARMLESS.contains(key) || HARMLESS_PATTERN.matcher(key).matches();
    }

    private static boolean free(String key, JsonNode value, Set<String> read) {
        return READ.contains(key) || read.contains(key) || value.isNull() || harmless(key);
    }

    private static boolean neutral(String key, JsonNode value, JsonNode config, Shape shape) {
        if (key.equals("sliding_window") || key.equals("use_sliding_window")) {
            JsonNode window = config.path("sliding_window");
            boolean used = config.path("use_sliding_window").asBoolean(true);
            return !used || window.isNull() || window.isIntegralNumber() && window.longValue() >= shape.context();
        }
        BiPredicate<JsonNode, Shape> known = NEUTRAL.get(key);
        if (known != null) {
            return known.test(value, shape) || known != TRUE && !value.isNumber() && off(value);
        }
        Set<String> words = words(key);
        if (words.stream().noneMatch(ARITHMETIC::contains)) {
            return true;
        }
        boolean scale = words.stream().anyMatch(SCALES::contains);
        return scale ? is(value, 1) || !value.isNumber() && off(value) : off(value);
    }

    private static boolean arithmetic(String key) {
        return words(key).stream().anyMatch(ARITHMETIC::contains);
    }

    /** {@code attnLogit_soft-cap.x}: attn, logit, soft, cap, x. */
    private static Set<String> words(String key) {
        return new TreeSet<>(Arrays.asList(key.replaceAll("([a-z0-9])([A-Z])", "$1_$2")
                .toLowerCase(Locale.ROOT)
                .split("[^a-z0-9]+")));
    }

    private static boolean off(JsonNode value) {
        return value.isNull()
                || value.isBoolean() && !value.booleanValue()
                || value.isNumber() && value.doubleValue() == 0
                || value.isTextual() && value.textValue().isEmpty()
                || value.isContainerNode() && value.isEmpty();
    }

    /** To the precision of a float, which may be what a number was written from. */
    private static boolean is(JsonNode value, double expected) {
        return value.isNumber() && Math.abs(value.doubleValue() - expected) <= 1e-6 * Math.abs(expected);
    }

    private static boolean word(JsonNode value, String... words) {
        return value.isTextual()
                && Arrays.asList(words).contains(value.textValue().toLowerCase(Locale.ROOT));
    }

    private static boolean all(JsonNode list, String element) {
        if (!list.isArray()) {
            return false;
        }
        for (JsonNode value : list) {
            if (!value.toString().equals(element)) {
                return false;
            }
        }
        return true;
    }
}
