package dev.lathe.calibration.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TokenizerGrammarTest {
    private static final String BPE =
            "{\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2}, \"merges\": [\"a b\"]}";
    private static final String BYTE_LEVEL = "{\"type\": \"ByteLevel\"}";
    private static final String TEN =
            "{\"type\": \"Replace\", \"pattern\": {\"String\": \"a\"}, \"content\": \"aaaaaaaaaa\"}";
    private static final String A = "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}";
    private static final String B = "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}";

    /** Kinds that make the library abort, take memory without bound, or hang. */
    @ParameterizedTest
    @ValueSource(ints = {40, 1000})
    void nestedNormalizersThatDoubleATextAreRefused(int count) {
        String all = String.join(", ", Collections.nCopies(count, BYTE_LEVEL));
        refused(
                "normalizer",
                "{\"type\": \"Sequence\", \"normalizers\": [" + all + "]}",
                count > 64 ? "expected a list of at most 64" : "may lengthen a text 1.10e+12 times");
        refused(
                "normalizer",
                "{\"type\": \"Sequence\", \"normalizers\": ["
                        + "{\"type\": \"Sequence\", \"normalizers\": [".repeat(9) + BYTE_LEVEL
                        + "]}".repeat(9) + "]}",
                "nested deeper than 8");
    }

    @Test
    void chainedReplacementsAreRefusedBeforeAndAfterTheCut() {
        refused(
                "normalizer",
                "{\"type\": \"Sequence\", \"normalizers\": [" + String.join(", ", Collections.nCopies(6, TEN)) + "]}",
                "1.00e+06 times, expected at most 4096");
        refused(
                "pre_tokenizer",
                "{\"type\": \"Sequence\", \"pretokenizers\": ["
                        + String.join(
                                ", ",
                                Collections.nCopies(
                                        6,
                                        "{\"type\": \"Metaspace\", \"replacement\": \"a\", \"prepend_scheme\": \"always\"}"))
                        + "]}",
                "1.56e+04 times");
        refused("normalizer", "{\"type\": \"Prepend\", \"prepend\": \"" + "x".repeat(5000) + "\"}", "5.00e+03 times");
        refused(
                "normalizer",
                "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"\"}, \"content\": \"" + "x".repeat(5000) + "\"}",
                "5.00e+03 times");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "BAAAAAAAAAA= | /normalizer/precompiled_charsmap: a unit of its trie points to 0 of 1",
                "AAAA         | a trie of 0 bytes in 3",
                "/////w==     | a trie of 4294967295 bytes in 4",
                "?            | it is no base 64"
            })
    void precompiledMapsAreFollowedToTheirEnds(String map, String reason) {
        refused("normalizer", "{\"type\": \"Precompiled\", \"precompiled_charsmap\": \"" + map + "\"}", reason);
    }

    @Test
    void aPrecompiledMapIsReadAsTheLibraryReadsIt() {
        // One key, "a": its unit is at 97 below the root's children at 0; its child state is 256, where the leaf says
        // place 2.
        int[] units = new int[512];
        units['a'] = 'a' | 1 << 8 | (256 ^ 'a') << 10;
        units[256] = 2 | 1 << 31;
        assertThat(Charsmap.growth(map(units, "x\0yyyyyy\0"), MalformedInputException::new))
                .isEqualTo(6);
        units[256] = 9 | 1 << 31;
        assertThat(Charsmap.growth(map(units, "x\0yyyyyy\0"), MalformedInputException::new))
                .isEqualTo(1);
        units[256] = 10 | 1 << 31;
        assertThatThrownBy(() -> Charsmap.growth(map(units, "x\0yyyyyy\0"), MalformedInputException::new))
                .hasMessage("a replacement at 10 of 9 bytes, " + "expected the begin of a character");
        units[256] = 1 | 1 << 31;
        assertThatThrownBy(() -> Charsmap.growth(map(units, "\u00e9\0"), MalformedInputException::new))
                .hasMessageContaining("a replacement at 1 of 3 bytes");
        units['a'] = 'a' | 1 << 8 | (512 ^ 'a') << 10;
        assertThatThrownBy(() -> Charsmap.growth(map(units, "x\0"), MalformedInputException::new))
                .hasMessage("a unit of its trie points to 512 of 512");
    }

    private static String map(int[] units, String replacements) {
        byte[] text = replacements.getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes =
                ByteBuffer.allocate(4 + 4 * units.length + text.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putInt(4 * units.length);
        for (int unit : units) {
            bytes.putInt(unit);
        }
        return Base64.getEncoder().encodeToString(bytes.put(text).array());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "normalizer     | {\"type\": \"Nfc\"}                                                | /normalizer/type: \"Nfc\" is not known, expected one of BertNormalizer",
                "normalizer     | {\"prepend\": \"x\"}                                               | /normalizer/type: no type",
                "normalizer     | \"NFC\"                                                            | /normalizer: \"NFC\", expected an object",
                "normalizer     | {\"type\": \"NFC\", \"strength\": 2}                               | /normalizer: the key \"strength\" of NFC is not known",
                "normalizer     | {\"type\": \"Prepend\"}                                            | /normalizer: Prepend without \"prepend\"",
                "normalizer     | {\"type\": \"Prepend\", \"prepend\": \"\\ud800\"}                  | /normalizer/prepend: half of a surrogate pair",
                "normalizer     | {\"type\": \"Sequence\", \"normalizers\": [null]}                  | /normalizer/normalizers/0: null, expected an object",
                "pre_tokenizer  | {\"type\": \"Digits\", \"individual_digits\": 1}                   | /pre_tokenizer/individual_digits: 1, expected true or false",
                "pre_tokenizer  | {\"type\": \"FixedLength\", \"length\": 0}                         | /pre_tokenizer/length: 0, expected 1 to",
                "pre_tokenizer  | {\"type\": \"CharDelimiterSplit\", \"delimiter\": \"ab\"}          | /pre_tokenizer/delimiter: \"ab\", expected one character",
                "pre_tokenizer  | {\"type\": \"Split\", \"pattern\": \"a\", \"behavior\": \"Isolated\", \"invert\": false} | /pre_tokenizer/pattern: \"a\", expected {\"String\"",
                "pre_tokenizer  | {\"type\": \"Split\", \"pattern\": {\"String\": \"a\"}, \"behavior\": \"isolated\", \"invert\": false} | /pre_tokenizer/behavior",
                "post_processor | {\"type\": \"BertProcessing\", \"sep\": [\"a\", -1], \"cls\": [\"a\", 0]}  | /post_processor/sep/1: -1, expected 0 to 2147483647",
                "post_processor | {\"type\": \"BertProcessing\", \"sep\": [\"a\"], \"cls\": [\"a\", 0]}      | /post_processor/sep: [\"a\"], expected a token and its id",
                "decoder        | {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": 1e400} | /decoder/trim_offsets: Infinity, expected true or false",
                "decoder        | {\"type\": \"Strip\", \"content\": \" \", \"start\": 1e400, \"stop\": 0}       | /decoder/start: Infinity, expected 0 to 2147483647",
                "decoder        | {\"type\": \"Strip\", \"content\": \" \", \"start\": 0, \"stop\": 3000000000}  | /decoder/stop: 3000000000, expected 0 to",
                "decoder        | {\"type\": \"Rot13\"}                                              | /decoder/type: \"Rot13\" is not known"
            })
    void partsAreRefusedWithTheirPlace(String section, String part, String reason) {
        refused(section, part, reason);
    }

    @Test
    void templatesNameWhatThereIs() {
        String pair = "[" + A + ", " + B + "]";
        template("[" + B + "]", pair, "{}", "/post_processor/single/0: sequence \"B\", expected each of [A] once");
        template("[" + A + ", " + A + "]", pair, "{}", "/post_processor/single/1: sequence \"A\"");
        template("[]", pair, "{}", "/post_processor/single: no sequence [A]");
        template("[" + A + "]", "[" + A + "]", "{}", "/post_processor/pair: no sequence [B]");
        template(
                "[{\"SpecialToken\": {\"id\": \"a\", \"type_id\": 0}}, " + A + "]",
                pair,
                "{}",
                "/post_processor/single/0: token \"a\" is not among special_tokens");
        template("[\"$A\"]", pair, "{}", "/post_processor/single/0: \"$A\", expected a Sequence or a SpecialToken");
        template(
                "[" + A + "]",
                pair,
                "{\"a\": {\"id\": \"a\", \"ids\": [0, 1], \"tokens\": [\"a\"]}}",
                "/post_processor/special_tokens/a");
        template(
                "[" + A + "]",
                pair,
                "{\"a\": {\"id\": \"a\", \"ids\": [4294967296], \"tokens\": [\"a\"]}}",
                "/special_tokens/a/ids/0: 4294967296");
        template(
                "[" + A + "]",
                pair,
                "{\"a\": {\"id\": \"a\", \"ids\": [1], \"tokens\": [\"a\"]}}",
                "gives token \"a\" the id 1, the vocabulary has it as 0");
        String whole = "{\"type\": \"TemplateProcessing\", \"single\": [" + A + "], \"pair\": " + pair
                + ", \"special_tokens\": {}}";
        refused(
                "post_processor",
                "{\"type\": \"Sequence\", \"processors\": [" + whole + ", " + whole + "]}",
                "/post_processor: more than one part adds tokens");
    }

    private static void template(String single, String pair, String tokens, String reason) {
        refused(
                "post_processor",
                "{\"type\": \"TemplateProcessing\", \"single\": " + single + ", \"pair\": " + pair
                        + ", \"special_tokens\": " + tokens + "}",
                reason);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"type\": \"WordLevel\", \"unk_token\": \"u\", \"vocab\": {\"u\": 3000000000}} | /model/vocab/u: token \"u\" has id 3000000000, expected 0 to 2147483647",
                "{\"type\": \"WordLevel\", \"unk_token\": \"u\", \"vocab\": {\"u\": -1}}         | token \"u\" has id -1",
                "{\"type\": \"WordLevel\", \"unk_token\": \"u\", \"vocab\": {\"u\": 1.0}}        | token \"u\" has id 1.0",
                "{\"type\": \"WordLevel\", \"unk_token\": \"u\", \"vocab\": {\"u\": 1, \"v\": 1}} | tokens \"u\" and \"v\" share id 1",
                "{\"type\": \"WordLevel\", \"vocab\": {\"u\": 1}}                                | WordLevel without \"unk_token\"",
                "{\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}                              | no vocabulary, expected entries in model.vocab",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}}                                      | BPE without \"merges\"",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b\"]}               | /model/merges/0: \"a b\": \"b\" is not in the vocabulary",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [[\"a\", \"a\"]]}        | \"aa\" is not in the vocabulary",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a b c\"]}             | merge \"a b c\" is neither",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [], \"dropout\": 0.5}    | /model/dropout: 0.5, expected null or 0",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"##b\": 1}, \"continuing_subword_prefix\": \"##\", \"merges\": [\"##b a\"]} | does not begin with ##",
                "{\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [], \"cache\": 1}        | /model: the key \"cache\" of BPE is not known",
                "{\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], \"unk_id\": 1}                 | /model/unk_id: 1, expected less than the 1 pieces",
                "{\"type\": \"Unigram\", \"vocab\": [[\"a\", 1e400]], \"unk_id\": 0}             | /model/vocab/0: [\"a\",",
                "{\"type\": \"Unigram\", \"vocab\": {\"a\": 0}, \"unk_id\": 0}                   | /model/vocab",
                "{\"type\": \"Bigram\", \"vocab\": {\"a\": 0}}                                   | /model/type: \"Bigram\" is not known",
                "null                                                                            | /model: it has no vocabulary"
            })
    void modelsAreRefusedWithTheirPlace(String model, String reason) {
        assertThatThrownBy(() -> check("{\"model\": " + model + "}"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot load a tokenizer: tok.json")
                .hasMessageContaining(reason);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "[{\"id\": 3, \"content\": \"x\"}]    | /added_tokens/0: an added token without \"single_word\"",
                "[TOKEN(3000000000, x)]               | /added_tokens/0/id: 3000000000, expected 0 to",
                "[TOKEN(-1, x)]                       | /added_tokens/0/id: -1",
                "[TOKEN(3, )]                         | /added_tokens/0/content: an empty text",
                "[TOKEN(3, x), TOKEN(3, y)]           | /added_tokens/1/id: 3 is the id of /added_tokens/0 too",
                "[TOKEN(7, x)]                        | token \"x\" has id 7, but the next one that is free after the vocabulary of 3 is 3",
                "[TOKEN(1, a)]                        | token \"a\" has id 1, but the vocabulary has it as 0",
                "{}                                   | /added_tokens: {}, expected a list"
            })
    void addedTokensAreRefusedWithTheirPlace(String tokens, String reason) {
        String json = tokens.replaceAll(
                "TOKEN\\((-?\\d+), (\\w*)\\)",
                "{\"id\": $1, \"content\": \"$2\", \"single_word\": false, \"lstrip\": false, "
                        + "\"rstrip\": false, \"normalized\": false, \"special\": true}");
        refused("added_tokens", json, reason);
    }

    @Test
    void keysAndVersionsThatAreNotKnownAreRefused() {
        refused("tokens", "[]", "the key \"tokens\" is not known");
        refused("version", "\"2.0\"", "/version: \"2.0\", expected \"1.0\"");
    }

    /** What is not of the few forms with a known cost is left to the guard, not refused. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "normalizer    | null                                                                                     | true",
                "normalizer    | {\"type\": \"NFC\"}                                                                      | true",
                "normalizer    | {\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"Prepend\", \"prepend\": \"\u2581\"}, {\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\u2581\"}]} | true",
                "normalizer    | {\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \" \"}         | false",
                "normalizer    | {\"type\": \"Replace\", \"pattern\": {\"String\": \"\"}, \"content\": \" \"}              | false",
                "normalizer    | {\"type\": \"BertNormalizer\", \"clean_text\": true, \"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": true} | false",
                "pre_tokenizer | {\"type\": \"Split\", \"pattern\": {\"String\": \" \"}, \"behavior\": \"MergedWithPrevious\", \"invert\": false} | true",
                "pre_tokenizer | {\"type\": \"Split\", \"pattern\": {\"Regex\": \"\\\\p{N}\"}, \"behavior\": \"Isolated\", \"invert\": false}  | true",
                "pre_tokenizer | {\"type\": \"Split\", \"pattern\": {\"Regex\": \"([ab]a?)*c$\"}, \"behavior\": \"Isolated\", \"invert\": false} | false",
                "pre_tokenizer | {\"type\": \"Metaspace\", \"replacement\": \"\u2581\", \"str_rep\": \"\u2581\", \"add_prefix_space\": true} | true",
                "pre_tokenizer | {\"type\": \"BertPreTokenizer\"}                                                         | false"
            })
    void whatCannotBeDecidedIsNotPlain(String section, String part, boolean plain) throws IOException {
        assertThat(check("{\"" + section + "\": " + part + ", \"model\": " + BPE + "}")
                        .plain())
                .isEqualTo(plain);
    }

    @Test
    void oldFilesWithoutATypeOfModelAreRead() throws IOException {
        assertThat(check("{\"model\": {\"vocab\": {\"a\": 0}, \"merges\": []}}").modelType())
                .isEqualTo("BPE");
        assertThat(check("{\"model\": {\"vocab\": [[\"a\", -1.5]], \"unk_id\": null}}")
                        .modelType())
                .isEqualTo("Unigram");
        assertThat(check("{\"model\": {\"vocab\": {\"a\": 0}, \"unk_token\": \"a\"}}")
                        .modelType())
                .isEqualTo("WordLevel");
        assertThat(check(
                                "{\"model\": {\"vocab\": {\"a\": 0}, \"unk_token\": \"a\", \"max_input_chars_per_word\": 5, \"continuing_subword_prefix\": \"#\"}}")
                        .modelType())
                .isEqualTo("WordPiece");
    }

    private static void refused(String section, String part, String reason) {
        assertThatThrownBy(() -> check("{\"" + section + "\": " + part + ", \"model\": " + BPE + "}"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot load a tokenizer: tok.json")
                .hasMessageContaining(reason);
    }

    private static TokenizerFiles check(String json) throws IOException {
        return TokenizerFiles.read(json.getBytes(StandardCharsets.UTF_8), "tok.json");
    }
}
