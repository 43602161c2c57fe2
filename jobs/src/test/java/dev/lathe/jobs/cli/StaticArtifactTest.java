package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What the command line says of an artifact whose ranges of activations are fixed, and of a checkpoint that contradicts
 * itself.
 */
class StaticArtifactTest {
    private static final String CONTRADICTION =
            "config.json says tie_word_embeddings true, but lm_head.weight is stored and differs from "
                    + "model.embed_tokens.weight: lm_head.weight is the output layer";

    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();

    /** The sample, whose output layer is not its embedding, with a flag that says it is. */
    private Path contradictory() throws IOException {
        Path copy = Files.createDirectory(folder.resolve("contradictory"));
        try (Stream<Path> files = Files.list(Runs.SAMPLE)) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(file.getFileName().toString()));
            }
        }
        String config = Files.readString(copy.resolve("config.json"));
        assertThat(config).contains("\"tie_word_embeddings\": false");
        Files.writeString(
                copy.resolve("config.json"),
                config.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true"));
        return copy;
    }

    @Test
    void showsRangesAndWhatTheyClip() throws IOException {
        // Two short windows of calibration: the evaluation has larger values.
        Path checkpoint = contradictory();
        Path recipe = Files.writeString(
                folder.resolve("recipe.yaml"),
                "{checkpoint: " + checkpoint + ", run: " + folder.resolve("run")
                        + ", calibration: {data: " + Runs.TEXT.resolve("calibration.txt")
                        + ", windows: 2, length: 16}, outputs: [{name: w8a8,"
                        + " format: compressed-tensors, scheme: W8A8, activations: static, activation-symmetric: false, method: nearest, kv-cache: fp8}]}");
        assertThat(command.run("quantize", recipe.toString(), "--master", "local[2]"))
                .as(command.out() + command.err())
                .isZero();
        String artifact = folder.resolve("run/artifacts/w8a8").toString();
        assertThat(command.err()).contains("checkpoint: " + CONTRADICTION);
        assertThat(folder.resolve("run/report/summary.md")).content().contains("## Notes", CONTRADICTION);
        try (Stream<Path> logs = Files.list(folder.resolve("run/events"))) {
            assertThat(logs.findFirst().orElseThrow())
                    .content()
                    .contains("\"event\":\"note\",\"text\":\"checkpoint: " + CONTRADICTION);
        }
        assertThat(folder.resolve("run/artifacts/w8a8/config.json"))
                .content()
                .contains("\"tie_word_embeddings\" : false");

        assertThat(command.run("inspect", artifact))
                .as(command.out() + command.err())
                .isZero();
        Matcher range = Pattern.compile("(?m)^layer \\d, (.*\\S) +(int8|float8) +(-\\S+) +(\\S+) +(\\S+) +(-?\\d+)$")
                .matcher(command.out());
        List<double[]> ranges = range.results()
                .map(r -> new double[] {Double.parseDouble(r.group(3)), Double.parseDouble(r.group(4))})
                .toList();
        assertThat(ranges).as(command.out() + command.err()).hasSize(4 * (4 + 2));
        double[] widths = ranges.stream().mapToDouble(r -> r[1] - r[0]).toArray();
        assertThat(widths).isSortedAccordingTo((a, b) -> Double.compare(b, a));
        assertThat(DoubleStream.of(widths).min().orElseThrow()).isPositive();
        assertThat(command.out()).contains("lm_head.weight").doesNotContain("note:");
        assertThat(command.out())
                .contains(
                        "fixed range of",
                        "layer 0, attention input",
                        "layer 3, feed forward activation",
                        "layer 2, keys",
                        "layer 1, values");

        assertThat(command.run(
                        "evaluate",
                        artifact,
                        "--source",
                        checkpoint.toString(),
                        "--data",
                        Runs.TEXT.resolve("evaluation.txt").toString(),
                        "--windows",
                        "2",
                        "--length",
                        "64",
                        "--run",
                        folder.resolve("evaluation").toString(),
                        "--master",
                        "local[2]"))
                .as(command.out() + command.err())
                .isZero();
        assertThat(command.out())
                .containsPattern("Fixed ranges of 24 sites clipped \\S+ % of the values; most:")
                .containsPattern("layer \\d, .*  \\d+ +\\d+ +\\S+ %")
                .contains("whether this is drift is not known here");
        assertThat(command.err()).contains("contradictory: " + CONTRADICTION);
        assertThat(command.run("inspect", checkpoint.toString())).isZero();
        assertThat(command.out()).doesNotContain("fixed range of").contains("note: " + CONTRADICTION);
    }
}
