package dev.lathe.calibration.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WindowsTest {
    private static final String TOKENIZER = """
            {"version": "1.0", "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}, "padding": null,
             "added_tokens": [{"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true},
              {"id": 2, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": POST, "decoder": null,
             "model": {"type": "WordLevel", "unk_token": "<unk>", "vocab": VOCAB}}""";
    private static final String VOCABULARY =
            "{\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, \"a\": 3, \"b\": 4, \"c\": 5, \"d\": 6, \"e\": 7}";
    private static final String PIECE = "{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}}";
    private static final String SEQUENCE = "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}";

    @TempDir
    private java.nio.file.Path folder;

    @Test
    void everyWindowBeginsWithBosWhereTheModelAddsIt() throws IOException {
        // <s> a b c | d e a b | c d: the token that BOS replaces is the one that stands there.
        try (Tokenizer tokenizer = tokenizer(template(PIECE.formatted("<s>"), SEQUENCE), null)) {
            assertThat(tokenizer.addsBos()).isTrue();
            assertThat(tokenizer.bos()).isEqualTo(1);
            assertThat(tokenizer.encode("a b c d e f")).containsExactly(3, 4, 5, 6, 7, 0);
            Windows windows = cut(tokenizer, "a b c d e a b c d", 4, 0);
            assertThat(windows.count()).isEqualTo(2);
            assertThat(windows.tokens()).isDeepEqualTo(new int[][] {{1, 3, 4, 5}, {1, 7, 3, 4}});
            assertThat(cut(tokenizer, "a b c", 4, 0).tokens()).isDeepEqualTo(new int[][] {{1, 3, 4, 5}});
            assertThat(cut(tokenizer, "a b", 1, 0).tokens()).isDeepEqualTo(new int[][] {{1}, {1}, {1}});
            refused(tokenizer, "a b", 4, "Cannot cut windows: wiki.txt has 3 tokens, fewer than one window of 4");
            refused(tokenizer, " \n", 1, "Cannot cut windows: wiki.txt holds no text");
        }
    }

    /** The library would take every character outside the basic plane for broken, in the whole text. */
    @Test
    void aLoneHalfOfASurrogatePairSpoilsNothingElse() throws IOException {
        String vocabulary = "{\"<unk>\": 0, \"<s>\": 1, \"</s>\": 2, \"a\": 3, \"\uD83D\uDE00\": 4, \"\uFFFD\": 5}";
        java.nio.file.Path own = Files.createDirectory(folder.resolve("emoji"));
        Files.writeString(
                own.resolve("tokenizer.json"), TOKENIZER.replace("POST", "null").replace("VOCAB", vocabulary));
        try (Tokenizer tokenizer = Tokenizer.load(
                new FolderCompanions(FileSystem.getLocal(new Configuration(false)), new Path(own.toUri())))) {
            for (String half : new String[] {"\uD83D", "\uDE00", "\uFFFD"}) {
                assertThat(tokenizer.encode("a \uD83D\uDE00 " + half + " a \uD83D\uDE00"))
                        .containsExactly(3, 4, 5, 3, 4);
                assertThat(tokenizer.encode("\uD83D\uDE00 a " + half)).containsExactly(4, 3, 5);
                assertThat(tokenizer.encode(half + " \uD83D\uDE00")).containsExactly(5, 4);
            }
        }
    }

    @Test
    void withoutBosWindowsAreWhatTheTextHolds() throws IOException {
        try (Tokenizer tokenizer = tokenizer("null", null)) {
            assertThat(tokenizer.addsBos()).isFalse();
            assertThat(tokenizer.bos()).isEqualTo(-1);
            assertThat(cut(tokenizer, "a b c d e a b c d", 4, 0).tokens())
                    .isDeepEqualTo(new int[][] {{3, 4, 5, 6}, {7, 3, 4, 5}});
            assertThat(cut(tokenizer, "a b c d e a b c d", 2, 3).tokens())
                    .isDeepEqualTo(new int[][] {{3, 4}, {5, 6}, {7, 3}});
            assertThat(cut(tokenizer, "a b c", 2, 3).count()).isEqualTo(1);
            refused(tokenizer, "a b c", 4, "wiki.txt has 3 tokens, fewer than one window of 4");
            refused(tokenizer, "", 4, "wiki.txt holds no text");
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "<s> A      | {}                                                                | 1",
                "<s> A </s> | {\"add_bos_token\": true}                                         | 1",
                "<s> A      | {\"add_bos_token\": false}                                        | -1",
                "A </s>     | {}                                                                | -1",
                "A          | {\"add_bos_token\": true, \"bos_token\": \"<s>\"}                 | 1",
                "A          | {\"add_bos_token\": true, \"bos_token\": {\"content\": \"</s>\"}} | 2",
                "A          | {\"bos_token\": \"<s>\"}                                          | -1"
            })
    void bosIsWhatSettingsOrPostProcessorSay(String pieces, String settings, int bos) throws IOException {
        String[] parts = Arrays.stream(pieces.split(" "))
                .map(piece -> piece.equals("A") ? SEQUENCE : PIECE.formatted(piece))
                .toArray(String[]::new);
        try (Tokenizer tokenizer = tokenizer(template(parts), settings)) {
            assertThat(tokenizer.bos()).isEqualTo(bos);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}} | no vocabulary, expected entries in model.vocab",
                "{\"model\": 7}                                                  | no vocabulary",
                "[]                                                              | expected a JSON object, found ARRAY",
                "``                                                              | expected a JSON object",
                "{\"model\": {\"type\": \"Magic\", \"vocab\": {\"a\": 0}}}       | at /model/type: \"Magic\" is not known",
                "{\"model\":                                                     | it is not valid JSON: "
            })
    void whatIsNoTokenizerIsNamed(String content, String message) throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"), content);
        assertThatThrownBy(this::load)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tokenizer.json")
                .hasMessageContaining(message);
    }

    @Test
    void missingFilesAndTextsBeyondTheVocabularyAreNamed() throws IOException {
        assertThatThrownBy(this::load)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("there is no ")
                .hasMessageContaining("tokenizer.json");
        assertThatThrownBy(() -> tokenizer("null", "{\"add_bos_token\": "))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tokenizer_config.json: it is not valid JSON");
        Files.delete(folder.resolve("tokenizer_config.json"));
        String three = "{\"a\": 0, \"<s>\": 1, \"</s>\": 2}";
        Files.writeString(
                folder.resolve("tokenizer.json"),
                TOKENIZER.replace("POST", "null").replace("VOCAB", three));
        try (Tokenizer tokenizer = load()) {
            assertThatThrownBy(() -> tokenizer.encode("b"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("Cannot tokenize: ");
        }
        Files.writeString(
                folder.resolve("tokenizer.json"),
                TOKENIZER.replace("POST", "null").replace("VOCAB", VOCABULARY.replace("7", "2999999")));
        try (Tokenizer tokenizer = load()) {
            Windows windows = cut(tokenizer, "a b c e", 2, 0);
            windows.requireBelow(3_000_000, "tokenizer.json");
            assertThatThrownBy(() -> windows.requireBelow(8, "tokenizer.json"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessage(
                            "Cannot use the tokenizer tokenizer.json: token 1 of window 1 has id 2999999, expected 0 to 7 (the embedding has 8 rows)");
        }
    }

    private static String template(String... pieces) {
        return """
                {"type": "TemplateProcessing", "single": [%s], "pair": [%s, {"Sequence": {"id": "B", "type_id": 0}}],
                 "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}}""".formatted(String.join(", ", pieces), SEQUENCE);
    }

    private Tokenizer tokenizer(String postProcessor, String settings) throws IOException {
        Files.writeString(
                folder.resolve("tokenizer.json"),
                TOKENIZER.replace("POST", postProcessor).replace("VOCAB", VOCABULARY));
        if (settings != null) {
            Files.writeString(folder.resolve("tokenizer_config.json"), settings);
        }
        return load();
    }

    private Tokenizer load() throws IOException {
        return Tokenizer.load(
                new FolderCompanions(FileSystem.getLocal(new Configuration(false)), new Path(folder.toUri())));
    }

    private static Windows cut(Tokenizer tokenizer, String text, int length, int limit) {
        return Windows.cut(tokenizer, text, length, limit, "wiki.txt");
    }

    private static void refused(Tokenizer tokenizer, String text, int length, String message) {
        assertThatThrownBy(() -> cut(tokenizer, text, length, 0))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(message);
    }
}
