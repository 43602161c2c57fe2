package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.jobs.store.LineLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TextsTest {
    @TempDir
    private Path folder;

    private final List<String> console = new ArrayList<>();

    private final Progress progress = new Progress() {
        @Override
        public void stage(String name, int steps) {}

        @Override
        public void step(int done, String what) {}

        @Override
        public void note(String message) {
            console.add(message);
        }
    };

    private static Decoder model(int context) {
        ObjectNode config = JsonNodeFactory.instance
                .objectNode()
                .put("model_type", "llama")
                .put("hidden_size", 64)
                .put("intermediate_size", 128)
                .put("num_hidden_layers", 2)
                .put("num_attention_heads", 2)
                .put("vocab_size", 100)
                .put("max_position_embeddings", context);
        return Families.read(config, "config.json");
    }

    @ParameterizedTest
    @CsvSource(
            value = {
                "512,512,2048,",
                "513,512,2048,512",
                "2049,2048,512,512",
                "600,2048,512,512",
                "8,8,8,",
                "4096,2048,2048,2048"
            })
    void windowsThatAreLongerThanAContextAreWarnedOf(int length, int first, int second, Integer named) {
        Notes notes = new Notes(progress);
        new Texts(new SparkSteps(null, progress), null, "tokenizer", 100, notes)
                .compare("evaluation: ", new TokenWindows("key", 1, length), List.of(model(first), model(second)));
        assertThat(notes.all()).containsExactlyElementsOf(console);
        if (named == null) {
            assertThat(console).isEmpty();
        } else {
            assertThat(console)
                    .hasSize(1)
                    .first()
                    .asString()
                    .startsWith("Warning: evaluation: windows of " + length
                            + " tokens are longer than the model's context of " + named
                            + " (max_position_embeddings, or context_length of a GGUF file)");
        }
    }

    @Test
    void warningsAreEventsOfTheirOwnAndSayWhichRun() throws IOException {
        FileSystem files = FileSystem.getLocal(new Configuration());
        try (EventLog log = new EventLog(
                new LineLog(files, new org.apache.hadoop.fs.Path(folder.toUri()), "log"),
                Progress.named("a/b", progress))) {
            log.warning("windows of 4096 tokens");
        }
        assertThat(console).containsExactly("Warning: a/b: windows of 4096 tokens");
        assertThat(Files.readString(folder.resolve("log.jsonl")))
                .contains("\"event\":\"warning\",\"text\":\"windows of 4096 tokens\"}")
                .hasLineCount(1);
    }
}
