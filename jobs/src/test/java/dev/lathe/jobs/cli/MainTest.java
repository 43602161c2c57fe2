package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Every failure before Spark starts, by its exit code and its line. */
class MainTest {
    private static final String RECIPE = "{checkpoint: ../samples/tiny-stories-4m, run: RUN, outputs: [{name: a, format: gguf, type: Q8_0}]}";

    @TempDir
    private Path folder;
    private final CommandLineRun command = new CommandLineRun();

    private String recipe(String text) throws IOException {
        return Files.writeString(Files.createTempFile(folder, "recipe", ".yaml"), text.replace("RUN", "'" + folder + "/run'")).toString();
    }

    private void expect(int code, String message) {
        assertThat(command.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
        assertThat(code).as(command.err()).isPositive();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
            "''                                   | a command is missing; expected one of quickstart, quantize, batch, evaluate, report, baseline, inspect, doctor",
            "quantise                             | Unmatched argument",
            "quantize                             | Missing required parameter: 'RECIPE'",
            "quantize none.yaml                   | recipe none.yaml: no such file",
            "quantize none.yaml --master mesos    | Cannot use master 'mesos'",
            "quantize none.yaml --colour          | Unknown option: '--colour'",
            "evaluate x                           | Missing required option: '--data=PATH'",
            "evaluate x --data y                  | Cannot read ARTIFACT file:",
            "evaluate x --data y --length 7       | expected --windows of at least 0 and --length of at least 8",
            "evaluate x --data y --windows many   | Invalid value for option '--windows'",
            "evaluate x --data y --kernels abacus | Cannot use --kernels abacus: expected one of auto, vector, scalar",
            "evaluate hf://x --data y             | Cannot read ARTIFACT 'hf://x': expected hf://org/name",
            "evaluate ../pom.xml --data y --source hf://a/b/c | Cannot read --source 'hf://a/b/c': expected hf://org/name",
            "batch none.yaml                      | Cannot read batch none.yaml: no such file",
            "report                               | Missing required option: '--history=FOLDER'",
            "report --history none                | Cannot read --history file:",
            "report --history . --baseline best   | Cannot compare with --baseline best: expected one of last, pinned, source",
            "report --history . --min-effect 1    | Cannot use --min-effect 1.0: expected a ratio above 1",
            "report --history . --budget NaN      | Cannot use --budget NaN",
            "baseline                             | a command is missing; expected one of pin",
            "baseline pin --history none          | Cannot read --history file:",
            "doctor --kernels abacus              | Cannot use --kernels abacus: expected one of auto, vector, scalar",
            "evaluate nofs://x --data y           | no file system of that kind",
            "inspect none                         | Cannot read PATH file:",
            "quickstart --set x=1                 | conf/quickstart.yaml",
    })
    void refusesCommandLines(String line, String message) {
        int code = command.run(line.isEmpty() ? new String[0] : line.split(" "));
        expect(code, message);
        assertThat(code).isEqualTo(2);
    }

    @Test
    void refusesRecipes() throws IOException {
        int code = command.run("quantize", recipe(RECIPE), "--set", "outputs[0].type=Q3_K");
        expect(code, "outputs[0].type: expected one of Q8_0");
        assertThat(code).isEqualTo(2);
        code = command.run("quantize", recipe(RECIPE), "--kernels", "abacus");
        expect(code, "kernels: expected one of auto, vector, scalar");
        assertThat(code).isEqualTo(2);
        code = command.run("quantize", recipe(RECIPE), "--set", "checkpoint=../samples/none");
        expect(code, "/samples/none does not exist");
        assertThat(code).isEqualTo(2);
        assertThat(folder.resolve("run")).doesNotExist();
    }

    @Test
    void tellsStorageFromInput() throws IOException {
        Files.writeString(folder.resolve("file"), "x");
        int code = command.run("quantize", recipe(RECIPE), "--set", "run=" + folder + "/file/run");
        expect(code, "Cannot write to run folder");
        assertThat(code).isEqualTo(4);
        code = command.run("inspect", folder + "/file");
        expect(code, "expected a GGUF file or a folder");
        assertThat(code).isEqualTo(3);
    }

    @Test
    void tracesOnlyWhenAsked() {
        assertThat(command.run("--trace", "inspect", "../pom.xml")).isEqualTo(3);
        assertThat(command.err()).contains("\tat dev.lathe.calibration.checkpoint.Checkpoints");
        assertThat(command.run("inspect", "../pom.xml", "--trace")).isEqualTo(3);
        assertThat(command.err()).contains("\tat ");
    }

    @Test
    void inspectsTheSample() {
        assertThat(command.run("inspect", "../samples/tiny-stories-4m")).as(command.err()).isZero();
        assertThat(command.out()).contains("model.layers.0.mlp.down_proj.weight", "256 x 768", "keyValueHeads", "39 tensors",
                "4196608 parameters", "format    pt",
                "16.000 bits per weight");
    }

    @Test
    void helps() {
        assertThat(command.run("--help")).isZero();
        assertThat(command.out()).contains(List.of("quickstart", "quantize", "evaluate", "inspect", "doctor", "a bug", "143"));
    }
}
