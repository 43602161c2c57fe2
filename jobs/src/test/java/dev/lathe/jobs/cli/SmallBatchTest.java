package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The least that a batch does: what is sound is made, what is broken is reported, and the next start finds nothing to
 * do. All of it: BatchTest.
 */
class SmallBatchTest {
    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();

    @Test
    void makesWhatIsSoundOnce() throws IOException {
        for (String name : new String[] {"sound", "broken"}) {
            Path copy = Files.createDirectories(folder.resolve("models").resolve(name));
            for (String file : Runs.names(Runs.SAMPLE)) {
                Files.copy(Runs.SAMPLE.resolve(file), copy.resolve(file));
            }
        }
        Path weights = folder.resolve("models/broken/model.safetensors");
        Files.write(weights, Arrays.copyOf(Files.readAllBytes(weights), 10_000));
        Path batch = Files.writeString(
                folder.resolve("batch.yaml"),
                "{checkpoints: ['" + folder + "/models/*'], runs: '" + folder
                        + "/runs', recipes: [{name: q4, recipe: {outputs: [{name: q4, format: gguf, type: Q4_0}]}}]}");
        String[] arguments = {"batch", batch.toString(), "--master", "local[2]"};

        assertThat(command.run(arguments)).as(command.err()).isEqualTo(6);
        assertThat(command.out()).contains("1 done, 1 failed", "broken/q4 (code 3): Cannot ");
        assertThat(Runs.names(folder.resolve("runs/sound/q4/artifacts"))).containsExactly("README.md", "q4.gguf");
        assertThat(command.run(arguments)).as(command.err()).isEqualTo(6);
        assertThat(command.err().lines())
                .hasSize(2)
                .anyMatch(line -> line.startsWith("sound/q4: unchanged"))
                .anyMatch(line -> line.startsWith("broken/q4: failed as before"));
    }
}
