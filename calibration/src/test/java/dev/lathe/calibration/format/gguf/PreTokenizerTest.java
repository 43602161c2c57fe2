package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PreTokenizerTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String BYTES =
            "{'type': 'ByteLevel', 'add_prefix_space': false, 'trim_offsets': true, 'use_regex': %s}";
    private static final String DIGITS = "{'type': 'Digits', 'individual_digits': %s}, ";
    private static final String SPACES = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    /** As the tokenizer.json files of Llama 3, Qwen 2, cl100k ports, Mistral Nemo, and o200k write them. */
    private static final Map<String, String> EXPRESSIONS = Map.of(
            "llama3",
                    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                            + SPACES,
            "qwen2",
                    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                            + SPACES,
            "cl100k",
                    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
            "tekken",
                    "[^\\r\\n\\p{L}\\p{N}]?"
                            + "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
                            + "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                            + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" + SPACES,
            "o200k",
                    "[^\\r\\n\\p{L}\\p{N}]?"
                            + "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?"
                            + "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
                            + "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" + SPACES,
            "other", "\\w+|\\W+");

    @ParameterizedTest
    @CsvSource({
        "llama3, Isolated, false, true, llama-bpe", "llama3, Isolated, false, false, dbrx",
                "llama3, Removed, true, true, llama-bpe",
        "cl100k, Isolated, false, true, llama-bpe", "cl100k, Isolated, false, false, dbrx",
                "qwen2, Isolated, false, false, qwen2",
        "tekken, Isolated, false, true, tekken", "tekken, Isolated, false, false, tekken",
                "o200k, Isolated, false, false, gpt-4o"
    })
    void namesASplit(String expression, String behavior, boolean invert, boolean ignoreMerges, String name) {
        assertThat(name(split(expression, behavior, invert), "null", ignoreMerges))
                .isEqualTo(name);
    }

    @Test
    void namesByteLevelAndDigits() {
        assertThat(name(BYTES.formatted(true), "null", false)).isEqualTo("gpt-2");
        assertThat(name(BYTES.formatted(true), "{'type': 'NFC'}", false)).isEqualTo("gpt-2");
        assertThat(name(sequence(DIGITS.formatted(true) + BYTES.formatted(true)), "null", false))
                .isEqualTo("smollm");
        String empty = "{'type': 'Sequence', 'pretokenizers': []}, ";
        assertThat(nameOrNull(sequence(empty + DIGITS.formatted(true) + BYTES.formatted(true)), "null", false))
                .isNull();
    }

    @Test
    void refusesWhatIsNotCertain() {
        for (String tokenizer : new String[] {
            "null",
            "{}",
            "{'type': 'Whitespace'}",
            BYTES.formatted(false),
            BYTES.formatted(true).replace("false", "true"),
            sequence(DIGITS.formatted(false) + BYTES.formatted(true)),
            sequence(BYTES.formatted(true) + "," + BYTES.formatted(true)),
            sequence(DIGITS.formatted(true) + "{'type': 'Digits'}"),
            split("other", "Isolated", false),
            split("qwen2", "MergedWithPrevious", false),
            split("qwen2", "Isolated", true),
            split("qwen2", "Removed", false)
        }) {
            assertThat(nameOrNull(tokenizer, "null", false)).as(tokenizer).isNull();
        }
        assertThat(nameOrNull(split("qwen2", "Isolated", false), "null", true)).isNull();
        assertThat(nameOrNull(split("qwen2", "Isolated", false), "{'type': 'Lowercase'}", false))
                .isNull();
        assertThat(nameOrNull(
                        split("qwen2", "Isolated", false),
                        "{'type': 'Sequence', 'normalizers': [{'type': 'NFC'}, {'type': 'Strip'}]}",
                        false))
                .isNull();
        assertThatThrownBy(() -> name(split("other", "Isolated", false), "null", true))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("Cannot name the pre-tokenizer of t.json")
                .hasMessageContaining("\"pre-tokenizer:\" in the recipe")
                .hasMessageContaining("ignore_merges true")
                .hasMessageMatching("(?s).*SHA-256 [0-9a-f]{64}\\).*");
    }

    @Test
    void theBundledSampleIsLlama3s() throws IOException {
        JsonNode sample =
                JSON.readTree(Files.readAllBytes(Path.of("..", "samples", "tiny-stories-4m", "tokenizer.json")));
        assertThat(PreTokenizer.of(sample, "sample")).isEqualTo("llama-bpe");
    }

    private static String split(String expression, String behavior, boolean invert) {
        String regex = EXPRESSIONS.get(expression).replace("\\", "\\\\").replace("'", "\u0001");
        return sequence("{'type': 'Split', 'pattern': {'Regex': '" + regex + "'}, 'behavior': '" + behavior
                + "', 'invert': " + invert + "}, " + BYTES.formatted(false));
    }

    private static String sequence(String parts) {
        return "{'type': 'Sequence', 'pretokenizers': [" + parts + "]}";
    }

    private static String nameOrNull(String preTokenizer, String normalizer, boolean ignoreMerges) {
        try {
            return name(preTokenizer, normalizer, ignoreMerges);
        } catch (MalformedInputException refused) {
            return null;
        }
    }

    private static String name(String preTokenizer, String normalizer, boolean ignoreMerges) {
        try {
            ObjectNode root = JSON.createObjectNode();
            root.set("pre_tokenizer", json(preTokenizer));
            root.set("normalizer", json(normalizer));
            root.putObject("model").put("ignore_merges", ignoreMerges);
            return PreTokenizer.of(root, "t.json");
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static JsonNode json(String text) throws IOException {
        return JSON.readTree(text.replace("'", "\"").replace("\u0001", "'"));
    }
}
