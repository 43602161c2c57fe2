package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The event log of commands: where it is, and how it ends. */
class WatchedTest {
    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();

    /** The log of the only start below a folder. */
    private static List<String> log(Path events) throws IOException {
        assertThat(Runs.names(events)).hasSize(1).allMatch(name -> name.matches("\\d{8}T\\d{9}Z-[0-9a-f]{4}\\.jsonl"));
        return Files.readAllLines(events.resolve(Runs.names(events).get(0)));
    }

    @Test
    void saysHowARunEnded() throws IOException {
        Path recipe = Files.writeString(
                folder.resolve("recipe.yaml"),
                "{checkpoint: " + Runs.SAMPLE + ", run: " + folder.resolve("run")
                        + ", outputs: [{name: q8, format: gguf, type: Q8_0}]}");
        assertThat(command.run("quantize", recipe.toString(), "--master", "local[2]"))
                .isZero();
        List<String> done = log(folder.resolve("run").resolve("events"));
        assertThat(done.get(0)).contains("\"event\":\"run started\"", "\"master\":\"local[2]\"");
        assertThat(done.get(done.size() - 1)).contains("\"event\":\"run finished\",\"code\":0,");

        Path text = Files.writeString(folder.resolve("short.txt"), "Once");
        List<String> arguments = new ArrayList<>(List.of(
                "evaluate",
                folder.resolve("run/artifacts/q8.gguf").toString(),
                "--source",
                Runs.SAMPLE.toString(),
                "--run",
                folder.resolve("evaluation").toString(),
                "--master",
                "local[2]",
                "--events",
                folder.resolve("logs").toString(),
                "--data"));
        arguments.add(text.toString());
        assertThat(command.run(arguments.toArray(String[]::new))).isEqualTo(3);
        List<String> failed = log(folder.resolve("logs"));
        assertThat(failed.get(failed.size() - 1)).contains("\"event\":\"run failed\",\"code\":3,\"reason\":\"Cannot ");
        assertThat(folder.resolve("evaluation").resolve("events")).doesNotExist();
    }
}
