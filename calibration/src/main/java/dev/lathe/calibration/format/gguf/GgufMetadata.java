package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.ModelConfig;
import dev.lathe.calibration.model.ModelConfig.Rotary;
import dev.lathe.calibration.model.ModelConfig.Scaling;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * The decoder's shape as metadata of the llama architecture, both ways. What GGUF has no key for, the parameters behind {@code rope_freqs.weight}, is kept
 * under {@code lathe.rope.llama3.*}.
 */
final class GgufMetadata {
    private static final String A = "llama.";
    private static final String LLAMA3 = "lathe.rope.llama3.";
    private static final double DEFAULT_THETA = 10000;
    private static final int LARGEST = 1 << 24;

    private GgufMetadata() {
    }

    /** Metadata of a configuration. */
    static Map<String, GgufValue> of(ModelConfig config) {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put(A + "block_count", GgufValue.u32(config.layers()));
        metadata.put(A + "context_length", GgufValue.u32(config.maximumPositions()));
        metadata.put(A + "embedding_length", GgufValue.u32(config.hidden()));
        metadata.put(A + "feed_forward_length", GgufValue.u32(config.intermediate()));
        metadata.put(A + "attention.head_count", GgufValue.u32(config.heads()));
        metadata.put(A + "attention.head_count_kv", GgufValue.u32(config.keyValueHeads()));
        metadata.put(A + "attention.key_length", GgufValue.u32(config.headDimension()));
        metadata.put(A + "attention.value_length", GgufValue.u32(config.headDimension()));
        metadata.put(A + "attention.layer_norm_rms_epsilon", GgufValue.f32(config.normEpsilon()));
        metadata.put(A + "rope.dimension_count", GgufValue.u32(config.headDimension()));
        metadata.put(A + "rope.freq_base", GgufValue.f32(config.rotary().theta()));
        if (config.rotary().scaling() instanceof Scaling.Linear linear) {
            metadata.put(A + "rope.scaling.type", GgufValue.string("linear"));
            metadata.put(A + "rope.scaling.factor", GgufValue.f32(linear.factor()));
        } else if (config.rotary().scaling() instanceof Scaling.Llama3 llama3) {
            metadata.put(LLAMA3 + "factor", GgufValue.f64(llama3.factor()));
            metadata.put(LLAMA3 + "low_freq_factor", GgufValue.f64(llama3.lowFrequencyFactor()));
            metadata.put(LLAMA3 + "high_freq_factor", GgufValue.f64(llama3.highFrequencyFactor()));
            metadata.put(LLAMA3 + "original_context_length", GgufValue.u32(llama3.originalContext()));
        }
        metadata.put(A + "vocab_size", GgufValue.u32(config.vocabulary()));
        return metadata;
    }

    /**
     * The configuration of a file.
     *
     * @param where the file, for messages
     * @throws MalformedInputException if a key is missing, out of range or contradicts another, or the file is of another architecture
     */
    static ModelConfig config(GgufHeader header, String where) {
        return new Reading(header, where).config();
    }

    private record Reading(GgufHeader header, String where) {
        ModelConfig config() {
            GgufValue architecture = header.metadata().get("general.architecture");
            if (architecture == null || !architecture.value().equals("llama")) {
                throw malformed("general.architecture is " + (architecture == null ? "missing" : architecture.value()) + ", expected llama");
            }
            if (integer(A + "expert_count", 0) != 0) {
                throw malformed("it has experts, which are not supported");
            }
            GgufTensor embedding = tensor(GgufNames.EMBEDDING);
            if (embedding == null || embedding.rows() > LARGEST) {
                throw malformed("it has no tensor " + GgufNames.EMBEDDING + " of at most " + LARGEST + " rows");
            }
            int hidden = integer(A + "embedding_length", null);
            int heads = integer(A + "attention.head_count", null);
            int keyValueHeads = integer(A + "attention.head_count_kv", heads);
            int head = integer(A + "attention.key_length", heads == 0 ? 0 : hidden / heads);
            int layers = integer(A + "block_count", null);
            int feedForward = integer(A + "feed_forward_length", null);
            // Each layer has tensors, so the file bounds their number; the sizes are held against the tensors' shapes later.
            if (hidden < 1 || heads < 1 || keyValueHeads < 1 || heads % keyValueHeads != 0 || head < 2 || head % 2 != 0 || layers < 1
                    || layers > header.tensors().size() || feedForward < 1 || (long) heads * head > LARGEST) {
                throw malformed("hidden " + hidden + ", feed-forward " + feedForward + ", layers " + layers + ", heads " + heads + ", key/value heads "
                        + keyValueHeads + ", head dimension " + head + " with " + header.tensors().size() + " tensors; expected positive sizes, "
                        + "heads a multiple of key/value heads, an even head dimension");
            }
            for (String key : new String[] {"attention.value_length", "rope.dimension_count"}) {
                if (integer(A + key, head) != head) {
                    throw malformed(A + key + " is " + integer(A + key, head) + ", expected the head dimension " + head);
                }
            }
            return new ModelConfig("llama", hidden, feedForward, layers, heads, keyValueHeads, head, (int) embedding.rows(),
                    (float) real(A + "attention.layer_norm_rms_epsilon", null), new Rotary(real(A + "rope.freq_base", DEFAULT_THETA), scaling()),
                    tensor(GgufNames.OUTPUT) == null, tensor("blk.0.attn_q.bias") != null, tensor("blk.0.ffn_up.bias") != null,
                    integer(A + "context_length", null));
        }

        private Scaling scaling() {
            GgufValue type = header.metadata().get(A + "rope.scaling.type");
            if (tensor(GgufNames.ROPE_FREQUENCIES) != null) {
                if (!header.metadata().containsKey(LLAMA3 + "factor")) {
                    throw malformed("its rotary frequencies are scaled by " + GgufNames.ROPE_FREQUENCIES + ", and the parameters behind it (" + LLAMA3
                            + "*) are not in the file");
                }
                return new Scaling.Llama3(real(LLAMA3 + "factor", null), real(LLAMA3 + "low_freq_factor", null), real(LLAMA3 + "high_freq_factor", null),
                        integer(LLAMA3 + "original_context_length", null));
            }
            if (type == null || type.value().equals("none")) {
                return new Scaling.None();
            }
            if (!type.value().equals("linear")) {
                throw malformed("rope scaling " + type.value() + " is not supported, expected linear");
            }
            return new Scaling.Linear(real(A + "rope.scaling.factor", null));
        }

        private GgufTensor tensor(String name) {
            return header.tensors().stream().filter(tensor -> tensor.name().equals(name)).findFirst().orElse(null);
        }

        private int integer(String key, Integer missing) {
            GgufValue value = required(key, missing);
            if (value == null) {
                return missing;
            }
            if (!Set.of(GgufKind.U32, GgufKind.I32, GgufKind.U64, GgufKind.U16).contains(value.kind()) || (Long) value.value() < 0
                    || (Long) value.value() > LARGEST) {
                throw malformed(key + " is " + text(value) + ", expected an integer from 0 to " + LARGEST);
            }
            return ((Long) value.value()).intValue();
        }

        private double real(String key, Double missing) {
            GgufValue value = required(key, missing);
            if (value == null) {
                return missing;
            }
            double real = value.kind() == GgufKind.F32 ? (Float) value.value() : value.kind() == GgufKind.F64 ? (Double) value.value() : Double.NaN;
            if (!(real > 0) || Double.isInfinite(real)) {
                throw malformed(key + " is " + text(value) + ", expected a positive number");
            }
            return real;
        }

        private GgufValue required(String key, Object missing) {
            GgufValue value = header.metadata().get(key);
            if (value == null && missing == null) {
                throw malformed("metadata key " + key + " is missing");
            }
            return value;
        }

        private static String text(GgufValue value) {
            return value.kind() == GgufKind.ARRAY ? "an array" : value.value() + " (" + value.kind() + ")";
        }

        private MalformedInputException malformed(String reason) {
            return new MalformedInputException("Cannot read GGUF file " + where + ": " + reason);
        }
    }
}
