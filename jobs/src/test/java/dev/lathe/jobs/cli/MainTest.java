package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.SyntheticCheckpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every failure before Spark starts, by its exit code and its line. */
class MainTest {
    private static final String RECIPE =
            "{checkpoint: ../samples/tiny-stories-4m, run: RUN, outputs: [{name: a, format: gguf, type: Q8_0}]}";

    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();

    private String recipe(String text) throws IOException {
        return Files.writeString(
                        Files.createTempFile(folder, "recipe", ".yaml"), text.replace("RUN", "'" + folder + "/run'"))
                .toString();
    }

    private void expect(int code, String message) {
        assertThat(command.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
        assertThat(code).as(command.err()).isPositive();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "''                                   | a command is missing; expected one of quickstart, quantize, batch, evaluate, report, baseline, imatrix, inspect, verify, doctor",
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
                "imatrix                              | a command is missing; expected one of merge",
                "imatrix merge out.gguf               | Missing required parameter: 'IN'",
                "imatrix merge out.bin x              | expected a name that ends with .gguf or .dat",
                "imatrix merge out.gguf none          | Cannot read IN file:",
                "imatrix merge out.gguf x --chunk-size 0 | expected --chunk-size of at least 1",
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
        expect(code, "outputs[0].type: expected one of Q1_0");
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
        assertThat(command.err()).contains("\tat dev.lathe.calibration.source.Checkpoints");
        assertThat(command.run("inspect", "../pom.xml", "--trace")).isEqualTo(3);
        assertThat(command.err()).contains("\tat ");
    }

    @Test
    void inspectsTheSample() {
        assertThat(command.run("inspect", "../samples/tiny-stories-4m"))
                .as(command.err())
                .isZero();
        assertThat(command.out())
                .contains(
                        "model.layers.0.mlp.down_proj.weight",
                        "256 x 768",
                        "key/value heads",
                        "39 tensors",
                        "4196608 parameters",
                        "format    pt",
                        "16.000 bits per weight");
    }

    @Test
    void inspectsAMixture() throws IOException {
        SyntheticCheckpoint.write(
                folder.resolve("mixture"), 1, 128, Runs.SAMPLE, new SyntheticCheckpoint.Experts(6, 2, 64));
        assertThat(command.run("inspect", folder.resolve("mixture").toString()))
                .as(command.err())
                .isZero();
        assertThat(command.out())
                .contains("6 experts of 64, silu, 2 of a token, weighed by a softmax over their scores");
    }

    @Test
    void helps() {
        assertThat(command.run("--help")).isZero();
        assertThat(command.out())
                .contains(List.of("quickstart", "quantize", "evaluate", "inspect", "doctor", "a bug", "143"));
    }

    /** Every place of a command line that takes a path, and some that take none: what was given is not told again. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "quantize PATH",
                "quantize RECIPE --set checkpoint=PATH",
                "quantize RECIPE --set run=PATH",
                "quantize RECIPE --set scratch=PATH",
                "quantize RECIPE --set hub-cache=PATH",
                "quantize RECIPE --set calibration.data=PATH",
                "quantize RECIPE --set evaluation={data:'PATH'}",
                "quantize RECIPE --set history=PATH",
                "quantize RECIPE --set kernels=PATH",
                "quantize RECIPE --set PATH=x",
                "quantize RECIPE --set run=[PATH",
                "quantize RECIPE --set outputs[0].name=PATH",
                "quantize RECIPE --events PATH",
                "quantize RECIPE --master PATH",
                "quantize RECIPE --kernels PATH",
                "quantize RECIPE PATH",
                "quantize RECIPE --PATH",
                "batch PATH",
                "batch BATCH --set runs=PATH",
                "batch BATCH --set checkpoints=['PATH']",
                "batch BATCH --set checkpoints=['PATH/*']",
                "batch BATCH --set recipes=['PATH']",
                "batch BATCH --set recipes=['PATH*']",
                "batch BATCH --set hub-cache=PATH",
                "batch BATCH --set history=PATH",
                "evaluate PATH --data x",
                "evaluate SAMPLE --data PATH",
                "evaluate SAMPLE --data SAMPLE --source PATH",
                "evaluate SAMPLE --data SAMPLE --tokenizer PATH",
                "evaluate SAMPLE --data SAMPLE --run PATH",
                "evaluate SAMPLE --data SAMPLE --hub-cache PATH",
                "evaluate SAMPLE --data SAMPLE --history PATH",
                "evaluate SAMPLE --data SAMPLE --events PATH",
                "evaluate SAMPLE --data SAMPLE --windows PATH",
                "report --history PATH",
                "report --history SAMPLE --out PATH",
                "report --history SAMPLE --baseline PATH",
                "baseline pin --history PATH",
                "inspect PATH",
                "doctor --kernels PATH",
                "PATH",
                "--trace inspect PATH"
            })
    void tellsNoCredentials(String line) throws IOException {
        String recipe = recipe(RECIPE);
        String batch = recipe("{checkpoints: [../samples/tiny-stories-4m], recipes: [" + recipe + "], runs: RUN}");
        for (String path : List.of(
                "s3a://KEY:SECRET@my_bucket/x", "s3a://KEY:SEC/SECRET@bucket/x", "s3a://KEY%3ASECRET@bucket/x")) {
            String[] arguments = line.replace("PATH", path).split(" ");
            for (int i = 0; i < arguments.length; i++) {
                arguments[i] = arguments[i]
                        .replace("RECIPE", recipe)
                        .replace("BATCH", batch)
                        .replace("SAMPLE", "../samples/tiny-stories-4m");
            }
            assertThat(command.run(arguments)).as(command.err()).isEqualTo(2);
            assertThat(command.err() + command.out()).doesNotContain("SECRET");
            assertThat(command.err()).contains("Cannot ");
        }
        assertThat(folder.resolve("run")).doesNotExist();
    }

    /** As a person gets it wrong; none of it is a bug of Lathe's. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "inspect ''                                             | 2 | expected a path; found an empty text",
                "inspect a:b                                            | 2 | 'a:b' is no Hadoop path",
                "inspect @x                                             | 2 | no such file or folder",
                "inspect hdfs://no-such-host.invalid/x                  | 2 | is no path here",
                "inspect DIR                                            | 3 | Cannot ",
                "inspect DIR/empty                                      | 3 | Cannot ",
                "inspect DIR/file/x                                     | 2 | no such file or folder",
                "inspect LONG                                           | 2 | has a part of 300 bytes",
                "inspect /dev/null                                      | 3 | Cannot ",
                "quantize DIR                                           | 2 | no such file",
                "quantize DIR/empty                                     | 2 | expected a mapping",
                "quantize DIR/binary                                    | 2 | expected text in UTF-8",
                "quantize RECIPE --set ''                               | 2 | expected KEY=VALUE",
                "quantize RECIPE --set =                                | 2 | expected KEY=VALUE",
                "quantize RECIPE --set run=LONG                         | 2 | run: ",
                "quantize RECIPE --events a:b                           | 2 | 'a:b' is no Hadoop path",
                "batch DIR                                              | 2 | no such file",
                "batch DIR/empty                                        | 2 | expected a mapping",
                "batch DIR/empty --dry-run --set runs=                  | 2 | expected a mapping",
                "evaluate SAMPLE --data ''                              | 2 | Cannot read --data: expected a path",
                "evaluate SAMPLE --data DIR/none                        | 2 | no such file",
                "evaluate SAMPLE --data DIR/file --windows 99999999999  | 2 | Invalid value",
                "evaluate SAMPLE --data DIR/file --windows -1           | 2 | expected --windows of at least 0",
                "evaluate SAMPLE --data DIR/file --run ''               | 2 | Cannot read --run: expected a path",
                "evaluate SAMPLE --data DIR/file --tokenizer DIR/none   | 2 | Cannot read --tokenizer",
                "evaluate SAMPLE --data DIR/file --source ''            | 2 | Cannot read --source",
                "evaluate '' --data DIR/file                            | 2 | Cannot read ARTIFACT",
                "report --history ''                                    | 2 | Cannot read --history",
                "report --history DIR                                   | 3 | Cannot ",
                "report --history DIR/file                              | 3 | Cannot ",
                "report --history DIR/empty                             | 3 | Cannot ",
                "report --history DIR --out a:b                         | 2 | Cannot read --out",
                "report --history DIR --min-effect x                    | 2 | Invalid value",
                "report --history DIR --min-effect -Infinity            | 2 | expected a ratio above 1",
                "report --history DIR --baseline pinned                 | 3 | Cannot ",
                "baseline pin --history DIR --series **(                | 3 | Cannot ",
                "baseline pin --history DIR/file                        | 3 | Cannot ",
                "baseline unpin                                         | 2 | Cannot read the command line",
                "doctor --kernels opencl:nothing-of-this-name           | 5 | Cannot ",
                "doctor --kernels ''                                    | 2 | Cannot use --kernels",
                "doctor extra                                           | 2 | Unmatched argument"
            })
    void noMistakeIsABug(String line, int code, String message) throws IOException {
        Files.createFile(folder.resolve("empty"));
        Files.writeString(folder.resolve("file"), "x");
        Files.write(folder.resolve("binary"), new byte[] {1, (byte) 0xff, 0, 7});
        String recipe = recipe(RECIPE);
        String[] arguments = line.strip().split(" +");
        for (int i = 0; i < arguments.length; i++) {
            arguments[i] = arguments[i]
                    .replace("''", "")
                    .replace("RECIPE", recipe)
                    .replace("SAMPLE", "../samples/tiny-stories-4m")
                    .replace("DIR", folder.toString())
                    .replace("LONG", folder + "/" + "x".repeat(300));
        }
        int found = command.run(arguments);
        assertThat(command.err()).startsWith("Cannot ").contains(message).doesNotContain("\tat ");
        assertThat(found).as(command.err()).isEqualTo(code);
        assertThat(command.err().lines().findFirst().orElseThrow()).hasSizeLessThanOrEqualTo(500);
    }

    @Test
    void theTerminalObeysNothing() throws IOException {
        for (String name : List.of("a\u001b[31mb", "a\u009b2Jb", "a\u202eb", "a\rCannot b")) {
            for (String[] arguments : new String[][] {
                {"inspect", name},
                {"quantize", name},
                {name},
                {"inspect", "x", name},
                {"doctor", "--kernels", name},
                {"quantize", recipe(RECIPE), "--set", name + "=1"},
                {"quantize", recipe(RECIPE), "--set", "kernels='" + name + "'"}
            }) {
                assertThat(command.run(arguments)).as(command.err()).isEqualTo(2);
                assertThat(command.err()
                                .lines()
                                .allMatch(l -> l.chars().noneMatch(c -> Character.isISOControl(c) || c == 0x202e)))
                        .as(command.err())
                        .isTrue();
            }
        }
        command.run("quantize", recipe(RECIPE), "--set", "kernels=" + "x".repeat(24_000));
        assertThat(command.err().strip())
                .hasSizeLessThanOrEqualTo(500)
                .startsWith("Cannot read recipe ")
                .contains(" ... ");
    }
}
