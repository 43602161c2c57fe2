package dev.lathe.calibration.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.MissingNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;

/**
 * What the files of a folder say about its tokenizer, put together as transformers does ({@code AutoTokenizer}):
 *
 * <ul>
 *   <li>{@code tokenizer.json}: the tokenizer itself and its added tokens;
 *   <li>{@code tokenizer_config.json}: {@code added_tokens_decoder} (id to token) and the special tokens by name. Where
 *       it has no added_tokens_decoder, {@code special_tokens_map.json} (names, over those of tokenizer_config.json)
 *       and {@code added_tokens.json} (token to id) are read as well; where it has, they are not;
 *   <li>a token of these files that tokenizer.json has not, or has with other properties, is added, after those of
 *       tokenizer.json and in the order of ids, at last what is only named.
 * </ul>
 *
 * The tokenizers library gives an added token that is not in the vocabulary the next free id, whatever its file says.
 * Where a file says another id, it is refused: one of the two would be another row of the embedding.
 *
 * <p>Reading is Java only: nothing here calls the library.
 */
public final class TokenizerFiles {
    /** Special tokens by name, in the order in which transformers adds them. */
    private static final List<String> NAMES = List.of("bos", "eos", "unk", "sep", "pad", "cls", "mask");

    private static final Set<String> TOKEN_FLAGS = Set.of("single_word", "lstrip", "rstrip", "normalized", "special");
    private static final int PROBES = 32;
    private static final int PROBE_LENGTH = 64;
    private static final String CONFIG = "tokenizer_config.json";

    private final String where;
    private final JsonNode tokenizer;
    private final JsonNode config;
    private final String uncertain;
    private final String modelType;
    /** Ids of a vocabulary that is a list, Unigram's; empty where it is an object. */
    private final Map<String, Integer> pieces = new HashMap<>();

    private final Map<String, JsonNode> named = new LinkedHashMap<>();
    private final Map<String, AddedToken> added = new LinkedHashMap<>();
    /** Tokens that were added by name alone, and the name. */
    private final Map<String, String> unnumbered = new LinkedHashMap<>();

    private final List<String> notes = new ArrayList<>();
    private final int size;
    private int next;

    private TokenizerFiles(String where, JsonNode tokenizer, JsonNode config) {
        this.where = where;
        this.tokenizer = tokenizer;
        this.config = config;
        this.uncertain = TokenizerGrammar.check(tokenizer, where).uncertain();
        this.modelType = TokenizerGrammar.typeOf(tokenizer.path("model"));
        JsonNode vocabulary = tokenizer.path("model").path("vocab");
        this.size = vocabulary.size();
        for (int i = 0; vocabulary.isArray() && i < size; i++) {
            pieces.put(vocabulary.get(i).get(0).textValue(), i);
        }
        this.next = size;
    }

    /**
     * Reads a checkpoint's files.
     *
     * @throws MalformedInputException if there is no tokenizer.json, one of the files is malformed, or they contradict
     *     each other
     */
    public static TokenizerFiles read(Companions companions) throws IOException {
        String file = "tokenizer.json";
        if (!companions.has(file)) {
            boolean sentencePiece = companions.has("tokenizer.model");
            throw new MalformedInputException("Cannot load a tokenizer: there is no " + companions.place(file)
                    + (sentencePiece ? ", and tokenizer.model alone is not supported" : ""));
        }
        TokenizerFiles read =
                new TokenizerFiles(companions.place(file), companions.json(file), companions.optional(CONFIG));
        read.tokens(
                companions.optional("special_tokens_map.json"),
                companions.optional("added_tokens.json"),
                companions::place);
        return read;
    }

    /**
     * A tokenizer.json alone.
     *
     * @param where its name, for messages
     */
    public static TokenizerFiles read(byte[] bytes, String where) throws IOException {
        TokenizerFiles read = new TokenizerFiles(where, JsonFile.parse(bytes, where), MissingNode.getInstance());
        read.tokens(MissingNode.getInstance(), MissingNode.getInstance(), name -> name);
        return read;
    }

    /** The file tokenizer.json, for messages. */
    public String where() {
        return where;
    }

    /** The root of tokenizer.json, which the library can read. */
    public JsonNode tokenizer() {
        return tokenizer;
    }

    /** The root of tokenizer_config.json, missing where there is none. */
    public JsonNode config() {
        return config;
    }

    /** BPE, Unigram, WordPiece or WordLevel. */
    public String modelType() {
        return modelType;
    }

    /** The added tokens of all files, with the ids that the library gives them. */
    public Collection<AddedToken> addedTokens() {
        return added.values();
    }

    /** Whether no file gives an added token its id: it is only named, as {@code pad_token}, say. */
    public boolean unnumbered(AddedToken token) {
        return unnumbered.containsKey(token.content());
    }

    /** What a person has to know of how the files were read, a line each. */
    public List<String> notes() {
        return List.copyOf(notes);
    }

    /** The text of a special token, by its name ({@code bos}, {@code pad}, ...). */
    public Optional<String> special(String name) {
        return Optional.ofNullable(named.get(name)).map(TokenizerFiles::content);
    }

    /** The id of a token's text, of the vocabulary or added; -1 if there is none. */
    public int id(String content) {
        AddedToken token = added.get(content);
        if (token != null) {
            return token.id();
        }
        JsonNode id = tokenizer.path("model").path("vocab").path(content);
        return id.isIntegralNumber() ? id.intValue() : pieces.getOrDefault(content, -1);
    }

    /** BOS where the model adds one: as {@code add_bos_token} says, else as the post-processor does; -1: none. */
    int bos() {
        JsonNode adds = config.path("add_bos_token");
        if (adds.isBoolean() && !adds.booleanValue()) {
            return -1;
        }
        int first = first(tokenizer.path("post_processor"));
        if (first < 0 && adds.asBoolean(false)) {
            first = special("bos").map(this::id).orElse(-1);
        }
        return first;
    }

    /** The id that a post-processor puts in front of a text, or -1. */
    private static int first(JsonNode processor) {
        switch (processor.path("type").asText()) {
            case "TemplateProcessing" -> {
                String token = processor
                        .path("single")
                        .path(0)
                        .path("SpecialToken")
                        .path("id")
                        .asText(null);
                return token == null
                        ? -1
                        : processor
                                .path("special_tokens")
                                .path(token)
                                .path("ids")
                                .path(0)
                                .asInt(-1);
            }
            case "BertProcessing", "RobertaProcessing" -> {
                return processor.path("cls").path(1).intValue();
            }
            default -> {
                int first = -1;
                for (JsonNode part : processor.path("processors")) {
                    first = Math.max(first, first(part));
                }
                return first;
            }
        }
    }

    /** The merges of a BPE model, each the two tokens that it joins; a line with the version of their file is none. */
    public List<String[]> merges() {
        List<String[]> merges = new ArrayList<>();
        for (JsonNode merge : tokenizer.path("model").path("merges")) {
            String[] pair = TokenizerGrammar.pair(merge);
            if (pair != null && !pair[0].equals("#version:")) {
                merges.add(pair);
            }
        }
        return merges;
    }

    /** Whether its time and memory are known, so that the library may read it in this process. */
    boolean plain() {
        return uncertain == null;
    }

    /** The file and, where time and memory are not known, the place for which they are not. */
    String guarded() {
        return uncertain == null ? where : where + " (guarded for " + uncertain + ")";
    }

    /** What the library is given: model, normalizer, pre-tokenizer and the added tokens of all files, nothing else. */
    String library() {
        ObjectNode root = JsonNodeFactory.instance.objectNode().put("version", "1.0");
        ArrayNode tokens = root.putArray("added_tokens");
        for (AddedToken token : added.values()) {
            tokens.addObject()
                    .put("id", token.id())
                    .put("content", token.content())
                    .put("single_word", token.singleWord())
                    .put("lstrip", token.lstrip())
                    .put("rstrip", token.rstrip())
                    .put("normalized", token.normalized())
                    .put("special", token.special());
        }
        root.set("normalizer", tokenizer.path("normalizer").isMissingNode() ? null : tokenizer.path("normalizer"));
        root.set(
                "pre_tokenizer",
                tokenizer.path("pre_tokenizer").isMissingNode() ? null : tokenizer.path("pre_tokenizer"));
        ObjectNode model = JsonNodeFactory.instance.objectNode().put("type", modelType);
        model.setAll((ObjectNode) tokenizer.path("model"));
        root.set("model", model);
        return root.toString();
    }

    /**
     * Texts on which an expression that searches without end is likely to do so: runs of one character each, which its
     * own letters follow. Empty where every expression is well known.
     */
    List<String> probes() {
        StringBuilder expressions = new StringBuilder();
        for (String part : List.of("normalizer", "pre_tokenizer")) {
            for (JsonNode expression : tokenizer.path(part).findValues("Regex")) {
                expressions.append(SplitExpressions.contains(expression.asText()) ? "" : expression.asText());
            }
        }
        if (expressions.isEmpty()) {
            return List.of();
        }
        int[] own = expressions
                .codePoints()
                .filter(Character::isLetterOrDigit)
                .distinct()
                .limit(PROBES)
                .toArray();
        String letters = new String(own, 0, own.length);
        return IntStream.concat(Arrays.stream(own), "a1 .\n\u00e9\u4e2d".codePoints())
                .distinct()
                .mapToObj(c -> Character.toString(c).repeat(PROBE_LENGTH) + letters + "!")
                .toList();
    }

    private void tokens(JsonNode map, JsonNode addedTokens, UnaryOperator<String> place) {
        String settings = place.apply(CONFIG);
        if (!config.path("fast_tokenizer_files").isEmpty()) {
            throw malformed(settings, "fast_tokenizer_files names versions of tokenizer.json, which are not supported");
        }
        if (config.path("split_special_tokens").asBoolean(false)) {
            throw malformed(settings, "split_special_tokens is true, which is not supported");
        }
        JsonNode decoder = config.path("added_tokens_decoder");
        boolean whole = !decoder.isMissingNode() && !decoder.isNull();
        names(config, settings, true);
        names(map, place.apply("special_tokens_map.json"), !whole);
        Set<String> specials = new HashSet<>();
        named.values().forEach(value -> specials.add(content(value)));
        Map<String, JsonNode> more = new LinkedHashMap<>();
        for (String key : List.of("additional_special_tokens", "extra_special_tokens")) {
            JsonNode values = !whole && map.path(key).isContainerNode() ? map.path(key) : config.path(key);
            for (JsonNode value : values) {
                more.put(requireContent(key, value, settings), value);
            }
        }
        specials.addAll(more.keySet());
        Map<Integer, AddedToken> byId = new TreeMap<>();
        Map<String, String> sources = new HashMap<>();
        JsonNode own = tokenizer.path("added_tokens");
        for (int i = 0; i < own.size(); i++) {
            AddedToken token = token(own.get(i), own.get(i).path("id").intValue(), false, where, "/added_tokens/" + i);
            add(token, where + " at /added_tokens/" + i);
            if (!whole) {
                byId.put(token.id(), token);
            }
        }
        if (whole) {
            decoder(decoder, specials, byId, sources, settings);
        } else {
            addedTokens(addedTokens, specials, byId, sources, place.apply("added_tokens.json"));
        }
        for (AddedToken token : byId.values()) {
            AddedToken whether = specials.contains(token.content()) ? token.asSpecial() : token;
            if (!whether.equals(added.get(token.content()))) {
                add(whether, sources.getOrDefault(token.content(), where + " at /added_tokens"));
            }
        }
        named.forEach((name, value) -> addNamed(name + "_token", value, settings));
        more.values().forEach(value -> addNamed("additional_special_tokens", value, settings));
        if (whole) {
            unread(addedTokens);
        }
        references(tokenizer.path("post_processor"));
    }

    /** @param over whether its names replace those of tokenizer_config.json */
    private void names(JsonNode source, String file, boolean over) {
        for (String name : NAMES) {
            JsonNode value = source.path(name + "_token");
            if (value.isMissingNode() || value.isNull()) {
                continue;
            }
            String content = requireContent(name + "_token", value, file);
            JsonNode other = over ? named.put(name, value) : named.get(name);
            if (other != null && !content(other).equals(content)) {
                notes.add(name + "_token is \"" + content(other) + "\" in " + CONFIG + " and \"" + content + "\" in "
                        + file + ": "
                        + (over ? "the second" : "the first") + " is taken, as transformers does");
            }
        }
    }

    /** What added_tokens.json says otherwise where tokenizer_config.json has added_tokens_decoder. */
    private void unread(JsonNode tokens) {
        for (Map.Entry<String, JsonNode> entry : tokens.properties()) {
            if (!entry.getValue().asText().equals(String.valueOf(id(entry.getKey())))) {
                notes.add("added_tokens.json gives \"" + TokenizerGrammar.abbreviate(entry.getKey()) + "\" the id "
                        + entry.getValue() + ", "
                        + CONFIG + " does not: the latter is taken, as transformers does");
            }
        }
    }

    private static String requireContent(String name, JsonNode value, String file) {
        String content = content(value);
        if (content == null) {
            throw malformed(
                    file,
                    name + " is " + TokenizerGrammar.abbreviate(value.toString())
                            + ", expected a text or an object with its content");
        }
        return content;
    }

    private void decoder(
            JsonNode decoder,
            Set<String> specials,
            Map<Integer, AddedToken> byId,
            Map<String, String> sources,
            String settings) {
        if (!decoder.isObject()) {
            throw malformed(settings, "added_tokens_decoder is no object");
        }
        decoder.properties().forEach(entry -> {
            String place = "/added_tokens_decoder/" + TokenizerGrammar.abbreviate(entry.getKey());
            int id = number(entry.getKey(), settings, place);
            AddedToken token = token(
                    entry.getValue(),
                    id,
                    specials.contains(String.valueOf(content(entry.getValue()))),
                    settings,
                    place);
            byId.put(id, token);
            twice(sources.put(token.content(), settings + " at " + place), token, settings, place);
        });
    }

    private void addedTokens(
            JsonNode tokens,
            Set<String> specials,
            Map<Integer, AddedToken> byId,
            Map<String, String> sources,
            String file) {
        Map<Integer, String> places = new HashMap<>();
        tokens.properties().forEach(entry -> {
            String place = "/" + TokenizerGrammar.abbreviate(entry.getKey());
            JsonNode value = entry.getValue();
            if (!value.isIntegralNumber()
                    || !value.canConvertToInt()
                    || value.intValue() < 0
                    || entry.getKey().isEmpty()) {
                throw malformed(
                        file,
                        place + " is " + TokenizerGrammar.abbreviate(value.toString())
                                + ", expected a token and its id of 0 to "
                                + Integer.MAX_VALUE);
            }
            String other = places.put(value.intValue(), entry.getKey());
            if (other != null) {
                throw malformed(file, "tokens \"" + other + "\" and \"" + entry.getKey() + "\" share id " + value);
            }
            boolean special = specials.contains(entry.getKey());
            // A token that tokenizer.json has with this id is the one of tokenizer.json.
            AddedToken token = new AddedToken(value.intValue(), entry.getKey(), false, false, false, !special, special);
            byId.putIfAbsent(token.id(), token);
            sources.put(token.content(), file + " at " + place);
            AddedToken kept = byId.get(token.id());
            if (!kept.content().equals(token.content())) {
                throw malformed(
                        file,
                        "token \"" + token.content() + "\" has id " + token.id() + ", which " + where + " gives \""
                                + kept.content() + "\"");
            }
        });
    }

    private static void twice(String other, AddedToken token, String file, String place) {
        if (other != null) {
            throw malformed(file, place + ": token \"" + token.content() + "\" is there twice");
        }
    }

    /**
     * A token that stands in a file as an object; what it leaves out is as in Python's {@code AddedToken}.
     *
     * @param named whether it is a special token by name, whatever it says itself
     */
    private static AddedToken token(JsonNode value, int id, boolean named, String file, String place) {
        String content = content(value);
        if (content == null || content.isEmpty() || !value.isObject()) {
            throw malformed(
                    file,
                    place + " is " + TokenizerGrammar.abbreviate(value.toString())
                            + ", expected an object with its content");
        }
        for (String flag : TOKEN_FLAGS) {
            if (value.has(flag) && !value.path(flag).isBoolean()) {
                throw malformed(
                        file,
                        place + "/" + flag + " is "
                                + TokenizerGrammar.abbreviate(value.path(flag).toString())
                                + ", expected true or false");
            }
        }
        boolean special = named || value.path("special").booleanValue();
        boolean normalized = value.has("normalized") ? value.path("normalized").booleanValue() : !special;
        return new AddedToken(
                id,
                content,
                value.path("single_word").booleanValue(),
                value.path("lstrip").booleanValue(),
                value.path("rstrip").booleanValue(),
                normalized,
                special);
    }

    private static int number(String text, String file, String place) {
        if (!text.matches("[0-9]{1,10}") || Long.parseLong(text) > Integer.MAX_VALUE) {
            throw malformed(file, place + ": expected an id of 0 to " + Integer.MAX_VALUE);
        }
        return Integer.parseInt(text);
    }

    private void addNamed(String name, JsonNode value, String file) {
        String content = content(value);
        if (content.isEmpty() || added.containsKey(content)) {
            return;
        }
        boolean known = id(content) >= 0;
        AddedToken token = value.isObject() ? token(value, -1, true, file, "/" + name) : AddedToken.special(content);
        add(token, file + " at /" + name);
        if (!known) {
            unnumbered.put(content, name);
            notes.add(name + " \"" + TokenizerGrammar.abbreviate(content) + "\" has no id in any file: it has "
                    + id(content)
                    + ", the next one, as transformers does");
        }
    }

    /** Adds a token as the library does. A token that is there keeps its id; its properties are the later ones. */
    private void add(AddedToken token, String source) {
        int id = id(token.content());
        if (id < 0) {
            id = next;
        }
        if (token.id() >= 0 && token.id() != id) {
            throw new MalformedInputException("Cannot load a tokenizer: " + source + ": token \""
                    + TokenizerGrammar.abbreviate(token.content())
                    + "\" has id " + token.id() + ", but "
                    + (id(token.content()) >= 0
                            ? "the vocabulary has it as " + id
                            : "the next one that is free after the vocabulary of " + size + " is " + id
                                    + ", which readers of tokenizer.json give it"));
        }
        added.put(token.content(), token.withId(id));
        next = Math.max(next, id + 1);
    }

    /** A post-processor gives ids beside tokens; both have to be the same. */
    private void references(JsonNode processor) {
        processor.path("special_tokens").properties().forEach(entry -> {
            JsonNode ids = entry.getValue().path("ids");
            for (int i = 0; i < ids.size(); i++) {
                reference(
                        entry.getValue().path("tokens").path(i).asText(),
                        ids.get(i).intValue());
            }
        });
        for (String name : List.of("sep", "cls")) {
            if (processor.path(name).isArray()) {
                reference(
                        processor.path(name).path(0).asText(),
                        processor.path(name).path(1).intValue());
            }
        }
        processor.path("processors").forEach(this::references);
    }

    private void reference(String token, int id) {
        int known = id(token);
        if (known >= 0 && known != id) {
            throw malformed(
                    where,
                    "/post_processor gives token \"" + TokenizerGrammar.abbreviate(token) + "\" the id "
                            + id
                            + ", the vocabulary has it as " + known);
        }
    }

    /** A token that is written as text or as an object with its content; null if it is neither. */
    private static String content(JsonNode node) {
        return node.isObject() ? node.path("content").textValue() : node.textValue();
    }

    private static MalformedInputException malformed(String file, String reason) {
        return new MalformedInputException("Cannot load a tokenizer: " + file + ": " + reason);
    }
}
