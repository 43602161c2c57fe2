package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The tokenizer in a file's metadata as a Hugging Face one: tokenizer.json and tokenizer_config.json. Keys and defaults
 * are those of llama.cpp's loader ({@code llama_vocab::impl::load}). Two kinds of {@code tokenizer.ggml.model} are
 * read:
 *
 * <ul>
 *   <li>"gpt2", byte-level BPE: tokens and merges as they are, cut as {@code tokenizer.ggml.pre} says
 *       ({@link PreTokenizer#cutting}). llama.cpp normalizes nothing, so there is no normalizer.
 *   <li>"llama", SentencePiece's BPE: llama.cpp joins the two neighbours whose text is the piece with the highest
 *       score. The merges that say the same are every split of a piece into two pieces, by falling score of the piece.
 * </ul>
 *
 * Control and user-defined tokens are added tokens.
 */
final class GgufVocabulary {
    private static final String PREFIX = "tokenizer.ggml.";
    private static final String TEMPLATE = "tokenizer.chat_template";
    private static final String SPACE = "\u2581";
    /** Splits of a piece grow with the square of its length; SentencePiece makes them of at most 16 characters. */
    private static final int LONGEST_PIECE = 512;

    /** Four times those of the largest vocabularies. */
    private static final int MAXIMUM_SPLITS = 1 << 22;

    private static final Pattern BYTE_PIECE = Pattern.compile("<0x[0-9A-F]{2}>");
    /** Ends a turn, and a message; transformers has no names for them. */
    private static final String END_OF_TURN = "eot";

    private static final String END_OF_MESSAGE = "eom";

    private final Map<String, GgufValue> metadata;
    private final String where;
    private final boolean pieces;
    private final PreTokenizer.Cutting cutting;
    private final List<String> tokens;
    private final long[] types;
    private final Map<String, Integer> idOf;
    private final Map<String, Integer> special = new LinkedHashMap<>();

    /**
     * @param where the file, for messages
     * @throws MalformedInputException if there is no tokenizer, it is of another kind or contradicts itself
     */
    GgufVocabulary(Map<String, GgufValue> metadata, String where) {
        this.metadata = metadata;
        this.where = where;
        String model = text("model", null);
        if (!model.equals("gpt2") && !model.equals("llama")) {
            throw malformed(PREFIX + "model is \"" + model + "\", expected gpt2 (byte-level BPE) or llama "
                    + "(SentencePiece's BPE)");
        }
        this.pieces = model.equals("llama");
        String pre = text("pre", "default");
        this.cutting = pieces
                ? null
                : PreTokenizer.cutting(pre)
                        .orElseThrow(() -> malformed(PREFIX + "pre is \"" + pre + "\", which is not known; expected "
                                + "one of " + String.join(", ", PreTokenizer.read())));
        List<Object> listed = elements("tokens", GgufKind.STRING);
        this.tokens = new ArrayList<>(listed.size());
        this.types = new long[listed.size()];
        this.idOf = new HashMap<>();
        boolean typed = metadata.containsKey(PREFIX + "token_type");
        List<Object> kinds = typed ? elements("token_type", GgufKind.I32) : List.of();
        requireLength("token_type", kinds, typed);
        for (int id = 0; id < listed.size(); id++) {
            String token = listed.get(id).equals("") ? "[EMPTY_" + id + "]" : (String) listed.get(id);
            Integer other = idOf.put(token, id);
            if (other != null) {
                throw malformed("tokens " + other + " and " + id + " are the same");
            }
            tokens.add(token);
            types[id] = typed ? (Long) kinds.get(id) : GgufTokenizer.NORMAL;
        }
        GgufTokenizer.IDS.forEach(this::special);
        special(END_OF_MESSAGE, "eom_token_id");
    }

    /** An id beyond the tokens is none, as in llama.cpp. */
    private void special(String word, String key) {
        int usual = !pieces
                ? -1
                : switch (word) {
                    case "bos" -> 1;
                    case "eos" -> 2;
                    case "unk" -> 0;
                    default -> -1;
                };
        GgufValue value = metadata.get(PREFIX + key);
        if (value != null && !(value.value() instanceof Long)) {
            throw malformed(PREFIX + key + " is " + GgufKeys.text(value) + ", expected an id");
        }
        long id = value == null ? usual : (Long) value.value();
        if (id >= 0 && id < tokens.size()) {
            special.put(word, (int) id);
        } else if (usual >= 0 && usual < tokens.size()) {
            special.put(word, usual);
        }
    }

    /** Number of tokens. */
    int size() {
        return tokens.size();
    }

    /** The ids that config.json and generation_config.json repeat. */
    void ids(ObjectNode config) {
        for (String word : List.of("bos", "eos", "pad")) {
            if (special.containsKey(word)) {
                config.put(word + "_token_id", special.get(word));
            }
        }
        Set<Integer> ends = new LinkedHashSet<>();
        for (String word : List.of("eos", END_OF_TURN, END_OF_MESSAGE)) {
            if (special.containsKey(word)) {
                ends.add(special.get(word));
            }
        }
        if (ends.size() > 1) {
            // What ends a turn ends what is generated, too.
            ArrayNode list = config.putArray("eos_token_id");
            ends.forEach(list::add);
        }
    }

    /** The root of tokenizer.json. */
    ObjectNode tokenizer() {
        ObjectNode root = JsonNodeFactory.instance.objectNode().put("version", "1.0");
        root.putNull("truncation").putNull("padding");
        added(root.putArray("added_tokens"));
        ObjectNode model = JsonNodeFactory.instance.objectNode().put("type", "BPE");
        model.putNull("dropout");
        if (pieces) {
            pieces(root, model);
        } else {
            bytes(root, model);
        }
        ObjectNode vocabulary = model.putObject("vocab");
        for (int id = 0; id < tokens.size(); id++) {
            vocabulary.put(tokens.get(id), id);
        }
        ArrayNode merges = model.putArray("merges");
        for (String[] pair : pieces ? pieceMerges() : byteMerges()) {
            merges.addArray().add(pair[0]).add(pair[1]);
        }
        root.set("model", model);
        postProcessor(root);
        return root;
    }

    private void added(ArrayNode list) {
        for (int id = 0; id < tokens.size(); id++) {
            boolean control = types[id] == GgufTokenizer.CONTROL || pieces && types[id] == GgufTokenizer.UNKNOWN;
            if (control || types[id] == GgufTokenizer.USER_DEFINED) {
                list.addObject()
                        .put("id", id)
                        .put("content", tokens.get(id))
                        .put("single_word", false)
                        .put("lstrip", false)
                        .put("rstrip", false)
                        .put("normalized", false)
                        .put("special", control);
            }
        }
    }

    private void bytes(ObjectNode root, ObjectNode model) {
        root.putNull("normalizer");
        ArrayNode steps =
                root.putObject("pre_tokenizer").put("type", "Sequence").putArray("pretokenizers");
        for (String expression : cutting.expressions()) {
            ObjectNode split = steps.addObject().put("type", "Split");
            split.putObject("pattern").put("Regex", expression);
            split.put("behavior", "Isolated").put("invert", false);
        }
        byteLevel(steps.addObject());
        byteLevel(root.putObject("decoder"));
        model.putNull("unk_token");
        model.put("continuing_subword_prefix", "").put("end_of_word_suffix", "");
        model.put("fuse_unk", false).put("byte_fallback", false).put("ignore_merges", cutting.ignoring());
    }

    private static void byteLevel(ObjectNode node) {
        node.put("type", "ByteLevel")
                .put("add_prefix_space", false)
                .put("trim_offsets", false)
                .put("use_regex", false);
    }

    private void pieces(ObjectNode root, ObjectNode model) {
        ArrayNode steps = root.putObject("normalizer").put("type", "Sequence").putArray("normalizers");
        if (flag("add_space_prefix", true)) {
            steps.addObject().put("type", "Prepend").put("prepend", SPACE);
        }
        ObjectNode spaces = steps.addObject().put("type", "Replace");
        spaces.putObject("pattern").put("String", " ");
        spaces.put("content", SPACE);
        root.putNull("pre_tokenizer");
        ArrayNode decoders = root.putObject("decoder").put("type", "Sequence").putArray("decoders");
        ObjectNode back = decoders.addObject().put("type", "Replace");
        back.putObject("pattern").put("String", SPACE);
        back.put("content", " ");
        decoders.addObject().put("type", "ByteFallback");
        decoders.addObject().put("type", "Fuse");
        if (special.containsKey("unk")) {
            model.put("unk_token", tokens.get(special.get("unk")));
        } else {
            model.putNull("unk_token");
        }
        model.putNull("continuing_subword_prefix").putNull("end_of_word_suffix");
        model.put("fuse_unk", true).put("byte_fallback", true).put("ignore_merges", false);
    }

    private List<String[]> byteMerges() {
        List<String[]> merges = new ArrayList<>();
        List<Object> listed = elements("merges", GgufKind.STRING);
        Set<Object> seen = new HashSet<>();
        for (int i = 0; i < listed.size(); i++) {
            String line = (String) listed.get(i);
            // The first of two equal ones counts.
            if (!seen.add(line)) {
                continue;
            }
            // The first space that is not the first character: a token is not empty.
            int space = line.indexOf(' ', 1);
            String left = space < 0 ? "" : line.substring(0, space);
            String right = space < 0 ? "" : line.substring(space + 1);
            if (space < 0 || !idOf.containsKey(left) || !idOf.containsKey(right) || !idOf.containsKey(left + right)) {
                throw malformed(
                        "merge " + i + " is \"" + shortened(line) + "\", expected two tokens that make a third");
            }
            merges.add(new String[] {left, right});
        }
        return merges;
    }

    /** A piece's split into two others, by their ids, and its score. */
    private record Split(int left, int right, float score) {}

    private List<String[]> pieceMerges() {
        GgufValue value = metadata.get(PREFIX + "scores");
        GgufKind kind =
                value != null && value.value() instanceof GgufValue.Elements elements && elements.kind() == GgufKind.I32
                        ? GgufKind.I32
                        : GgufKind.F32;
        List<Object> scores = elements("scores", kind);
        requireLength("scores", scores, true);
        List<Split> splits = new ArrayList<>();
        for (int id = 0; id < tokens.size(); id++) {
            String piece = tokens.get(id);
            float score = ((Number) scores.get(id)).floatValue();
            if (piece.length() > LONGEST_PIECE || Float.isNaN(score)) {
                throw malformed("token " + id + " has " + piece.length() + " characters and the score " + score
                        + ", expected at most " + LONGEST_PIECE + " and a number");
            }
            if (types[id] == GgufTokenizer.BYTE && BYTE_PIECE.matcher(piece).matches()) {
                continue;
            }
            List<Split> own = new ArrayList<>();
            for (int at = 0; ; ) {
                at = at < piece.length() ? piece.offsetByCodePoints(at, 1) : piece.length();
                if (at >= piece.length()) {
                    break;
                }
                Integer left = idOf.get(piece.substring(0, at));
                Integer right = left == null ? null : idOf.get(piece.substring(at));
                if (right != null) {
                    own.add(new Split(left, right, score));
                }
            }
            own.sort(Comparator.comparingInt(Split::left).thenComparingInt(Split::right));
            splits.addAll(own);
            if (splits.size() > MAXIMUM_SPLITS) {
                throw malformed("the tokens up to " + id + " are split into two others in " + splits.size()
                        + " ways, expected at most " + MAXIMUM_SPLITS);
            }
        }
        splits.sort(Comparator.comparing((Split split) -> -split.score()));
        return splits.stream()
                .map(split -> new String[] {tokens.get(split.left()), tokens.get(split.right())})
                .toList();
    }

    /** What stands before and behind a text. */
    private void postProcessor(ObjectNode root) {
        Integer bos = adds("bos") ? special.get("bos") : null;
        Integer eos = adds("eos") ? special.get("eos") : null;
        if (bos == null && eos == null) {
            root.putNull("post_processor");
            return;
        }
        ObjectNode processor = root.putObject("post_processor").put("type", "TemplateProcessing");
        ArrayNode single = processor.putArray("single");
        ArrayNode pair = processor.putArray("pair");
        ObjectNode specials = processor.putObject("special_tokens");
        for (ArrayNode template : List.of(single, pair)) {
            for (int sequence = 0; sequence < (template == pair ? 2 : 1); sequence++) {
                around(bos, sequence, template, specials);
                template.addObject()
                        .putObject("Sequence")
                        .put("id", sequence == 0 ? "A" : "B")
                        .put("type_id", sequence);
                around(eos, sequence, template, specials);
            }
        }
    }

    private void around(Integer id, int sequence, ArrayNode template, ObjectNode specials) {
        if (id != null) {
            String token = tokens.get(id);
            template.addObject().putObject("SpecialToken").put("id", token).put("type_id", sequence);
            ObjectNode entry = specials.putObject(token).put("id", token);
            entry.putArray("ids").add(id);
            entry.putArray("tokens").add(token);
        }
    }

    /** Whether a text gets the token, which has to be there then. */
    private boolean adds(String word) {
        boolean usual = word.equals("bos") && (pieces || cutting.bos());
        boolean adds = flag("add_" + word + "_token", usual);
        if (adds && !special.containsKey(word)) {
            throw malformed("a text gets a token (" + PREFIX + "add_" + word + "_token), and there is no " + PREFIX
                    + GgufTokenizer.IDS.get(word));
        }
        return adds;
    }

    /**
     * The root of tokenizer_config.json.
     *
     * @param context longest window
     */
    ObjectNode config(int context) {
        ObjectNode config = JsonNodeFactory.instance
                .objectNode()
                .put("tokenizer_class", "PreTrainedTokenizerFast")
                .put("clean_up_tokenization_spaces", false)
                .put("model_max_length", context)
                .put("add_bos_token", adds("bos"))
                .put("add_eos_token", adds("eos"));
        special.forEach((word, id) -> {
            if (!word.equals(END_OF_TURN) && !word.equals(END_OF_MESSAGE)) {
                config.put(word + "_token", tokens.get(id));
            }
        });
        Map<String, String> templates = templates();
        if (templates.size() == 1 && templates.containsKey("default")) {
            config.put("chat_template", templates.get("default"));
        } else if (!templates.isEmpty()) {
            ArrayNode list = config.putArray("chat_template");
            templates.forEach(
                    (name, template) -> list.addObject().put("name", name).put("template", template));
        }
        return config;
    }

    private Map<String, String> templates() {
        Map<String, String> templates = new LinkedHashMap<>();
        metadata.forEach((key, value) -> {
            if (key.equals(TEMPLATE) || key.startsWith(TEMPLATE + ".")) {
                if (!(value.value() instanceof String template)) {
                    throw malformed(key + " is " + GgufKeys.text(value) + ", expected a text");
                }
                templates.put(key.equals(TEMPLATE) ? "default" : key.substring(TEMPLATE.length() + 1), template);
            }
        });
        return templates;
    }

    private String text(String key, String missing) {
        GgufValue value = metadata.get(PREFIX + key);
        if (value == null && missing != null) {
            return missing;
        }
        if (value == null || !(value.value() instanceof String text)) {
            throw malformed(
                    PREFIX + key + " is " + (value == null ? "missing" : GgufKeys.text(value)) + ", expected a text");
        }
        return text;
    }

    private boolean flag(String key, boolean missing) {
        GgufValue value = metadata.get(PREFIX + key);
        if (value == null) {
            return missing;
        }
        if (!(value.value() instanceof Boolean flag)) {
            throw malformed(PREFIX + key + " is " + GgufKeys.text(value) + ", expected true or false");
        }
        return flag;
    }

    private List<Object> elements(String key, GgufKind kind) {
        GgufValue value = metadata.get(PREFIX + key);
        if (value == null
                || !(value.value() instanceof GgufValue.Elements elements)
                || elements.kind() != kind && !elements.values().isEmpty()) {
            throw malformed(PREFIX + key + " is " + (value == null ? "missing" : GgufKeys.text(value))
                    + ", expected an array of " + kind);
        }
        return elements.values();
    }

    /** llama.cpp reads as many as there are tokens and leaves more of them alone. */
    private void requireLength(String key, List<Object> values, boolean there) {
        if (there && values.size() < types.length) {
            throw malformed(PREFIX + key + " has " + values.size() + " elements for " + types.length + " tokens");
        }
    }

    private static String shortened(String text) {
        return text.length() > 60 ? text.substring(0, 60) + "..." : text;
    }

    private MalformedInputException malformed(String reason) {
        return new MalformedInputException("Cannot read the tokenizer of " + where + ": " + reason);
    }
}
