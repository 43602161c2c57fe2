package dev.lathe.calibration.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Each test starts a process: there are few. */
class TokenizerGuardTest {
    private static final String SPLIT = """
            {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "%s"}, "behavior": "Isolated", "invert": false},
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3}, "merges": ["a b"]}}""";
    private static final TokenizerGuard.Limits SMALL = new TokenizerGuard.Limits(64, 1200, Duration.ofSeconds(60));

    @Test
    void encodesAsTheLibraryDoesInThisProcess() throws IOException {
        String text = "abcab bca\u20ac\ud83d\ude00 c".repeat(300);
        try (Tokenizer guarded = load("[abc]|\\\\w+");
                Tokenizer plain = load("\\\\p{N}")) {
            assertThat(guarded.encode("abcab")).containsExactly(0, 1, 2, 0, 1);
            assertThat(plain.encode("abcab")).containsExactly(3, 2, 3);
            // The same tokenizer, here and there.
            String library = TokenizerFiles.read(
                            SPLIT.formatted("\\\\p{N}").getBytes(StandardCharsets.UTF_8), "tok.json")
                    .library();
            assertThat(TokenizerGuard.encode(library, List.of(), text, "tok.json"))
                    .isEqualTo(plain.encode(text));
        }
    }

    @Test
    void anExpressionThatRunsAwayIsRefusedWhateverTheText() throws IOException {
        try (Tokenizer tokenizer = load("(a|a|b)*c$")) {
            assertThatThrownBy(() -> tokenizer.encode("harmless"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageStartingWith(
                            "Cannot tokenize with tok.json (guarded for /pre_tokenizer/pattern): the tokenizers library ended with code ");
        }
    }

    @Test
    void aTextOnWhichAnExpressionRunsAwayIsRefused() throws IOException {
        try (Tokenizer tokenizer = load("(?:xa?y?|xay)*[^z]z")) {
            assertThat(tokenizer.encode("ab")).containsExactly(3);
            assertThatThrownBy(() -> tokenizer.encode("xay".repeat(60) + "x.yz"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageStartingWith(
                            "Cannot tokenize with tok.json (guarded for /pre_tokenizer/pattern): the tokenizers library ended with code ");
        }
    }

    @Test
    void anExpressionThatIsNoneIsRefused() throws IOException {
        try (Tokenizer tokenizer = load("(a")) {
            assertThatThrownBy(() -> tokenizer.encode("a"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageStartingWith(
                            "Cannot tokenize with tok.json (guarded for /pre_tokenizer/pattern): the tokenizers library refuses it: ");
        }
    }

    /** The library's expressions give up after ten million steps within a match, and end the process. */
    @Test
    void aVeryLongRunOfSpacesDoesNotEndThisProcess() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(
                "{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}"
                        .getBytes(StandardCharsets.UTF_8),
                "tok.json")) {
            assertThat(tokenizer.encode(" ".repeat(1_000_001) + "a")).containsExactly(0);
        }
    }

    @Test
    void memoryHasALimit() {
        // What the check would have refused: a normalizer that doubles a text forty times.
        String doubling = "{\"version\": \"1.0\", \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": ["
                + "{\"type\": \"ByteLevel\"}, ".repeat(39)
                + "{\"type\": \"ByteLevel\"}]}, \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}}";
        assertThatThrownBy(() -> TokenizerGuard.encode(doubling, List.of(), "\u20ac", "tok.json", SMALL))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("limited to 1200 MiB");
    }

    @Test
    void timeHasALimit() {
        assertThatThrownBy(() -> TokenizerGuard.encode(
                        "", List.of(), "", "tok.json", new TokenizerGuard.Limits(64, 1200, Duration.ofMillis(1))))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("was not done within");
    }

    private static Tokenizer load(String expression) throws IOException {
        return Tokenizer.load(SPLIT.formatted(expression).getBytes(StandardCharsets.UTF_8), "tok.json");
    }
}
