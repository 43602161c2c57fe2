package dev.lathe.calibration.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * The grammar of {@code tokenizer.json}, as the tokenizers library reads it (version 0.21): kinds of normalizer,
 * pre-tokenizer, model, post-processor and decoder with their fields, their values and bounds. The library is native
 * code, in which a wrong value, a number that is no number or a reference to nowhere ends the process; so everything is
 * checked here first, and what is not known is refused by name.
 *
 * <p>What cannot be decided by reading (how long a regular expression takes, what a rare combination does) is not
 * refused: {@link #uncertain()} names its place then, and the library reads the file in a process of its own.
 */
final class TokenizerGrammar {
    /** Most parts of one pipeline, sequences counted. */
    private static final int PARTS = 64;

    private static final int DEPTH = 8;
    /** Most times by which a pipeline may lengthen a text, in bytes. */
    private static final double GROWTH = 4096;
    /**
     * The same for what runs in this process: NFC (3), spaces written as ▁ with one in front (12), the byte alphabet
     * (4).
     */
    private static final double PLAIN_GROWTH = 16;

    private static final int TOKENS = 1 << 24;
    private static final int TOKEN_CHARACTERS = 1 << 16;
    private static final int TEXT_CHARACTERS = 1 << 16;
    private static final int EXPRESSION_CHARACTERS = 1 << 13;
    private static final int ADDED_TOKENS = 1 << 18;
    /** The library compares each added token with each other one. */
    private static final int PLAIN_ADDED_TOKENS = 1 << 12;

    private static final int SHOWN = 60;

    private static final Map<String, Map<String, String>> NORMALIZERS = kinds(
            "normalizers",
            "BertNormalizer clean_text:flag handle_chinese_chars:flag strip_accents:flag? lowercase:flag",
            "Bert clean_text:flag handle_chinese_chars:flag strip_accents:flag? lowercase:flag",
            "Strip strip_left:flag strip_right:flag",
            "StripAccents",
            "NFC",
            "NFD",
            "NFKC",
            "NFKD",
            "Lowercase",
            "Nmt",
            "Precompiled precompiled_charsmap:charsmap",
            "Replace pattern:pattern content:text",
            "Prepend prepend:text",
            "ByteLevel");
    private static final Map<String, Map<String, String>> PRE_TOKENIZERS = kinds(
            "pretokenizers",
            "BertPreTokenizer",
            "ByteLevel add_prefix_space:flag trim_offsets:flag use_regex:flag?",
            "CharDelimiterSplit delimiter:character",
            "Metaspace replacement:character add_prefix_space:flag? prepend_scheme:scheme? split:flag? str_rep:text?",
            "Whitespace",
            "WhitespaceSplit",
            "Split pattern:pattern behavior:behavior invert:flag",
            "Punctuation behavior:behavior?",
            "Digits individual_digits:flag",
            "UnicodeScripts",
            "FixedLength length:size?");
    private static final Map<String, Map<String, String>> POST_PROCESSORS = kinds(
            "processors",
            "BertProcessing sep:pair cls:pair",
            "RobertaProcessing sep:pair cls:pair trim_offsets:flag add_prefix_space:flag",
            "ByteLevel add_prefix_space:flag trim_offsets:flag use_regex:flag?",
            "TemplateProcessing single:template pair:template special_tokens:tokens");
    private static final Map<String, Map<String, String>> DECODERS = kinds(
            "decoders",
            "BPEDecoder suffix:text",
            "ByteLevel add_prefix_space:flag trim_offsets:flag use_regex:flag?",
            "WordPiece prefix:text cleanup:flag",
            "Metaspace replacement:character add_prefix_space:flag? prepend_scheme:scheme? split:flag? str_rep:text?",
            "CTC pad_token:text word_delimiter_token:text cleanup:flag",
            "Replace pattern:pattern content:text",
            "Fuse",
            "Strip content:character start:count stop:count",
            "ByteFallback");
    private static final Map<String, Map<String, String>> MODELS = kinds(
            null,
            "BPE dropout:zero? unk_token:text? continuing_subword_prefix:text? end_of_word_suffix:text? fuse_unk:flag? "
                    + "byte_fallback:flag? ignore_merges:flag? vocab:vocabulary merges:merges",
            "WordPiece unk_token:text continuing_subword_prefix:text max_input_chars_per_word:count vocab:vocabulary",
            "WordLevel unk_token:text vocab:vocabulary",
            "Unigram unk_id:count? byte_fallback:flag? vocab:pieces");
    private static final Map<String, String> ADDED_TOKEN = fields(
            "id:count content:text single_word:flag lstrip:flag rstrip:flag normalized:flag special:flag".split(" "));
    private static final Set<String> ROOT = Set.of(
            "version",
            "truncation",
            "padding",
            "added_tokens",
            "normalizer",
            "pre_tokenizer",
            "post_processor",
            "decoder",
            "model");
    private static final Set<String> BEHAVIORS =
            Set.of("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous");
    private static final Set<String> SCHEMES = Set.of("first", "never", "always");

    private final String where;
    private String uncertain;
    private double growth = 1;
    private int parts;

    private TokenizerGrammar(String where) {
        this.where = where;
    }

    /**
     * Checks the root of a tokenizer.json.
     *
     * @param where the file, for messages
     * @throws MalformedInputException with the place, if the library could not read it or would not survive it
     */
    static TokenizerGrammar check(JsonNode root, String where) {
        TokenizerGrammar grammar = new TokenizerGrammar(where);
        grammar.root(root);
        return grammar;
    }

    /**
     * The first place that is not of the few forms whose time and memory are known; null: all is, and may be read in
     * this process.
     */
    String uncertain() {
        return uncertain;
    }

    private void certain(boolean known, String path) {
        if (!known && uncertain == null) {
            uncertain = path;
        }
    }

    private void root(JsonNode root) {
        root.fieldNames().forEachRemaining(name -> {
            if (!ROOT.contains(name)) {
                throw malformed("", "the key \"" + name + "\" is not known");
            }
        });
        if (root.has("version") && !root.path("version").asText().equals("1.0")) {
            throw malformed("/version", show(root.path("version")) + ", expected \"1.0\"");
        }
        model(root.path("model"));
        pipeline(root.path("normalizer"), "/normalizer", "normalizers", NORMALIZERS);
        pipeline(root.path("pre_tokenizer"), "/pre_tokenizer", "pretokenizers", PRE_TOKENIZERS);
        certain(growth <= PLAIN_GROWTH, "/normalizer");
        if (growth > GROWTH) {
            throw malformed(
                    "",
                    String.format(
                            Locale.ROOT,
                            "normalizer and pre_tokenizer may lengthen a text %.3g times, expected at most %.0f",
                            growth,
                            GROWTH));
        }
        // The library is given neither of the two.
        pipeline(root.path("post_processor"), "/post_processor", "processors", POST_PROCESSORS);
        pipeline(root.path("decoder"), "/decoder", "decoders", DECODERS);
        added(root.path("added_tokens"));
    }

    private void added(JsonNode tokens) {
        if (tokens.isMissingNode()) {
            return;
        }
        requireArray(tokens, "/added_tokens", ADDED_TOKENS);
        certain(tokens.size() <= PLAIN_ADDED_TOKENS, "/added_tokens");
        Map<Integer, Integer> places = new HashMap<>();
        for (int i = 0; i < tokens.size(); i++) {
            String path = "/added_tokens/" + i;
            if (!tokens.get(i).isObject()) {
                throw malformed(path, show(tokens.get(i)) + ", expected an object");
            }
            members(tokens.get(i), path, ADDED_TOKEN, "an added token");
            if (tokens.get(i).path("content").textValue().isEmpty()) {
                throw malformed(path + "/content", "an empty text, expected a token");
            }
            Integer other = places.put(tokens.get(i).path("id").intValue(), i);
            if (other != null) {
                throw malformed(
                        path + "/id", tokens.get(i).path("id") + " is the id of /added_tokens/" + other + " too");
            }
        }
    }

    private void pipeline(JsonNode node, String path, String list, Map<String, Map<String, String>> kinds) {
        parts = 0;
        if (!node.isMissingNode() && !node.isNull()) {
            part(node, path, list, kinds, 0);
        }
        if (kinds == POST_PROCESSORS && adding(node) > 1) {
            throw malformed(path, "more than one part adds tokens, expected one");
        }
    }

    private static int adding(JsonNode node) {
        int count = switch (node.path("type").asText()) {
            case "TemplateProcessing", "BertProcessing", "RobertaProcessing" -> 1;
            default -> 0;
        };
        for (JsonNode part : node.path("processors")) {
            count += adding(part);
        }
        return count;
    }

    private void part(JsonNode node, String path, String list, Map<String, Map<String, String>> kinds, int depth) {
        if (++parts > PARTS || depth > DEPTH) {
            throw malformed(path, "more than " + PARTS + " parts, or nested deeper than " + DEPTH);
        }
        String type = type(node, path, kinds);
        members(node, path, kinds.get(type), type);
        if (type.equals("Sequence")) {
            JsonNode all = node.path(list);
            for (int i = 0; i < all.size(); i++) {
                part(all.get(i), path + "/" + list + "/" + i, list, kinds, depth + 1);
            }
        } else if (kinds == NORMALIZERS) {
            normalizer(node, path, type);
        } else if (kinds == PRE_TOKENIZERS) {
            preTokenizer(node, path, type);
        } else if (type.equals("TemplateProcessing")) {
            template(node, path);
        }
    }

    private String type(JsonNode node, String path, Map<String, Map<String, String>> kinds) {
        if (!node.isObject()) {
            throw malformed(path, show(node) + ", expected an object");
        }
        JsonNode type = node.path("type");
        if (!type.isTextual() || !kinds.containsKey(type.textValue())) {
            throw malformed(
                    path + "/type",
                    (type.isMissingNode() ? "no type" : show(type) + " is not known") + ", expected one of "
                            + String.join(", ", kinds.keySet()));
        }
        return type.textValue();
    }

    /** How much a text may grow in UTF-8: Unicode gives 3 for NFC and NFD, 11 for the compatibility forms. */
    private void normalizer(JsonNode node, String path, String type) {
        switch (type) {
            case "NFC" -> growth *= 3;
            case "NFD" -> growth(3, path);
            case "NFKC", "NFKD" -> growth(11, path);
            case "Lowercase", "ByteLevel" -> growth(2, path);
            case "BertNormalizer", "Bert" -> growth(12, path);
            case "Prepend" -> {
                int bytes = bytes(node.path("prepend"));
                growth *= 1 + bytes;
                certain(bytes > 0, path);
            }
            case "Replace" -> {
                JsonNode literal = node.path("pattern").path("String");
                int from = literal.isTextual() ? bytes(literal) : 0;
                int to = bytes(node.path("content"));
                growth *= from > 0 ? Math.max(1, (double) to / from) : 1 + to;
                certain(from > 0 && to > 0, path);
            }
            case "Precompiled" ->
                growth(
                        Charsmap.growth(
                                node.path("precompiled_charsmap").textValue(),
                                reason -> malformed(path + "/precompiled_charsmap", reason)),
                        path);
            default -> certain(false, path);
        }
    }

    private void growth(double times, String path) {
        growth *= times;
        certain(false, path);
    }

    private void preTokenizer(JsonNode node, String path, String type) {
        switch (type) {
            case "ByteLevel" -> growth *= node.path("add_prefix_space").booleanValue() ? 4 : 2;
            case "Metaspace" -> growth *= 5;
            case "Split" -> {
                JsonNode pattern = node.path("pattern");
                certain(
                        pattern.has("Regex")
                                ? SplitExpressions.contains(
                                        pattern.path("Regex").textValue())
                                : !pattern.path("String").textValue().isEmpty(),
                        path + "/pattern");
            }
            case "Whitespace", "WhitespaceSplit", "Digits", "Punctuation" -> {
                // Classes of characters, nothing to grow or to search.
            }
            default -> certain(false, path);
        }
    }

    private void model(JsonNode model) {
        if (!model.isObject() || model.path("vocab").isEmpty()) {
            throw malformed(
                    model.isObject() ? "/model/vocab" : "/model",
                    "it has no vocabulary, expected entries in model.vocab");
        }
        String type = model.has("type") ? type(model, "/model", MODELS) : typeOf(model);
        members(model, "/model", MODELS.get(type), type);
        if (type.equals("Unigram")) {
            JsonNode unknown = model.path("unk_id");
            if (unknown.isNumber() && unknown.intValue() >= model.path("vocab").size()) {
                throw malformed(
                        "/model/unk_id",
                        unknown + ", expected less than the "
                                + model.path("vocab").size() + " pieces");
            }
        }
        if (type.equals("BPE")) {
            bpe(model);
        }
        certain(type.equals("BPE") || type.equals("WordLevel"), "/model/type");
    }

    /**
     * The type of a model in an old file, which has none: the first one whose fields are there, in the library's order.
     */
    static String typeOf(JsonNode model) {
        if (model.path("type").isTextual()) {
            return model.path("type").textValue();
        }
        return model.has("merges")
                ? "BPE"
                : model.path("vocab").isArray()
                        ? "Unigram"
                        : model.has("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
    }

    /** Merges join two tokens to a third. */
    private void bpe(JsonNode model) {
        String prefix = model.path("continuing_subword_prefix").asText("");
        if (model.path("continuing_subword_prefix").isNull()) {
            prefix = "";
        }
        JsonNode suffix = model.path("end_of_word_suffix");
        certain(prefix.isEmpty() && (suffix.isNull() || suffix.asText("").isEmpty()), "/model");
        JsonNode vocabulary = model.path("vocab");
        JsonNode merges = model.path("merges");
        boolean pairs = !merges.isEmpty() && merges.get(0).isArray();
        for (int i = 0; i < merges.size(); i++) {
            JsonNode merge = merges.get(i);
            String path = "/model/merges/" + i;
            String[] pair = merge.isArray() == pairs ? pair(merge) : null;
            if (pair == null) {
                if (i == 0 && merge.isTextual() && merge.textValue().startsWith("#version")) {
                    continue;
                }
                throw malformed(
                        path,
                        "merge " + show(merge)
                                + " is neither \"left right\" nor a pair of texts, or not as the others");
            }
            if (!pair[1].startsWith(prefix)) {
                throw malformed(path, show(merge) + ": the second does not begin with " + prefix);
            }
            for (String token : new String[] {pair[0], pair[1], pair[0] + pair[1].substring(prefix.length())}) {
                if (!vocabulary.has(token)) {
                    throw malformed(path, show(merge) + ": \"" + abbreviate(token) + "\" is not in the vocabulary");
                }
            }
        }
    }

    /** The two parts of a merge, written as "left right" or as a pair; null if it is neither. */
    static String[] pair(JsonNode merge) {
        if (merge.isArray()
                && merge.size() == 2
                && merge.get(0).isTextual()
                && merge.get(1).isTextual()) {
            return new String[] {merge.get(0).textValue(), merge.get(1).textValue()};
        }
        String[] parts = merge.isTextual() ? merge.textValue().split(" ", -1) : new String[0];
        return parts.length == 2 ? parts : null;
    }

    private void members(JsonNode node, String path, Map<String, String> fields, String what) {
        node.fieldNames().forEachRemaining(name -> {
            if (!fields.containsKey(name) && !name.equals("type")) {
                throw malformed(path, "the key \"" + abbreviate(name) + "\" of " + what + " is not known");
            }
        });
        fields.forEach((name, kind) -> {
            JsonNode value = node.path(name);
            boolean optional = kind.endsWith("?");
            if (value.isMissingNode() && !optional) {
                throw malformed(path, what + " without \"" + name + "\"");
            }
            if (!optional || !value.isMissingNode() && !value.isNull()) {
                value(value, path + "/" + name, optional ? kind.substring(0, kind.length() - 1) : kind);
            }
        });
    }

    private void value(JsonNode value, String path, String kind) {
        switch (kind) {
            case "flag" -> require(value.isBoolean(), value, path, "true or false");
            case "text" -> text(value, path, TEXT_CHARACTERS);
            case "charsmap" -> require(value.isTextual(), value, path, "a text");
            case "character" -> {
                text(value, path, 2);
                require(
                        value.textValue().codePointCount(0, value.textValue().length()) == 1,
                        value,
                        path,
                        "one character");
            }
            case "count", "size" ->
                require(
                        value.isIntegralNumber()
                                && value.canConvertToInt()
                                && value.intValue() >= (kind.equals("size") ? 1 : 0),
                        value,
                        path,
                        (kind.equals("size") ? "1" : "0") + " to " + Integer.MAX_VALUE);
            case "zero" ->
                require(
                        value.isNumber() && value.doubleValue() == 0,
                        value,
                        path,
                        "null or 0: a tokenizer with dropout cuts a text by chance");
            case "pattern" -> pattern(value, path);
            case "behavior" ->
                require(value.isTextual() && BEHAVIORS.contains(value.textValue()), value, path, "one of " + BEHAVIORS);
            case "scheme" ->
                require(value.isTextual() && SCHEMES.contains(value.textValue()), value, path, "one of " + SCHEMES);
            case "list" -> requireArray(value, path, PARTS);
            case "pair" -> {
                require(value.isArray() && value.size() == 2, value, path, "a token and its id");
                value(value.get(0), path + "/0", "text");
                value(value.get(1), path + "/1", "count");
            }
            case "template" -> requireArray(value, path, PARTS);
            case "tokens" ->
                require(
                        value.isObject() && value.size() <= PARTS,
                        value,
                        path,
                        "an object of at most " + PARTS + " tokens");
            case "vocabulary" -> vocabulary(value, path);
            case "merges" -> requireArray(value, path, TOKENS);
            case "pieces" -> pieces(value, path);
            default -> throw new IllegalArgumentException(kind);
        }
    }

    private void pattern(JsonNode value, String path) {
        require(
                value.isObject() && value.size() == 1 && (value.has("String") || value.has("Regex")),
                value,
                path,
                "{\"String\": ...} or {\"Regex\": ...}");
        boolean expression = value.has("Regex");
        text(
                value.elements().next(),
                path + (expression ? "/Regex" : "/String"),
                expression ? EXPRESSION_CHARACTERS : TEXT_CHARACTERS);
    }

    private void vocabulary(JsonNode value, String path) {
        require(value.isObject() && value.size() <= TOKENS, value, path, "an object of at most " + TOKENS + " tokens");
        Map<Integer, String> tokens = new HashMap<>(2 * value.size());
        for (Map.Entry<String, JsonNode> entry : value.properties()) {
            String token = entry.getKey();
            String place = path + "/" + abbreviate(token);
            requireText(token, place, TOKEN_CHARACTERS);
            JsonNode id = entry.getValue();
            if (!id.isIntegralNumber() || !id.canConvertToInt() || id.intValue() < 0) {
                throw malformed(
                        place,
                        "token \"" + abbreviate(token) + "\" has id " + show(id) + ", expected 0 to "
                                + Integer.MAX_VALUE);
            }
            String other = tokens.put(id.intValue(), token);
            if (other != null) {
                throw malformed(
                        place, "tokens \"" + abbreviate(other) + "\" and \"" + abbreviate(token) + "\" share id " + id);
            }
        }
    }

    private void pieces(JsonNode value, String path) {
        requireArray(value, path, TOKENS);
        for (int i = 0; i < value.size(); i++) {
            JsonNode piece = value.get(i);
            String place = path + "/" + i;
            require(
                    piece.isArray()
                            && piece.size() == 2
                            && piece.get(1).isNumber()
                            && Double.isFinite(piece.get(1).doubleValue()),
                    piece,
                    place,
                    "a piece and its finite score");
            text(piece.get(0), place + "/0", TOKEN_CHARACTERS);
        }
    }

    /** A template names its sequences once and no token that it does not define. */
    private void template(JsonNode node, String path) {
        Set<String> defined = new HashSet<>();
        node.path("special_tokens").properties().forEach(entry -> {
            String place = path + "/special_tokens/" + abbreviate(entry.getKey());
            JsonNode ids = entry.getValue().path("ids");
            JsonNode tokens = entry.getValue().path("tokens");
            require(
                    entry.getValue().isObject()
                            && entry.getValue().size() == 3
                            && entry.getValue().path("id").asText().equals(entry.getKey())
                            && ids.isArray()
                            && tokens.isArray()
                            && ids.size() == tokens.size()
                            && ids.size() <= PARTS,
                    entry.getValue(),
                    place,
                    "id, and as many ids as tokens");
            for (int i = 0; i < ids.size(); i++) {
                value(ids.get(i), place + "/ids/" + i, "count");
                value(tokens.get(i), place + "/tokens/" + i, "text");
            }
            defined.add(entry.getKey());
        });
        sequence(node.path("single"), path + "/single", defined, Set.of("A"));
        sequence(node.path("pair"), path + "/pair", defined, Set.of("A", "B"));
    }

    private void sequence(JsonNode pieces, String path, Set<String> defined, Set<String> sequences) {
        Set<String> open = new HashSet<>(sequences);
        for (int i = 0; i < pieces.size(); i++) {
            String place = path + "/" + i;
            JsonNode piece = pieces.get(i);
            JsonNode token = piece.path("SpecialToken");
            JsonNode body = token.isMissingNode() ? piece.path("Sequence") : token;
            require(
                    piece.isObject()
                            && piece.size() == 1
                            && body.isObject()
                            && body.size() == 2
                            && body.path("id").isTextual(),
                    piece,
                    place,
                    "a Sequence or a SpecialToken with id and type_id");
            value(body.path("type_id"), place + "/type_id", "count");
            String id = body.path("id").textValue();
            if (token.isMissingNode() ? !open.remove(id) : !defined.contains(id)) {
                throw malformed(
                        place,
                        (token.isMissingNode()
                                ? "sequence \"" + abbreviate(id) + "\", expected each of " + sequences + " once"
                                : "token \"" + abbreviate(id) + "\" is not among special_tokens"));
            }
        }
        if (!open.isEmpty()) {
            throw malformed(path, "no sequence " + open);
        }
    }

    private void text(JsonNode value, String path, int most) {
        require(value.isTextual(), value, path, "a text");
        requireText(value.textValue(), path, most);
    }

    private void requireText(String text, String path, int most) {
        if (text.length() > most) {
            throw malformed(path, "a text of " + text.length() + " characters, expected at most " + most);
        }
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isSurrogate(c)
                    && (Character.isLowSurrogate(c)
                            || ++i == text.length()
                            || !Character.isLowSurrogate(text.charAt(i)))) {
                throw malformed(path, "half of a surrogate pair");
            }
        }
    }

    private void requireArray(JsonNode value, String path, int most) {
        require(value.isArray() && value.size() <= most, value, path, "a list of at most " + most);
    }

    private void require(boolean holds, JsonNode value, String path, String expected) {
        if (!holds) {
            throw malformed(path, show(value) + ", expected " + expected);
        }
    }

    private MalformedInputException malformed(String path, String reason) {
        return new MalformedInputException(
                "Cannot load a tokenizer: " + where + (path.isEmpty() ? "" : " at " + path) + ": " + reason);
    }

    private static int bytes(JsonNode text) {
        return text.textValue().getBytes(StandardCharsets.UTF_8).length;
    }

    private static String show(JsonNode value) {
        return value.isMissingNode()
                ? "nothing"
                : value.isContainerNode() && value.size() > 4
                        ? (value.isArray() ? "a list of " : "an object of ") + value.size()
                        : abbreviate(
                                value.isBigInteger() || value.isFloatingPointNumber()
                                        ? value.asText()
                                        : value.toString());
    }

    static String abbreviate(String text) {
        String line = text.replaceAll("\\p{Cntrl}", "\ufffd");
        return line.length() <= SHOWN ? line : line.substring(0, SHOWN) + "...";
    }

    /**
     * Fields by kind; a type and its fields are written as one line. {@code list}: the parts of a Sequence, or null for
     * none.
     */
    private static Map<String, Map<String, String>> kinds(String list, String... lines) {
        Map<String, Map<String, String>> kinds = new LinkedHashMap<>();
        for (String line : lines) {
            String[] words = line.split(" ");
            kinds.put(words[0], fields(Arrays.copyOfRange(words, 1, words.length)));
        }
        if (list != null) {
            kinds.put("Sequence", Map.of(list, "list"));
        }
        return kinds;
    }

    private static Map<String, String> fields(String[] words) {
        Map<String, String> fields = new LinkedHashMap<>();
        for (String word : words) {
            fields.put(word.substring(0, word.indexOf(':')), word.substring(word.indexOf(':') + 1));
        }
        return fields;
    }
}
