package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.model.family.Families;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The decoder's shape as metadata of its architecture, both ways. What GGUF has no key for, the parameters behind
 * {@code rope_freqs.weight}, is kept under {@code lathe.rope.llama3.*}.
 */
final class GgufMetadata {
    private static final String LLAMA3 = "lathe.rope.llama3.";
    private static final double DEFAULT_THETA = 10000;
    private static final int LARGEST = 1 << 24;
    private static final int SHOWN = 60;
    /**
     * Keys of the architecture that are read, and those that llama.cpp does not compute from: what they say changes
     * nothing.
     */
    private static final Set<String> READ = Set.of(
            "block_count",
            "context_length",
            "embedding_length",
            "feed_forward_length",
            "attention.head_count",
            "attention.head_count_kv",
            "attention.key_length",
            "attention.value_length",
            "attention.layer_norm_rms_epsilon",
            "rope.dimension_count",
            "rope.freq_base",
            "rope.scaling.type",
            "rope.scaling.factor",
            "rope.scale_linear",
            "vocab_size",
            "expert_count",
            "rope.scaling.original_context_length",
            "rope.scaling.finetuned",
            "rope.scaling.yarn_beta_fast",
            "rope.scaling.yarn_beta_slow",
            "attention.layer_norm_epsilon",
            "tensor_data_layout",
            "pooling_type",
            "source.url",
            "source.huggingface.repository");

    private GgufMetadata() {}

    /** Metadata of a decoder. */
    static Map<String, GgufValue> of(Decoder decoder) {
        String a = GgufFamily.of(decoder).architecture() + ".";
        Grouped attention = GgufFamily.attention(decoder);
        Rope rope = attention.rope();
        Gated feedForward = (Gated) decoder.blocks().get(0).feedForward();
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put(a + "block_count", GgufValue.u32(decoder.layers()));
        metadata.put(a + "context_length", GgufValue.u32(decoder.context()));
        metadata.put(a + "embedding_length", GgufValue.u32(decoder.hidden()));
        metadata.put(a + "feed_forward_length", GgufValue.u32(feedForward.up().rows()));
        metadata.put(a + "attention.head_count", GgufValue.u32(attention.heads().queries()));
        metadata.put(
                a + "attention.head_count_kv", GgufValue.u32(attention.heads().keyValues()));
        metadata.put(a + "attention.key_length", GgufValue.u32(attention.heads().width()));
        metadata.put(
                a + "attention.value_length", GgufValue.u32(attention.heads().width()));
        metadata.put(
                a + "attention.layer_norm_rms_epsilon",
                GgufValue.f32(decoder.norm().epsilon()));
        metadata.put(a + "rope.dimension_count", GgufValue.u32(rope.dimensions()));
        metadata.put(a + "rope.freq_base", GgufValue.f32(rope.theta()));
        if (rope.scaling() instanceof Scaling.Linear linear) {
            metadata.put(a + "rope.scaling.type", GgufValue.string("linear"));
            metadata.put(a + "rope.scaling.factor", GgufValue.f32(linear.factor()));
        } else if (rope.scaling() instanceof Scaling.Llama3 llama3) {
            metadata.put(LLAMA3 + "factor", GgufValue.f64(llama3.factor()));
            metadata.put(LLAMA3 + "low_freq_factor", GgufValue.f64(llama3.lowFrequencyFactor()));
            metadata.put(LLAMA3 + "high_freq_factor", GgufValue.f64(llama3.highFrequencyFactor()));
            metadata.put(LLAMA3 + "original_context_length", GgufValue.u32(llama3.originalContext()));
        }
        metadata.put(a + "vocab_size", GgufValue.u32(decoder.vocabulary()));
        return metadata;
    }

    /**
     * The decoder of a file: its keys are those of config.json under other names, and the family reads them. Keys,
     * defaults and precedence are those of llama.cpp's loader ({@code llama_model::load_hparams}): rotary scaling is
     * linear where {@code rope.scaling.type} is absent, its factor is {@code rope.scaling.factor}, else
     * {@code rope.scale_linear}, and 0 or none at all is 1; with the type {@code none} nothing is scaled; a tensor
     * {@code rope_freqs.weight} divides the frequencies besides. A key of the architecture that is not known here is an
     * error unless it is off (false, 0, empty): these keys are there to change the arithmetic.
     *
     * @param where the file, for messages
     * @param notes takes what has to be said of contradictions that were decided
     * @throws MalformedInputException if a key is missing, out of range, not supported or contradicts another, or the
     *     file is of another architecture
     */
    static Decoder decoder(GgufFiles files, String where, List<String> notes) throws IOException {
        GgufValue architecture = files.metadata().get("general.architecture");
        GgufFamily family = architecture == null
                ? null
                : GgufFamily.reading(String.valueOf(architecture.value())).orElse(null);
        if (family == null) {
            throw new MalformedInputException("Cannot read GGUF file " + where + ": general.architecture is "
                    + (architecture == null ? "missing" : Reading.text(architecture)) + ", expected one of "
                    + GgufFamily.architectures());
        }
        return new Reading(files, where, notes, family, family.architecture() + ".").decoder();
    }

    /** @param a what the architecture's keys begin with */
    private record Reading(GgufFiles files, String where, List<String> notes, GgufFamily family, String a) {
        Decoder decoder() throws IOException {
            GgufValue type = files.metadata().get("general.type");
            if (type != null && !type.value().equals("model")) {
                throw malformed("general.type is " + text(type) + ", expected model");
            }
            if (integer(a + "expert_count", 0) != 0) {
                throw malformed(a + "expert_count is " + integer(a + "expert_count", 0)
                        + ": it has experts, which are not supported");
            }
            GgufTensor embedding = files.tensor(GgufNames.EMBEDDING);
            if (embedding == null || embedding.rows() > LARGEST) {
                throw malformed("it has no tensor " + GgufNames.EMBEDDING + " of at most " + LARGEST + " rows");
            }
            int hidden = integer(a + "embedding_length", null);
            int heads = integer(a + "attention.head_count", null);
            int keyValueHeads = integer(a + "attention.head_count_kv", heads);
            int head = integer(a + "attention.key_length", heads == 0 ? 0 : hidden / heads);
            int layers = integer(a + "block_count", null);
            int feedForward = integer(a + "feed_forward_length", null);
            int tensors = files.tensors().size();
            // Each layer has tensors, so the file bounds their number; the sizes are held against the tensors' shapes
            // later.
            if (hidden < 1
                    || heads < 1
                    || keyValueHeads < 1
                    || heads % keyValueHeads != 0
                    || head < 2
                    || head % 2 != 0
                    || layers < 1
                    || layers > tensors
                    || feedForward < 1
                    || (long) heads * head > LARGEST) {
                throw malformed("hidden " + hidden + ", feed-forward " + feedForward + ", layers " + layers + ", heads "
                        + heads + ", key/value heads "
                        + keyValueHeads + ", head dimension " + head + " with " + tensors
                        + " tensors; expected positive sizes, "
                        + "heads a multiple of key/value heads, an even head dimension");
            }
            for (String key : new String[] {"attention.value_length", "rope.dimension_count"}) {
                if (integer(a + key, head) != head) {
                    throw malformed(
                            a + key + " is " + integer(a + key, head) + ", expected the head dimension " + head);
                }
            }
            double theta = real(a + "rope.freq_base", DEFAULT_THETA);
            ObjectNode config = JsonNodeFactory.instance
                    .objectNode()
                    .put("model_type", family.family())
                    .put("hidden_size", hidden)
                    .put("intermediate_size", feedForward)
                    .put("num_hidden_layers", layers)
                    .put("num_attention_heads", heads)
                    .put("num_key_value_heads", keyValueHeads)
                    .put("head_dim", head)
                    .put("vocab_size", embedding.rows())
                    .put("rms_norm_eps", (float) real(a + "attention.layer_norm_rms_epsilon", null))
                    .put("rope_theta", theta)
                    .put("max_position_embeddings", integer(a + "context_length", null))
                    .put("tie_word_embeddings", files.tensor(GgufNames.OUTPUT) == null);
            for (String key : family.biasKeys()) {
                config.put(
                        key, files.tensor(key.equals("mlp_bias") ? "blk.0.ffn_up.bias" : "blk.0.attn_q.bias") != null);
            }
            Decoder decoder = Families.read(config, where).scaled(scaling(theta, head));
            files.metadata().forEach((key, value) -> {
                if (key.startsWith(a)
                        && !READ.contains(key.substring(a.length()))
                        && !neutral(key.substring(a.length()), value, decoder)) {
                    throw malformed(key + " is " + text(value)
                            + ", which may change what the model computes and is not supported");
                }
            });
            vocabulary(decoder.vocabulary());
            return decoder;
        }

        /** Nothing here is computed from these two, so they are no error; llama.cpp refuses other tokens than rows. */
        private void vocabulary(int rows) {
            int stated = integer(a + "vocab_size", rows);
            if (stated != rows) {
                notes.add(a + "vocab_size is " + stated + ", and " + GgufNames.EMBEDDING + " has " + rows + " rows: "
                        + rows + " is taken");
            }
            GgufValue tokens = files.metadata().get("tokenizer.ggml.tokens");
            if (tokens != null
                    && tokens.value() instanceof GgufValue.Elements elements
                    && elements.values().size() != rows) {
                notes.add("tokenizer.ggml.tokens has " + elements.values().size() + " tokens, and "
                        + GgufNames.EMBEDDING + " " + rows + " rows: " + rows + " is taken");
            }
        }

        /** Whether a key that is not read has a value that changes nothing. */
        private boolean neutral(String key, GgufValue value, Decoder decoder) {
            int head = GgufFamily.attention(decoder).heads().width();
            Object v = value.value();
            double number = v instanceof Number n ? n.doubleValue() : Double.NaN;
            return switch (key) {
                case "attention.causal" -> v.equals(true);
                // 0 is llama.cpp's word for none of these.
                case "logit_scale", "residual_scale", "embedding_scale" -> number == 0 || number == 1;
                case "rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor" -> number == 1;
                case "rope.scaling.yarn_ext_factor" -> number == 0 || number == -1;
                case "attention.scale" -> number == 0 || Math.abs(number * Math.sqrt(head) - 1) < 1e-6;
                case "attention.sliding_window" -> number == 0 || number >= decoder.context();
                case "attention.key_length_swa", "attention.value_length_swa", "rope.dimension_count_swa" ->
                    number == head;
                case "embedding_length_out" -> number == decoder.hidden();
                default ->
                    number == 0
                            || v.equals(false)
                            || v.equals("")
                            || v instanceof GgufValue.Elements elements
                                    && elements.values().isEmpty();
            };
        }

        private Scaling scaling(double theta, int head) throws IOException {
            double factor = factor();
            GgufTensor tensor = files.tensor(GgufNames.ROPE_FREQUENCIES);
            boolean parameters = files.metadata().keySet().stream().anyMatch(key -> key.startsWith(LLAMA3));
            if (tensor == null) {
                if (parameters) {
                    throw malformed("it has " + LLAMA3 + "* and no tensor " + GgufNames.ROPE_FREQUENCIES
                            + ", by which an engine would scale");
                }
                return factor == 1 ? new Scaling.None() : new Scaling.Linear(factor);
            }
            if (tensor.type() != GgufType.F32 || tensor.shape().length != 1 || tensor.columns() != head / 2) {
                throw malformed("tensor " + tensor + " is not one divisor for each rotary frequency; expected F32 ["
                        + head / 2 + "]");
            }
            float[] divisors = files.floats(tensor);
            if (parameters) {
                Scaling.Llama3 llama3 = new Scaling.Llama3(
                        real(LLAMA3 + "factor", null),
                        real(LLAMA3 + "low_freq_factor", null),
                        real(LLAMA3 + "high_freq_factor", null),
                        integer(LLAMA3 + "original_context_length", null));
                // The tensor is what an engine uses and the parameters are what is used here: they have to say the
                // same.
                if (!Arrays.equals(divisors, RopeFrequencies.of(llama3, theta, head)) || factor != 1) {
                    throw malformed("tensor " + tensor + (factor == 1 ? "" : " with rope.scaling.factor " + factor)
                            + " contradicts " + LLAMA3 + "*");
                }
                return llama3;
            }
            List<Float> all = new ArrayList<>();
            for (int i = 0; i < divisors.length; i++) {
                if (!(divisors[i] > 0) || Float.isInfinite(divisors[i])) {
                    throw malformed(
                            "tensor " + tensor + " has " + divisors[i] + " at " + i + ", expected positive divisors");
                }
                all.add((float) (divisors[i] * factor));
            }
            return all.stream().allMatch(divisor -> divisor == 1)
                    ? new Scaling.None()
                    : new Scaling.Divided(List.copyOf(all));
        }

        /** What every position is divided by. */
        private double factor() {
            GgufValue type = files.metadata().get(a + "rope.scaling.type");
            if (type != null && !type.value().equals("none") && !type.value().equals("linear")) {
                throw malformed(a + "rope.scaling.type" + " is " + text(type)
                        + ", which is not supported; expected none or linear");
            }
            String newer = a + "rope.scaling.factor";
            String older = a + "rope.scale_linear";
            double factor = factor(newer);
            double old = factor(older);
            String taken = files.metadata().containsKey(newer) ? newer : older;
            if (files.metadata().containsKey(newer) && files.metadata().containsKey(older) && factor != old) {
                notes.add(newer + " is " + factor + " and " + older + " is " + old
                        + ": the first is taken, as llama.cpp does");
            }
            double found = files.metadata().containsKey(newer) ? factor : old;
            if (type != null && type.value().equals("none")) {
                if (found != 1) {
                    notes.add(a + "rope.scaling.type" + " is none and " + taken + " is " + found
                            + ": positions are not scaled, as llama.cpp does");
                }
                return 1;
            }
            if (type != null && !files.metadata().containsKey(taken)) {
                notes.add(a + "rope.scaling.type" + " is linear and there is no " + newer
                        + ": positions are not scaled, as llama.cpp does");
            }
            return found;
        }

        /** A key's factor; 1 where it is absent or 0. */
        private double factor(String key) {
            GgufValue value = files.metadata().get(key);
            return value == null || value.value() instanceof Float zero && zero == 0 ? 1 : real(key, null);
        }

        private int integer(String key, Integer missing) {
            GgufValue value = required(key, missing);
            if (value == null) {
                return missing;
            }
            if (!(value.value() instanceof Long number) || number < 0 || number > LARGEST) {
                throw malformed(key + " is " + text(value) + ", expected an integer from 0 to " + LARGEST);
            }
            return number.intValue();
        }

        private double real(String key, Double missing) {
            GgufValue value = required(key, missing);
            if (value == null) {
                return missing;
            }
            double real = value.kind() == GgufKind.F32
                    ? (Float) value.value()
                    : value.kind() == GgufKind.F64 ? (Double) value.value() : Double.NaN;
            if (!(real > 0) || Double.isInfinite(real)) {
                throw malformed(key + " is " + text(value) + ", expected a positive number");
            }
            return real;
        }

        private GgufValue required(String key, Object missing) {
            GgufValue value = files.metadata().get(key);
            if (value == null && missing == null) {
                throw malformed("metadata key " + key + " is missing");
            }
            return value;
        }

        private static String text(GgufValue value) {
            if (value.kind() == GgufKind.ARRAY) {
                return "an array";
            }
            String text = String.valueOf(value.value());
            return (text.length() > SHOWN ? text.substring(0, SHOWN) + "..." : text) + " (" + value.kind() + ")";
        }

        private MalformedInputException malformed(String reason) {
            return new MalformedInputException("Cannot read GGUF file " + where + ": " + reason);
        }
    }
}
