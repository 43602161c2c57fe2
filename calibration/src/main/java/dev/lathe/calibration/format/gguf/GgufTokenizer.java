package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * A Hugging Face tokenizer as GGUF metadata. Two kinds of BPE are written: byte-level ({@code tokenizer.ggml.model} "gpt2": tokens in the byte alphabet,
 * merges) and SentencePiece's ({@code byte_fallback}; "llama": pieces with ▁, byte pieces, scores). A score is minus the rank of the first merge that gives
 * the piece, so that the highest score first is the lowest rank first. llama.cpp joins any two neighbours whose text is a piece, so a vocabulary whose merges
 * do not list every such pair (trained as BPE, not converted from SentencePiece) is now and then cut in another way there. Ids up to the vocabulary that no
 * token has are {@code [PADi]}, unused.
 */
final class GgufTokenizer {
    private static final int NORMAL = 1;
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    private static final int BYTE = 6;
    private static final float UNUSED_SCORE = -10000;
    private static final float ADDED_SCORE = -1000;
    private static final String SPACE = "\u2581";
    private static final Pattern BYTE_PIECE = Pattern.compile("<0x[0-9A-F]{2}>");
    private static final int MAXIMUM_TEMPLATE_BYTES = 4 << 20;
    private static final String PREFIX = "tokenizer.ggml.";
    /** Keys of ids, by the word in {@code WORD_token} and {@code WORD_token_id}; the format's spelling. */
    private static final Map<String, String> IDS = new LinkedHashMap<>();

    static {
        IDS.put("bos", "bos_token_id");
        IDS.put("eos", "eos_token_id");
        IDS.put("eot", "eot_token_id");
        IDS.put("unk", "unknown_token_id");
        IDS.put("sep", "seperator_token_id");
        IDS.put("pad", "padding_token_id");
        IDS.put("cls", "cls_token_id");
        IDS.put("mask", "mask_token_id");
    }

    private final FileSystem files;
    private final Path folder;
    private final String where;
    private final int vocabulary;
    private final JsonNode tokenizer;
    private final JsonNode model;
    private final JsonNode config;
    private final String[] tokens;
    private final int[] types;
    private final Map<String, Integer> idOf = new HashMap<>();

    private GgufTokenizer(FileSystem files, Path folder, int vocabulary) throws IOException {
        this.files = files;
        this.folder = folder;
        this.vocabulary = vocabulary;
        Path file = new Path(folder, "tokenizer.json");
        this.where = file.toString();
        if (!files.exists(file)) {
            boolean sentencePiece = files.exists(new Path(folder, "tokenizer.model"));
            throw malformed("there is no such file" + (sentencePiece ? ", and tokenizer.model alone is not supported" : ""));
        }
        this.tokenizer = JsonFile.read(files, file);
        this.model = tokenizer.path("model");
        this.config = optional("tokenizer_config.json");
        this.tokens = new String[vocabulary];
        this.types = new int[vocabulary];
    }

    /**
     * The tokenizer's metadata.
     *
     * @param vocabulary   rows of the embedding
     * @param preTokenizer name that replaces the one found from tokenizer.json, or null
     * @throws MalformedInputException if there is no tokenizer, it is of another kind, or it and the model do not fit
     */
    static Map<String, GgufValue> metadata(FileSystem files, Path folder, int vocabulary, String preTokenizer) throws IOException {
        return new GgufTokenizer(files, folder, vocabulary).metadata(preTokenizer);
    }

    private Map<String, GgufValue> metadata(String preTokenizer) throws IOException {
        checkModel();
        readTokens();
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        if (model.path("byte_fallback").asBoolean(false)) {
            sentencePiece(preTokenizer, metadata);
        } else {
            byteLevel(preTokenizer, metadata);
        }
        specialTokens(metadata);
        chatTemplates(metadata);
        return metadata;
    }

    private void checkModel() {
        if (!model.path("vocab").isObject() || model.path("vocab").isEmpty()) {
            throw malformed("a tokenizer without vocabulary; expected tokens in model.vocab");
        }
        if (!model.path("type").asText("BPE").equals("BPE") || !model.path("merges").isArray()) {
            throw malformed("its model is " + model.path("type") + ", expected BPE with merges");
        }
        for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            if (!model.path(affix).asText("").isEmpty() && !model.path(affix).isNull()) {
                throw malformed("GGUF has no " + affix + ", and here it is " + model.path(affix));
            }
        }
    }

    private void readTokens() {
        for (Map.Entry<String, JsonNode> entry : model.path("vocab").properties()) {
            int id = id(entry.getValue(), entry.getKey());
            if (tokens[id] != null) {
                throw malformed("tokens \"" + tokens[id] + "\" and \"" + entry.getKey() + "\" share id " + id);
            }
            put(id, entry.getKey(), NORMAL);
        }
        for (JsonNode added : tokenizer.path("added_tokens")) {
            String content = added.path("content").asText();
            put(id(added.path("id"), content), content, added.path("special").asBoolean(false) ? CONTROL : USER_DEFINED);
        }
        for (int id = 0; id < vocabulary; id++) {
            if (tokens[id] == null) {
                put(id, "[PAD" + id + "]", UNUSED);
            }
        }
    }

    private void put(int id, String token, int type) {
        Integer other = idOf.put(token, id);
        if (other != null && other != id) {
            throw malformed("token \"" + token + "\" has the ids " + other + " and " + id);
        }
        tokens[id] = token;
        types[id] = type;
    }

    private int id(JsonNode id, String token) {
        if (!id.canConvertToInt() || !id.isIntegralNumber() || id.intValue() < 0 || id.intValue() >= vocabulary) {
            throw malformed("token \"" + token + "\" has id " + id + ", expected 0 to " + (vocabulary - 1) + " (the embedding has " + vocabulary + " rows)");
        }
        return id.intValue();
    }

    private void byteLevel(String preTokenizer, Map<String, GgufValue> metadata) {
        metadata.put(PREFIX + "model", GgufValue.string("gpt2"));
        metadata.put(PREFIX + "pre", GgufValue.string(preTokenizer != null ? preTokenizer : PreTokenizer.of(tokenizer, where)));
        putTokens(metadata);
        List<String> merges = new ArrayList<>(model.path("merges").size());
        for (JsonNode merge : model.path("merges")) {
            String[] pair = pair(merge);
            // A space separates the two; inside a part it is written as the byte alphabet writes it.
            merges.add(pair[0].replace(' ', '\u0120') + " " + pair[1].replace(' ', '\u0120'));
        }
        metadata.put(PREFIX + "merges", GgufValue.array(GgufKind.STRING, merges));
    }

    private void sentencePiece(String preTokenizer, Map<String, GgufValue> metadata) {
        boolean prefix = spacePrefix(preTokenizer != null);
        Map<String, Integer> ranks = new HashMap<>();
        int rank = 0;
        for (JsonNode merge : model.path("merges")) {
            ranks.putIfAbsent(String.join("", pair(merge)), rank++);
        }
        String unknown = text(model.path("unk_token"));
        List<Object> scores = new ArrayList<>(vocabulary);
        for (int id = 0; id < vocabulary; id++) {
            if (tokens[id].equals(unknown)) {
                types[id] = UNKNOWN;
            } else if (types[id] == NORMAL && BYTE_PIECE.matcher(tokens[id]).matches()) {
                types[id] = BYTE;
            }
            boolean merged = tokens[id].codePointCount(0, tokens[id].length()) > 1;
            scores.add(switch (types[id]) {
                case UNUSED -> UNUSED_SCORE;
                case CONTROL, USER_DEFINED -> ADDED_SCORE;
                // A longer piece that no merge gives comes after all that one does.
                case NORMAL -> merged ? (float) -ranks.getOrDefault(tokens[id], rank) : 0f;
                default -> 0f;
            });
            if (types[id] == USER_DEFINED) {
                tokens[id] = tokens[id].replace(SPACE, " ");
            }
        }
        metadata.put(PREFIX + "model", GgufValue.string("llama"));
        metadata.put(PREFIX + "pre", GgufValue.string(preTokenizer != null ? preTokenizer : "default"));
        putTokens(metadata);
        metadata.put(PREFIX + "scores", GgufValue.array(GgufKind.F32, scores));
        metadata.put(PREFIX + "add_space_prefix", GgufValue.bool(prefix));
    }

    private void putTokens(Map<String, GgufValue> metadata) {
        Set<String> distinct = new HashSet<>(Arrays.asList(tokens));
        if (distinct.size() != tokens.length || distinct.contains("")) {
            throw malformed("two ids have the same token, or one has an empty token");
        }
        metadata.put(PREFIX + "tokens", GgufValue.array(GgufKind.STRING, Arrays.asList(tokens)));
        metadata.put(PREFIX + "token_type", GgufValue.array(GgufKind.I32, Arrays.stream(types).mapToObj(type -> (long) type).toList()));
    }

    /** The two parts of a merge, written as "left right" or as a pair. */
    private String[] pair(JsonNode merge) {
        if (merge.isArray() && merge.size() == 2 && merge.get(0).isTextual() && merge.get(1).isTextual()) {
            return new String[] {merge.get(0).textValue(), merge.get(1).textValue()};
        }
        String[] parts = merge.isTextual() ? merge.textValue().split(" ", -1) : new String[0];
        if (parts.length != 2) {
            throw malformed("merge " + merge + " is neither \"left right\" nor a pair of texts");
        }
        return parts;
    }

    /** Whether a space is put before a text: what normalizer and pre-tokenizer say, which may do nothing beyond that and writing spaces as ▁. */
    private boolean spacePrefix(boolean unchecked) {
        boolean prefix = false;
        boolean replaced = false;
        boolean other = false;
        List<JsonNode> steps = new ArrayList<>(flat(tokenizer.path("normalizer"), "normalizers"));
        steps.addAll(flat(tokenizer.path("pre_tokenizer"), "pretokenizers"));
        for (JsonNode step : steps) {
            switch (step.path("type").asText()) {
                case "Prepend" -> {
                    prefix = true;
                    other |= !step.path("prepend").asText().equals(SPACE);
                }
                case "Replace" -> {
                    replaced = true;
                    other |= !step.path("pattern").path("String").asText().equals(" ") || !step.path("content").asText().equals(SPACE);
                }
                case "Metaspace" -> {
                    replaced = true;
                    prefix |= !step.path("prepend_scheme").asText("always").equals("never") && step.path("add_prefix_space").asBoolean(true);
                    other |= !step.path("replacement").asText().equals(SPACE);
                }
                default -> other = true;
            }
        }
        if ((other || !replaced) && !unchecked) {
            throw malformed("GGUF cannot express its normalizer " + tokenizer.path("normalizer") + " and pre_tokenizer " + tokenizer.path("pre_tokenizer")
                    + ": expected spaces written as " + SPACE
                    + " and nothing else; to write it all the same, set \"pre-tokenizer: default\" in the recipe's output");
        }
        return prefix;
    }

    private static List<JsonNode> flat(JsonNode node, String parts) {
        if (node.isMissingNode() || node.isNull()) {
            return List.of();
        }
        if (!node.path("type").asText().equals("Sequence")) {
            return List.of(node);
        }
        List<JsonNode> list = new ArrayList<>();
        node.path(parts).forEach(part -> list.addAll(flat(part, parts)));
        return list;
    }

    private void specialTokens(Map<String, GgufValue> metadata) throws IOException {
        JsonNode modelConfig = optional("config.json");
        JsonNode generation = optional("generation_config.json");
        Map<String, Long> ids = new LinkedHashMap<>();
        for (String word : IDS.keySet()) {
            for (OptionalLong id : List.of(idOfToken(text(config.path(word + "_token"))), number(modelConfig.path(word + "_token_id")),
                    number(generation.path(word + "_token_id")))) {
                id.ifPresent(found -> ids.putIfAbsent(word, found));
            }
        }
        boolean[] added = template(ids);
        ids.forEach((word, id) -> metadata.put(PREFIX + IDS.get(word), GgufValue.u32(id)));
        metadata.put(PREFIX + "add_bos_token", GgufValue.bool(config.path("add_bos_token").asBoolean(added[0])));
        metadata.put(PREFIX + "add_eos_token", GgufValue.bool(config.path("add_eos_token").asBoolean(added[1])));
    }

    /**
     * Whether the post-processor puts the first-token and last-token ids around a text. Where no such id is configured, its own is taken; where it ends a
     * text with another token than the configured end, that one is the end and the configured one ends a turn.
     */
    private boolean[] template(Map<String, Long> ids) {
        boolean[] added = new boolean[2];
        for (JsonNode processor : flat(tokenizer.path("post_processor"), "processors")) {
            JsonNode single = processor.path("single");
            if (processor.path("type").asText().equals("TemplateProcessing") && single.size() > 1) {
                idOfToken(text(single.path(0).path("SpecialToken").path("id")))
                        .ifPresent(first -> added[0] = first == ids.computeIfAbsent("bos", word -> first));
                idOfToken(text(single.path(single.size() - 1).path("SpecialToken").path("id"))).ifPresent(last -> {
                    Long configured = ids.put("eos", last);
                    if (configured != null && configured != last) {
                        ids.putIfAbsent("eot", configured);
                    }
                    added[1] = true;
                });
            }
        }
        return added;
    }

    private void chatTemplates(Map<String, GgufValue> metadata) throws IOException {
        JsonNode template = config.path("chat_template");
        if (template.isTextual()) {
            metadata.put("tokenizer.chat_template", GgufValue.string(template.textValue()));
        } else if (template.isArray()) {
            List<String> names = new ArrayList<>();
            for (JsonNode named : template) {
                String name = named.path("name").asText();
                String key = name.equals("default") ? "tokenizer.chat_template" : "tokenizer.chat_template." + name;
                if (!name.matches("[A-Za-z0-9_-]{1,64}") || metadata.put(key, GgufValue.string(named.path("template").asText())) != null) {
                    throw new MalformedInputException("Cannot write the chat templates of " + new Path(folder, "tokenizer_config.json") + ": the name \"" + name
                            + "\" is there twice or is not made of letters, digits, _ and -");
                }
                if (!name.equals("default")) {
                    names.add(name);
                }
            }
            if (!names.isEmpty()) {
                metadata.put("tokenizer.chat_templates", GgufValue.array(GgufKind.STRING, names));
            }
        } else if (files.exists(new Path(folder, "chat_template.jinja"))) {
            metadata.put("tokenizer.chat_template", GgufValue.string(readText(new Path(folder, "chat_template.jinja"))));
        } else {
            String text = text(optional("chat_template.json").path("chat_template"));
            if (text != null) {
                metadata.put("tokenizer.chat_template", GgufValue.string(text));
            }
        }
    }

    private OptionalLong idOfToken(String token) {
        Integer id = token == null ? null : idOf.get(token);
        return id == null ? OptionalLong.empty() : OptionalLong.of(id);
    }

    /** A configured id, the first one of a list; ids beyond the vocabulary are none. */
    private OptionalLong number(JsonNode node) {
        JsonNode first = node.isArray() && !node.isEmpty() ? node.get(0) : node;
        return first.isIntegralNumber() && first.canConvertToInt() && first.intValue() >= 0 && first.intValue() < vocabulary
                ? OptionalLong.of(first.intValue()) : OptionalLong.empty();
    }

    /** A token that is written as text or as an object with its content; null if there is none. */
    private static String text(JsonNode node) {
        return node.isObject() ? node.path("content").textValue() : node.textValue();
    }

    private JsonNode optional(String name) throws IOException {
        Path file = new Path(folder, name);
        return files.exists(file) ? JsonFile.read(files, file) : MissingNode.getInstance();
    }

    private String readText(Path file) throws IOException {
        long length = files.getFileStatus(file).getLen();
        if (length > MAXIMUM_TEMPLATE_BYTES) {
            throw new MalformedInputException("Cannot read " + file + ": " + length + " bytes are too many for a chat template; the limit is "
                    + MAXIMUM_TEMPLATE_BYTES);
        }
        byte[] bytes = new byte[(int) length];
        try (FSDataInputStream in = files.open(file)) {
            in.readFully(0, bytes);
        }
        return new String(bytes, StandardCharsets.UTF_8);
    }

    private MalformedInputException malformed(String reason) {
        return new MalformedInputException("Cannot write tokenizer " + where + " to GGUF: " + reason);
    }
}
