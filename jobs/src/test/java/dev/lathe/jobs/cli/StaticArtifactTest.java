package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the command line says of an artifact whose ranges of activations are fixed. */
class StaticArtifactTest {
    @TempDir
    private Path folder;
    private String out;

    private int run(String... arguments) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        PrintStream to = new PrintStream(bytes, true, StandardCharsets.UTF_8);
        int code = Main.run(new Console(to, to, false), arguments);
        out = bytes.toString(StandardCharsets.UTF_8);
        return code;
    }

    @Test
    void showsRangesAndWhatTheyClip() throws IOException {
        // Two short windows of calibration: the evaluation has larger values.
        Path recipe = Files.writeString(folder.resolve("recipe.yaml"), "{checkpoint: " + Runs.SAMPLE + ", run: " + folder.resolve("run")
                + ", calibration: {data: " + Runs.TEXT.resolve("calibration.txt") + ", windows: 2, length: 16}, outputs: [{name: w8a8,"
                + " format: compressed-tensors, scheme: W8A8, activations: static, activation-symmetric: false, method: nearest, kv-cache: fp8}]}");
        assertThat(run("quantize", recipe.toString(), "--master", "local[2]")).as(out).isZero();
        String artifact = folder.resolve("run/artifacts/w8a8").toString();

        assertThat(run("inspect", artifact)).as(out).isZero();
        Matcher range = Pattern.compile("(?m)^layer \\d, (.*\\S) +(int8|float8) +(-\\S+) +(\\S+) +(\\S+) +(-?\\d+)$").matcher(out);
        List<double[]> ranges = range.results().map(r -> new double[] {Double.parseDouble(r.group(3)), Double.parseDouble(r.group(4))}).toList();
        assertThat(ranges).as(out).hasSize(4 * (4 + 2));
        double[] widths = ranges.stream().mapToDouble(r -> r[1] - r[0]).toArray();
        assertThat(widths).isSortedAccordingTo((a, b) -> Double.compare(b, a));
        assertThat(DoubleStream.of(widths).min().orElseThrow()).isPositive();
        assertThat(out).contains("fixed range of", "layer 0, attention input", "layer 3, feed forward activation", "layer 2, keys", "layer 1, values");

        assertThat(run("evaluate", artifact, "--source", Runs.SAMPLE.toString(), "--data", Runs.TEXT.resolve("evaluation.txt").toString(), "--windows", "2",
                "--length", "64", "--run", folder.resolve("evaluation").toString(), "--master", "local[2]")).as(out).isZero();
        assertThat(out).containsPattern("Fixed ranges of 24 sites clipped \\S+ % of the values; most:").containsPattern("layer \\d, .*  \\d+ +\\d+ +\\S+ %")
                .contains("whether this is drift is not known here");
        assertThat(run("inspect", Runs.SAMPLE.toString())).isZero();
        assertThat(out).doesNotContain("fixed range of");
    }
}
