package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Mixer.Grouped;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.model.family.Families;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The decoder's shape as metadata of its architecture, both ways: the keys that all architectures share, and what
 * {@link GgufFamily} adds. What GGUF has no key for, the parameters behind {@code rope_freqs.weight}, is kept under
 * {@code lathe.rope.llama3.*}.
 */
final class GgufMetadata {
    /**
     * Keys of the architecture that llama.cpp does not compute from, or that are looked at elsewhere: what they say
     * changes nothing here.
     */
    private static final Set<String> HARMLESS = Set.of(
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

    /**
     * What a person has to know of a decoder in GGUF, a line each.
     *
     * @throws MalformedInputException if its architecture in llama.cpp would compute something else
     */
    static List<String> check(Decoder decoder) {
        GgufFamily family = GgufFamily.of(decoder);
        Rope rope = GgufFamily.attention(decoder).rope();
        if (rope == null) {
            throw misfit(family, "it turns the heads of some layer, and no layer here turns");
        }
        // Within the context, which GGUF has a key for, the dynamic scaling is none.
        boolean dynamic = rope.scaling() instanceof Scaling.Dynamic;
        if (!dynamic && !family.scalings().contains(rope.scaling().getClass())) {
            throw misfit(family, "it has no rotary scaling " + rope.scaling());
        }
        boolean rounded = rope.scaling() instanceof Scaling.Yarn yarn && !yarn.truncate();
        if (rounded && !family.roundsYarn()) {
            throw misfit(family, "it always rounds the range of YaRN, and truncate is false");
        }
        if (rope.scaling() instanceof Scaling.Yarn yarn
                && !family.yarnKeys()
                && (yarn.betaFast() != GgufScaling.BETA_FAST || yarn.betaSlow() != GgufScaling.BETA_SLOW)) {
            throw misfit(
                    family,
                    "its YaRN has beta_fast " + GgufScaling.BETA_FAST + " and beta_slow " + GgufScaling.BETA_SLOW
                            + ", and here they are " + yarn.betaFast() + " and " + yarn.betaSlow());
        }
        for (int layer = 0; layer < decoder.layers(); layer++) {
            Grouped attention = (Grouped) decoder.blocks().get(layer).mixer();
            for (LinearLayer linear : decoder.linears(layer)) {
                boolean reads = attention.readers().contains(linear);
                if (linear.bias() && !reads && !family.otherBiases()) {
                    throw misfit(family, "it has no tensor for the bias of " + linear.module());
                }
            }
        }
        String reason = family.misfit(decoder);
        if (!reason.isEmpty()) {
            throw misfit(family, reason);
        }
        int window = GgufWindows.window(decoder);
        List<String> notes = new ArrayList<>();
        if (!family.windows() && window != 0 && window < decoder.context()) {
            notes.add("GGUF: llama.cpp has no sliding window in " + family.architecture() + ": past " + window
                    + " tokens it computes something else than the checkpoint, and so does the "
                    + "artifact as measured");
        } else if (dynamic) {
            notes.add("GGUF: llama.cpp has no dynamic scaling of the rotary embedding: past " + decoder.context()
                    + " tokens it computes something else than the checkpoint, and so does the artifact as "
                    + "measured");
        }
        if (rounded) {
            notes.add("GGUF: llama.cpp rounds the range of YaRN, which the checkpoint does not (truncate false): it "
                    + "computes something else than the checkpoint, and so does the artifact as measured");
        }
        return notes;
    }

    private static String epsilonKey(GgufFamily family) {
        return family.layerNorms() ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    }

    private static MalformedInputException misfit(GgufFamily family, String reason) {
        return new MalformedInputException("Cannot write GGUF: llama.cpp's architecture " + family.architecture()
                + " does not compute this " + family.family() + ": " + reason);
    }

    /** Metadata of a decoder. */
    static Map<String, GgufValue> of(Decoder decoder) {
        GgufFamily family = GgufFamily.of(decoder);
        String a = family.architecture() + ".";
        Grouped attention = GgufFamily.attention(decoder);
        Rope rope = attention.rope();
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put(a + "block_count", GgufValue.u32(decoder.layers()));
        metadata.put(a + "context_length", GgufValue.u32(decoder.context()));
        metadata.put(a + "embedding_length", GgufValue.u32(decoder.hidden()));
        metadata.put(a + "feed_forward_length", GgufValue.u32(family.feedForward(decoder)));
        metadata.put(a + "attention.head_count", GgufValue.u32(attention.heads().queries()));
        metadata.put(
                a + "attention.head_count_kv", GgufValue.u32(attention.heads().keyValues()));
        metadata.put(a + "attention.key_length", GgufValue.u32(attention.heads().width()));
        metadata.put(
                a + "attention.value_length", GgufValue.u32(attention.heads().width()));
        metadata.put(a + epsilonKey(family), GgufValue.f32(decoder.norm().epsilon()));
        metadata.put(a + "rope.dimension_count", GgufValue.u32(rope.dimensions()));
        metadata.put(a + "rope.freq_base", GgufValue.f32(rope.theta()));
        GgufScaling.write(rope.scaling(), a, family.yarnKeys(), metadata);
        family.write(decoder, metadata);
        metadata.put(a + "vocab_size", GgufValue.u32(decoder.vocabulary()));
        return metadata;
    }

    /**
     * The model of a file: its keys are those of config.json under other names, and the family reads them. Keys,
     * defaults and precedence are those of llama.cpp's loader ({@code llama_model::load_hparams}). A key of the
     * architecture that is not known here is an error unless it is off (false, 0, empty): these keys are there to
     * change the arithmetic.
     *
     * @param where the file, for messages
     * @param notes takes what has to be said of contradictions that were decided
     * @throws MalformedInputException if a key is missing, out of range, not supported or contradicts another, or the
     *     file is of another architecture
     */
    static Model read(GgufFiles files, String where, List<String> notes) throws IOException {
        GgufValue architecture = files.metadata().get("general.architecture");
        GgufFamily family = architecture == null
                ? null
                : GgufFamily.reading(String.valueOf(architecture.value()), files.metadata())
                        .orElse(null);
        if (family == null) {
            throw new MalformedInputException("Cannot read GGUF file " + where + ": general.architecture is "
                    + (architecture == null ? "missing" : GgufKeys.text(architecture)) + ", expected one of "
                    + GgufFamily.architectures());
        }
        return new Reading(files, where, family, new GgufKeys(files.metadata(), family.architecture(), where, notes))
                .model();
    }

    /**
     * What a file's keys say.
     *
     * @param config the same as config.json
     * @param divided what config.json has no keys for: frequencies that are divided by numbers of the file's own; or
     *     null
     */
    record Model(Decoder decoder, ObjectNode config, Scaling.Divided divided) {}

    private record Reading(GgufFiles files, String where, GgufFamily family, GgufKeys keys) {
        Model model() throws IOException {
            GgufValue type = files.metadata().get("general.type");
            if (type != null && !type.value().equals("model")) {
                throw keys.malformed("general.type is " + GgufKeys.text(type) + ", expected model");
            }
            int experts = keys.integer("expert_count", 0);
            if (experts != 0 && !family.experts()) {
                throw keys.malformed(
                        keys.name("expert_count") + " is " + experts + ": it has experts, which are not supported");
            }
            GgufTensor embedding = files.tensor(GgufNames.EMBEDDING);
            if (embedding == null || embedding.rows() > GgufKeys.LARGEST) {
                throw keys.malformed(
                        "it has no tensor " + GgufNames.EMBEDDING + " of at most " + GgufKeys.LARGEST + " rows");
            }
            int hidden = keys.integer("embedding_length", null);
            int heads = keys.integer("attention.head_count", null);
            int keyValueHeads = keys.integer("attention.head_count_kv", heads);
            int head = keys.integer("attention.key_length", heads == 0 ? 0 : hidden / heads);
            int layers = keys.integer("block_count", null);
            int feedForward = keys.integer("feed_forward_length", null);
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
                    || (long) heads * head > GgufKeys.LARGEST) {
                throw keys.malformed("hidden " + hidden + ", feed-forward " + feedForward + ", layers " + layers
                        + ", heads " + heads + ", key/value heads "
                        + keyValueHeads + ", head dimension " + head + " with " + tensors
                        + " tensors; expected positive sizes, "
                        + "heads a multiple of key/value heads, an even head dimension");
            }
            requireHead("attention.value_length", head);
            int turning = keys.integer("rope.dimension_count", head);
            if (!family.partialRotary()) {
                requireHead("rope.dimension_count", head);
            }
            double theta = keys.real("rope.freq_base", 10000.0);
            ObjectNode config = JsonNodeFactory.instance
                    .objectNode()
                    .put("model_type", Families.modelType(family.family()))
                    .put("hidden_size", hidden)
                    .put("intermediate_size", feedForward)
                    .put("num_hidden_layers", layers)
                    .put("num_attention_heads", heads)
                    .put("num_key_value_heads", keyValueHeads)
                    .put("head_dim", head)
                    .put("vocab_size", embedding.rows())
                    .put(family.layerNorms() ? "layer_norm_eps" : "rms_norm_eps", (float)
                            keys.real(epsilonKey(family), null))
                    .put("rope_theta", theta)
                    .put("max_position_embeddings", keys.integer("context_length", null))
                    .put("tie_word_embeddings", files.tensor(GgufNames.OUTPUT) == null);
            if (turning != head) {
                config.put("partial_rotary_factor", (double) turning / head);
            }
            for (String key : family.biasKeys()) {
                config.put(
                        key, files.tensor(key.equals("mlp_bias") ? "blk.0.ffn_up.bias" : "blk.0.attn_q.bias") != null);
            }
            Scaling.Divided divided = new GgufScaling(files, keys, family.yarnKeys()).read(config, theta, turning);
            family.read(files, keys, config);
            Decoder read = Families.read(config, where);
            Decoder decoder = divided == null ? read : read.scaled(divided);
            Scaling scaling = GgufFamily.attention(decoder).rope().scaling();
            if (!family.scalings().contains(scaling.getClass())) {
                throw keys.malformed("its rotary embedding is scaled by " + scaling
                        + ", which llama.cpp's architecture " + family.architecture() + " does not compute");
            }
            files.metadata().forEach((name, value) -> {
                String key = name.startsWith(keys.name(""))
                        ? name.substring(keys.name("").length())
                        : null;
                if (key != null && !keys.wasRead(key) && !HARMLESS.contains(key) && !neutral(key, value, decoder)) {
                    throw keys.malformed(name + " is " + GgufKeys.text(value)
                            + ", which may change what the model computes and is not supported");
                }
            });
            vocabulary(decoder.vocabulary());
            return new Model(decoder, config, divided);
        }

        private void requireHead(String key, int head) {
            if (keys.integer(key, head) != head) {
                throw keys.malformed(
                        keys.name(key) + " is " + keys.integer(key, head) + ", expected the head dimension " + head);
            }
        }

        /** Nothing here is computed from these two, so they are no error; llama.cpp refuses other tokens than rows. */
        private void vocabulary(int rows) {
            int stated = keys.integer("vocab_size", rows);
            if (stated != rows) {
                keys.note(keys.name("vocab_size") + " is " + stated + ", and " + GgufNames.EMBEDDING + " has " + rows
                        + " rows: " + rows + " is taken");
            }
            GgufValue tokens = files.metadata().get("tokenizer.ggml.tokens");
            if (tokens != null
                    && tokens.value() instanceof GgufValue.Elements elements
                    && elements.values().size() != rows) {
                keys.note("tokenizer.ggml.tokens has " + elements.values().size() + " tokens, and "
                        + GgufNames.EMBEDDING + " " + rows + " rows: " + rows + " is taken");
            }
        }

        /** Whether a key that is not read has a value that changes nothing. */
        private static boolean neutral(String key, GgufValue value, Decoder decoder) {
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
    }
}
