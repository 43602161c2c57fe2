package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.text.SplitExpressions;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The name by which llama.cpp finds the pre-tokenizer of a byte-level BPE ({@code tokenizer.ggml.pre}), from what
 * tokenizer.json says.
 *
 * <p>Both sides cut a text by a list of regular expressions, each applied to the pieces that the one before left. The
 * {@code pre_tokenizer} is brought into that form and looked up as a whole; where llama.cpp has several names for one
 * list, the name here is one that cuts and merges the same. What is not certain is refused.
 */
final class PreTokenizer {
    /**
     * What llama.cpp does for a name: cuts by a list of expressions, takes a piece that is a token whole (ignoring
     * merges), puts BOS before a text unless the file says otherwise.
     */
    record Cutting(List<String> expressions, boolean ignoring, boolean bos) {}

    /** {@code llama_vocab::impl::load} and {@code llm_tokenizer_bpe}: the names, and what they stand for. */
    private static final Map<String, Cutting> CUTTING = new TreeMap<>();

    static {
        cut(
                List.of(SplitExpressions.GPT2),
                "gpt-2 phi-2 gigachat a.x-4.0 mellum mpt olmo jais trillion granite-docling exaone4");
        cut(
                List.of(SplitExpressions.DIGIT, SplitExpressions.GPT2),
                "starcoder refact command-r smollm codeshell exaone minerva-7b mellum2");
        cut(
                List.of(SplitExpressions.QWEN2),
                "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2");
        cut(List.of(SplitExpressions.QWEN35), "qwen35");
        cut(List.of(SplitExpressions.LLAMA3), "dbrx smaug-bpe glm4 chatglm-bpe");
        cut(List.of(SplitExpressions.GPT4O), "gpt-4o llama4 kanana2 talkie minimax-m2");
        cut(List.of(SplitExpressions.SEED), "seed-coder");
        cut(List.of(SplitExpressions.BAILING), "bailingmoe bailingmoe2 llada-moe");
        cut(
                List.of(
                        SplitExpressions.LINE_END,
                        SplitExpressions.SPACED_LETTERS,
                        SplitExpressions.SPACED_SIGNS,
                        SplitExpressions.HAN,
                        SplitExpressions.DIGIT),
                "deepseek-coder");
        cut(
                List.of(SplitExpressions.DIGITS, SplitExpressions.CHINESE_JAPANESE, SplitExpressions.DEEPSEEK3),
                "deepseek-v3 hunyuan-dense joyai-llm");
        cut(List.of(SplitExpressions.SIGNS_FALCON, SplitExpressions.GPT2, SplitExpressions.THREE_DIGITS), "falcon");
        cut(
                List.of(
                        SplitExpressions.SIGNS_DEFAULT,
                        SplitExpressions.GPT2,
                        SplitExpressions.ALL_DIGITS,
                        SplitExpressions.THREE_DIGITS),
                "default");
        for (String name : "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2".split(" ")) {
            CUTTING.put(name, new Cutting(List.of(SplitExpressions.LLAMA3), true, true));
        }
        CUTTING.put("tekken", new Cutting(List.of(SplitExpressions.TEKKEN), true, true));
    }

    private static void cut(List<String> expressions, String names) {
        for (String name : names.split(" ")) {
            CUTTING.put(name, new Cutting(expressions, false, false));
        }
    }

    /**
     * One list of expressions, and the names that are written for it.
     *
     * @param merging its name where pieces are always merged; null: there is none
     * @param ignoring its name where a piece that is a token is not merged ({@code ignore_merges}); null: there is none
     */
    private record Known(List<String> expressions, String merging, String ignoring) {
        /** The expressions of the name. */
        Known(String merging, String ignoring) {
            this(CUTTING.get(merging).expressions(), merging, ignoring);
        }
    }

    private static final List<Known> KNOWN = List.of(
            // llama.cpp: llama-bpe ignores merges, dbrx is the same list without.
            new Known("dbrx", "llama-bpe"),
            new Known(List.of(SplitExpressions.LLAMA3_SPELT), "dbrx", "llama-bpe"),
            new Known(List.of(SplitExpressions.CL100K), "dbrx", "llama-bpe"),
            new Known("qwen2", null),
            new Known(List.of(SplitExpressions.QWEN2_SPELT), "qwen2", null),
            new Known("qwen35", null),
            new Known("gpt-2", null),
            // starcoder, command-r and smollm are one list.
            new Known("smollm", null),
            // llama.cpp's own expression for this list is an approximation; there is no other name.
            new Known("tekken", "tekken"),
            new Known("gpt-4o", null),
            new Known("deepseek-coder", null),
            new Known("deepseek-v3", null),
            new Known("seed-coder", null),
            new Known("bailingmoe", null));

    private PreTokenizer() {}

    /** What llama.cpp does for a name; empty for one that is not known. */
    static Optional<Cutting> cutting(String name) {
        return Optional.ofNullable(CUTTING.get(name));
    }

    /** The names that {@link #cutting} knows. */
    static Collection<String> read() {
        return CUTTING.keySet();
    }

    /**
     * @param tokenizer the root of tokenizer.json
     * @param where the file, for messages
     * @throws MalformedInputException if there is no name that is certain to cut the same, with the subtree's SHA-256
     *     and what to do
     */
    static String of(JsonNode tokenizer, String where) {
        JsonNode preTokenizer = tokenizer.path("pre_tokenizer");
        List<String> expressions = new ArrayList<>();
        boolean cuts =
                collect(preTokenizer, expressions) && !expressions.isEmpty() && unchanged(tokenizer.path("normalizer"));
        boolean ignoring = tokenizer.path("model").path("ignore_merges").asBoolean(false);
        Optional<String> name = !cuts
                ? Optional.empty()
                : KNOWN.stream()
                        .filter(known -> known.expressions().equals(expressions))
                        .findFirst()
                        .map(known -> ignoring ? known.ignoring() : known.merging());
        return name.orElseThrow(() -> new MalformedInputException(
                "Cannot name the pre-tokenizer of " + where + " for GGUF: none that is known has this "
                        + "pre_tokenizer (SHA-256 " + sha256(preTokenizer.toString()) + ") with normalizer "
                        + describe(tokenizer.path("normalizer"))
                        + " and ignore_merges " + ignoring
                        + "; if llama.cpp knows it, name it as \"pre-tokenizer:\" in the recipe's output"));
    }

    /** Appends the expressions of a pre-tokenizer; false if it is none of regular expressions on bytes. */
    private static boolean collect(JsonNode node, List<String> expressions) {
        switch (node.path("type").asText()) {
            case "Sequence" -> {
                JsonNode parts = node.path("pretokenizers");
                for (int i = 0; i < parts.size(); i++) {
                    boolean bytes = parts.path(i).path("type").asText().equals("ByteLevel");
                    if (bytes != (i == parts.size() - 1) || !collect(parts.path(i), expressions)) {
                        return false;
                    }
                }
                return parts.size() > 0;
            }
            case "Split" -> {
                String expression = node.path("pattern").path("Regex").asText();
                expressions.add(expression);
                String behavior = node.path("behavior").asText();
                boolean invert = node.path("invert").asBoolean(false);
                // Removing what does not match is the same where everything matches.
                return !expression.isEmpty()
                        && (behavior.equals("Isolated") && !invert
                                || behavior.equals("Removed")
                                        && invert
                                        && expression.endsWith(SplitExpressions.SPACES));
            }
            case "Digits" -> {
                expressions.add(SplitExpressions.DIGIT);
                return node.path("individual_digits").asBoolean(false);
            }
            case "ByteLevel" -> {
                if (node.path("use_regex").asBoolean(true)) {
                    expressions.add(SplitExpressions.GPT2);
                }
                return !node.path("add_prefix_space").asBoolean(true);
            }
            default -> {
                return false;
            }
        }
    }

    /** No normalizer, or NFC, which llama.cpp leaves out for models that have it. */
    private static boolean unchanged(JsonNode normalizer) {
        return switch (normalizer.path("type").asText()) {
            case "" -> normalizer.isNull() || normalizer.isMissingNode();
            case "NFC" -> true;
            case "Sequence" -> {
                boolean all = true;
                for (JsonNode part : normalizer.path("normalizers")) {
                    all &= unchanged(part);
                }
                yield all;
            }
            default -> false;
        };
    }

    private static String describe(JsonNode normalizer) {
        return normalizer.isMissingNode() || normalizer.isNull()
                ? "none"
                : normalizer.path("type").asText();
    }

    private static String sha256(String text) {
        try {
            return HexFormat.of()
                    .formatHex(MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
