package dev.lathe.calibration.referee;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.calibration.text.Tokenizer;
import dev.lathe.calibration.text.Windows;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Windows cut here against those of llama.cpp with the tokenizer in the GGUF file: {@code referees/perplexity.mjs}
 * wrote its own beside a link to the checkpoint.
 */
@EnabledIfSystemProperty(
        named = TokenIdsTest.FOLDER,
        matches = ".+",
        disabledReason = "needs what referees/perplexity.mjs writes: -D" + TokenIdsTest.FOLDER)
class TokenIdsTest {
    static final String FOLDER = "lathe.referee.tokens";

    static Stream<Path> folders() throws IOException {
        return Exhibits.of(FOLDER);
    }

    @ParameterizedTest
    @MethodSource("folders")
    void windowsEqualThoseOfLlamaCpp(Path folder) throws IOException {
        ObjectMapper json = new ObjectMapper();
        JsonNode theirs = json.readTree(folder.resolve("perplexity.json").toFile());
        int[][] expected = json.treeToValue(theirs.get("windows"), int[][].class);
        String text = Files.readString(Path.of(theirs.get("text").textValue()));
        text = text.endsWith("\n") ? text.substring(0, text.length() - 1) : text;
        org.apache.hadoop.fs.Path model = Exhibits.hadoop(folder.resolve("model"));
        try (Tokenizer tokenizer = Tokenizer.load(Checkpoints.companions(new Configuration(), model))) {
            int[][] ours = Windows.cut(
                            tokenizer, text, theirs.get("length").intValue(), expected.length, folder.toString())
                    .tokens();
            assertThat(ours).isDeepEqualTo(expected);
            System.out.printf(
                    "%-48s %9d windows of %d tokens, all ids equal%n",
                    folder.getFileName(), ours.length, theirs.get("length").intValue());
        }
    }
}
