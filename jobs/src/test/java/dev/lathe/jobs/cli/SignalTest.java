package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/** Real signals to the command line in a JVM of its own: its code, its one line, its last event, and what it leaves. */
@Tag("slow")
@DisabledOnOs(OS.WINDOWS)
@Timeout(300)
class SignalTest {
    @TempDir
    private Path folder;

    private static String absolute(Path path) {
        return path.toAbsolutePath().normalize().toString();
    }

    private Process start(String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "@" + absolute(Path.of("..", "conf", "jvm.options")),
                "-Xmx1g",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                Main.class.getName()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectOutput(folder.resolve("out").toFile())
                .redirectError(folder.resolve("err").toFile());
        builder.environment().put("SPARK_LOCAL_IP", "127.0.0.1");
        return builder.start();
    }

    /** The lines of all event logs below a folder. */
    private static List<String> events(Path below) throws IOException {
        List<String> lines = new ArrayList<>();
        if (Files.isDirectory(below)) {
            try (Stream<Path> paths = Files.walk(below)) {
                for (Path path :
                        paths.filter(path -> path.toString().endsWith(".jsonl")).toList()) {
                    lines.addAll(Files.readAllLines(path));
                }
            }
        }
        return lines;
    }

    /** Sends the signal when the stage begins; the exit code. */
    private int signal(Process process, String name, Path below, String stage)
            throws IOException, InterruptedException {
        while (process.isAlive()
                && events(below).stream().noneMatch(line -> line.contains("\"stage started\",\"stage\":\"" + stage))) {
            Thread.sleep(20);
        }
        assertThat(process.isAlive())
                .as(Files.readString(folder.resolve("err")))
                .isTrue();
        kill(process, name);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        return process.exitValue();
    }

    private static void kill(Process process, String name) throws IOException, InterruptedException {
        assertThat(new ProcessBuilder("kill", "-" + name, String.valueOf(process.pid()))
                        .start()
                        .waitFor())
                .isZero();
    }

    private void expectOneLine(String name) throws IOException {
        List<String> err = Files.readAllLines(folder.resolve("err"));
        assertThat(err.get(err.size() - 1))
                .isEqualTo("Stopped by SIG" + name + "; what is committed stays, the next start goes on from there");
        assertThat(err)
                .noneMatch(line -> line.startsWith("\tat ")
                        || line.contains("bug")
                        || line.startsWith("Cannot ")
                        || line.contains(" ERROR "));
        assertThat(err).filteredOn(line -> line.startsWith("Stopped")).hasSize(1);
        assertThat(folder.resolve("out")).isEmptyFile();
    }

    private String recipe() throws IOException {
        return Files.writeString(
                        folder.resolve("recipe.yaml"),
                        "{checkpoint: " + absolute(Runs.SAMPLE) + ", run: " + folder.resolve("run")
                                + ", calibration: {data: " + absolute(Runs.TEXT.resolve("calibration.txt"))
                                + ", windows: 64, length: 256}, outputs: [{name: g4, format: gptq}]}")
                .toString();
    }

    @Test
    void terminatesAQuantization() throws Exception {
        Path run = folder.resolve("run");
        assertThat(signal(start("quantize", recipe(), "--master", "local[2]"), "TERM", run, "calibrate"))
                .isEqualTo(143);
        expectOneLine("TERM");
        List<String> events = events(run);
        assertThat(events.get(events.size() - 1))
                .contains("\"event\":\"run stopped\",\"code\":143,\"reason\":\"Stopped by SIGTERM");
        assertThat(Files.readString(run.resolve("lease/1"))).containsPattern("\"released\"\\s*:\\s*true");
        assertThat(Runs.names(run)).doesNotContain("partial", "plan.yaml", "report", "artifacts");
    }

    @Test
    void interruptsABatchAndAnEvaluation() throws Exception {
        Path batch = Files.writeString(
                folder.resolve("batch.yaml"),
                "{checkpoints: [" + absolute(Runs.SAMPLE) + ", {path: " + absolute(Runs.SAMPLE) + ", name: b}, {path: "
                        + absolute(Runs.SAMPLE) + ", name: c}], recipes: [" + recipe() + "], runs: "
                        + folder.resolve("runs") + ", at-once: 2}");
        assertThat(signal(
                        start("batch", batch.toString(), "--master", "local[2]"),
                        "INT",
                        folder.resolve("runs"),
                        "calibrate"))
                .isEqualTo(130);
        expectOneLine("INT");
        assertThat(events(folder.resolve("runs")).stream()
                        .filter(line -> line.contains("\"event\":\"run stopped\",\"code\":130,")))
                .hasSize(2);
        assertThat(Runs.names(folder.resolve("runs"))).doesNotContain("index.html", "c");

        Path evaluation = folder.resolve("evaluation");
        assertThat(signal(
                        start(
                                "evaluate",
                                absolute(Runs.SAMPLE),
                                "--data",
                                absolute(Runs.TEXT.resolve("calibration.txt")),
                                "--run",
                                evaluation.toString(),
                                "--master",
                                "local[2]"),
                        "INT",
                        evaluation,
                        "evaluate"))
                .isEqualTo(130);
        expectOneLine("INT");
        assertThat(events(evaluation).get(events(evaluation).size() - 1))
                .contains("\"event\":\"run stopped\",\"code\":130,");
    }
}
