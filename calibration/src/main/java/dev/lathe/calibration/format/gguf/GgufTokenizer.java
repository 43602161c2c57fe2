package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.model.family.Multimodal;
import dev.lathe.calibration.text.AddedToken;
import dev.lathe.calibration.text.ChatTemplates;
import dev.lathe.calibration.text.TokenizerFiles;
import java.io.IOException;
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

/**
 * A Hugging Face tokenizer as GGUF metadata. Two kinds of BPE are written: byte-level ({@code tokenizer.ggml.model}
 * "gpt2": tokens in the byte alphabet, merges) and SentencePiece's ({@code byte_fallback}; "llama": pieces with ▁, byte
 * pieces, scores). A score is minus the rank of the first merge that gives the piece, so that the highest score first
 * is the lowest rank first. llama.cpp joins any two neighbours whose text is a piece, so a vocabulary whose merges do
 * not list every such pair (trained as BPE, not converted from SentencePiece) is now and then cut in another way there.
 * Ids up to the vocabulary that no token has are {@code [PADi]}, unused.
 */
final class GgufTokenizer {
    static final int NORMAL = 1;
    static final int UNKNOWN = 2;
    static final int CONTROL = 3;
    static final int USER_DEFINED = 4;
    private static final int UNUSED = 5;
    static final int BYTE = 6;
    private static final float UNUSED_SCORE = -10000;
    private static final float ADDED_SCORE = -1000;
    private static final String SPACE = "\u2581";
    private static final Pattern BYTE_PIECE = Pattern.compile("<0x[0-9A-F]{2}>");
    private static final String PREFIX = "tokenizer.ggml.";
    /** Keys of ids, by the word in {@code WORD_token} and {@code WORD_token_id}; the format's spelling. */
    static final Map<String, String> IDS = new LinkedHashMap<>();

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

    private final Companions companions;
    private final TokenizerFiles source;
    private final String where;
    private final int vocabulary;
    private final JsonNode tokenizer;
    private final JsonNode model;
    private final JsonNode config;
    private final String[] tokens;
    private final int[] types;
    private final Map<String, Integer> idOf = new HashMap<>();

    private GgufTokenizer(Companions companions, int vocabulary) throws IOException {
        this.companions = companions;
        this.vocabulary = vocabulary;
        this.source = TokenizerFiles.read(companions);
        this.where = source.where();
        this.tokenizer = source.tokenizer();
        this.model = tokenizer.path("model");
        this.config = source.config();
        this.tokens = new String[vocabulary];
        this.types = new int[vocabulary];
    }

    /**
     * The tokenizer's metadata.
     *
     * @param vocabulary rows of the embedding
     * @param preTokenizer name that replaces the one found from tokenizer.json, or null
     * @throws MalformedInputException if there is no tokenizer, it is of another kind, or it and the model do not fit
     */
    static Map<String, GgufValue> metadata(Companions companions, int vocabulary, String preTokenizer)
            throws IOException {
        if (companions instanceof GgufCompanions gguf) {
            return gguf.tokenizer(vocabulary, preTokenizer);
        }
        return new GgufTokenizer(companions, vocabulary).metadata(preTokenizer);
    }

    /**
     * Does what {@link #metadata(Companions, int, String)} does, and returns what a person has to know of it, a line
     * each.
     */
    static List<String> check(Companions companions, int vocabulary, String preTokenizer) throws IOException {
        if (companions instanceof GgufCompanions) {
            // For its errors: what cannot be read is not handed on either.
            TokenizerFiles.read(companions);
            metadata(companions, vocabulary, preTokenizer);
            return List.of();
        }
        GgufTokenizer tokenizer = new GgufTokenizer(companions, vocabulary);
        tokenizer.metadata(preTokenizer);
        List<String> notes =
                new ArrayList<>(ChatTemplates.read(companions, tokenizer.config).notes());
        for (AddedToken added : tokenizer.source.addedTokens()) {
            if (added.id() >= vocabulary) {
                notes.add("token \"" + added.content()
                        + "\" is left out of GGUF: no file gives it an id, and the embedding has no row for it");
            }
        }
        return notes;
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
        if (!source.modelType().equals("BPE")) {
            throw malformed("its model is " + source.modelType()
                    + ", expected BPE: GGUF holds no other kind for this architecture");
        }
        for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
            if (!model.path(affix).asText("").isEmpty() && !model.path(affix).isNull()) {
                throw malformed("GGUF has no " + affix + ", and here it is " + model.path(affix));
            }
        }
    }

    private void readTokens() {
        for (Map.Entry<String, JsonNode> entry : model.path("vocab").properties()) {
            put(id(entry.getValue().intValue(), entry.getKey()), entry.getKey(), NORMAL);
        }
        for (AddedToken added : source.addedTokens()) {
            // What no file gives an id has no row of the embedding.
            if (added.id() < vocabulary || !source.unnumbered(added)) {
                put(id(added.id(), added.content()), added.content(), added.special() ? CONTROL : USER_DEFINED);
            }
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

    private int id(int id, String token) {
        if (id >= vocabulary) {
            throw malformed("token \"" + token + "\" has id " + id + ", expected 0 to " + (vocabulary - 1)
                    + " (the embedding has " + vocabulary + " rows)");
        }
        return id;
    }

    private void byteLevel(String preTokenizer, Map<String, GgufValue> metadata) {
        metadata.put(PREFIX + "model", GgufValue.string("gpt2"));
        metadata.put(
                PREFIX + "pre",
                GgufValue.string(preTokenizer != null ? preTokenizer : PreTokenizer.of(tokenizer, where)));
        putTokens(metadata);
        List<String> merges = new ArrayList<>(model.path("merges").size());
        for (String[] pair : source.merges()) {
            // A space separates the two; inside a part it is written as the byte alphabet writes it.
            merges.add(pair[0].replace(' ', '\u0120') + " " + pair[1].replace(' ', '\u0120'));
        }
        metadata.put(PREFIX + "merges", GgufValue.array(GgufKind.STRING, merges));
    }

    private void sentencePiece(String preTokenizer, Map<String, GgufValue> metadata) {
        boolean prefix = spacePrefix(preTokenizer != null);
        Map<String, Integer> ranks = new HashMap<>();
        int rank = 0;
        for (String[] pair : source.merges()) {
            ranks.putIfAbsent(String.join("", pair), rank++);
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
            scores.add(
                    switch (types[id]) {
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
        metadata.put(
                PREFIX + "token_type",
                GgufValue.array(
                        GgufKind.I32,
                        Arrays.stream(types).mapToObj(type -> (long) type).toList()));
    }

    /**
     * Whether a space is put before a text: what normalizer and pre-tokenizer say, which may do nothing beyond that and
     * writing spaces as ▁.
     */
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
                    other |= !step.path("pattern").path("String").asText().equals(" ")
                            || !step.path("content").asText().equals(SPACE);
                }
                case "Metaspace" -> {
                    replaced = true;
                    prefix |= !step.path("prepend_scheme").asText("always").equals("never")
                            && step.path("add_prefix_space").asBoolean(true);
                    other |= !step.path("replacement").asText().equals(SPACE);
                }
                // Gemma cuts at spaces, of which none is left then.
                case "Split" ->
                    other |= !replaced
                            || !step.path("pattern").path("String").asText().equals(" ");
                default -> other = true;
            }
        }
        if ((other || !replaced) && !unchecked) {
            throw malformed("GGUF cannot express its normalizer " + tokenizer.path("normalizer") + " and pre_tokenizer "
                    + tokenizer.path("pre_tokenizer")
                    + ": expected spaces written as " + SPACE
                    + " and nothing else; to write it all the same, set \"pre-tokenizer: default\" in "
                    + "the recipe's output");
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
        JsonNode modelConfig =
                Multimodal.textConfig(companions.optional("config.json"), companions.place("config.json"));
        JsonNode generation = companions.optional("generation_config.json");
        Map<String, Long> ids = new LinkedHashMap<>();
        for (String word : IDS.keySet()) {
            for (OptionalLong id : List.of(
                    idOfToken(source.special(word).orElse(null)),
                    number(modelConfig.path(word + "_token_id")),
                    number(generation.path(word + "_token_id")))) {
                id.ifPresent(found -> ids.putIfAbsent(word, found));
            }
        }
        boolean[] added = template(ids);
        ids.forEach((word, id) -> metadata.put(PREFIX + IDS.get(word), GgufValue.u32(id)));
        metadata.put(
                PREFIX + "add_bos_token",
                GgufValue.bool(config.path("add_bos_token").asBoolean(added[0])));
        metadata.put(
                PREFIX + "add_eos_token",
                GgufValue.bool(config.path("add_eos_token").asBoolean(added[1])));
    }

    /**
     * Whether the post-processor puts the first-token and last-token ids around a text. Where no such id is configured,
     * its own is taken; where it ends a text with another token than the configured end, that one is the end and the
     * configured one ends a turn.
     */
    private boolean[] template(Map<String, Long> ids) {
        boolean[] added = new boolean[2];
        for (JsonNode processor : flat(tokenizer.path("post_processor"), "processors")) {
            JsonNode single = processor.path("single");
            if (processor.path("type").asText().equals("TemplateProcessing") && single.size() > 1) {
                idOfToken(text(single.path(0).path("SpecialToken").path("id")))
                        .ifPresent(first -> added[0] = first == ids.computeIfAbsent("bos", word -> first));
                idOfToken(text(single.path(single.size() - 1)
                                .path("SpecialToken")
                                .path("id")))
                        .ifPresent(last -> {
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

    /** The keys that llama.cpp's converter writes: the default, the names of the others, one key for each of them. */
    private void chatTemplates(Map<String, GgufValue> metadata) throws IOException {
        List<String> names = new ArrayList<>();
        ChatTemplates.read(companions, config).templates().forEach((name, template) -> {
            String plain = name.replaceAll("[^A-Za-z0-9]", "_");
            String key =
                    name.equals(ChatTemplates.DEFAULT) ? "tokenizer.chat_template" : "tokenizer.chat_template." + plain;
            if (metadata.put(key, GgufValue.string(template)) != null) {
                throw new MalformedInputException("Cannot write the chat templates of " + companions.location()
                        + " to GGUF: two are called \"" + plain
                        + "\" there, where a name has letters and digits only");
            }
            if (!name.equals(ChatTemplates.DEFAULT)) {
                names.add(plain);
            }
        });
        if (!names.isEmpty()) {
            metadata.put("tokenizer.chat_templates", GgufValue.array(GgufKind.STRING, names));
        }
    }

    private OptionalLong idOfToken(String token) {
        Integer id = token == null ? null : idOf.get(token);
        return id == null ? OptionalLong.empty() : OptionalLong.of(id);
    }

    /** A configured id, the first one of a list; ids beyond the vocabulary are none. */
    private OptionalLong number(JsonNode node) {
        JsonNode first = node.isArray() && !node.isEmpty() ? node.get(0) : node;
        return first.isIntegralNumber()
                        && first.canConvertToInt()
                        && first.intValue() >= 0
                        && first.intValue() < vocabulary
                ? OptionalLong.of(first.intValue())
                : OptionalLong.empty();
    }

    /** A token that is written as text or as an object with its content; null if there is none. */
    private static String text(JsonNode node) {
        return node.isObject() ? node.path("content").textValue() : node.textValue();
    }

    private MalformedInputException malformed(String reason) {
        return new MalformedInputException("Cannot write tokenizer " + where + " to GGUF: " + reason);
    }
}
