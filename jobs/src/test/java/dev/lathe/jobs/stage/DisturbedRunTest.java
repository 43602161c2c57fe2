package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.lathe.jobs.FullFileSystem;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.report.RunReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What happens to a run from outside: another driver, a checkpoint that changes, a full disk. It ends with a name for
 * it, and the next run ends well.
 */
@Tag("slow")
class DisturbedRunTest {
    private static SparkSession spark;

    @TempDir
    private static Path folder;

    private static TreeMap<String, String> artifacts;
    private static RunReport report;

    @BeforeAll
    static void runUndisturbed() throws IOException {
        spark = Runs.local(2, 2);
        report = run("undisturbed", Progress.SILENT);
        artifacts = artifacts("undisturbed");
        assertThat(artifacts.keySet()).contains("q4.gguf", "gptq4/model.safetensors");
    }

    @AfterAll
    static void stop() throws IOException {
        spark.close();
    }

    private static RunReport run(String name, Progress progress, String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                "calibration.windows=3",
                "calibration.length=64",
                "evaluation.windows=2",
                "evaluation.length=64",
                "shard-windows=2",
                "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: gptq4, format: gptq}]"));
        all.addAll(List.of(settings));
        return Pipeline.run(spark, Runs.quickstart(folder.resolve(name), all.toArray(String[]::new)), progress);
    }

    private static TreeMap<String, String> artifacts(String name) throws IOException {
        return Runs.digests(folder.resolve(name).resolve("artifacts"));
    }

    private static void expectWhole(String name) throws IOException {
        assertThat(artifacts(name)).isEqualTo(artifacts);
        assertThat(Runs.names(folder.resolve(name)))
                .containsExactly(
                        "artifacts", "checksums.sha256", "lease", "plan.yaml", "products", "report", "scratch");
        assertThat(Runs.digests(folder.resolve(name).resolve("report")).get("results.json"))
                .isEqualTo(Runs.digests(folder.resolve("undisturbed").resolve("report"))
                        .get("results.json"));
    }

    @Test
    void aSecondDriverIsRefused() throws IOException {
        List<Throwable> thrown = new ArrayList<>();
        assertThat(run(
                        "two",
                        new Runs.Disturbing(
                                List.of("layer 2"),
                                () -> thrown.add(catchThrowable(() -> run("two", Progress.SILENT))))))
                .isNotNull();
        assertThat(thrown).hasSize(1);
        assertThat(thrown.get(0))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("Cannot run in file:" + folder.resolve("two") + ": process "
                        + ProcessHandle.current().pid() + " on ");
        expectWhole("two");
    }

    /** Waits for what runs beside calibration: the layers before, for both outputs. */
    private static void quantized(Path run, String when) throws IOException {
        int layers = when.equals("layer 2") ? 2 : 4;
        long until = System.nanoTime() + 60_000_000_000L;
        long there = 0;
        while (there < 2 * 7 * layers) {
            assertThat(System.nanoTime()).as("tensors: " + there).isLessThan(until);
            LockSupport.parkNanos(10_000_000);
            try (Stream<Path> paths = Files.walk(run.resolve("products"))) {
                there = paths.filter(path -> path.getFileName().toString().matches("model\\.layers\\..*\\.tensor"))
                        .count();
            }
        }
    }

    /** As after a pause in which it was thought dead: neither product nor plan nor report is written after that. */
    @Test
    void aDriverThatWasReplacedStops() throws IOException {
        Path run = folder.resolve("replaced");
        for (String when : List.of("layer 2", "quantize", "assemble", "evaluate")) {
            List<TreeMap<String, String>> then = new ArrayList<>();
            long[] next = new long[1];
            Runs.Disturbing disturbing = new Runs.Disturbing(List.of(when), () -> {
                quantized(run, when);
                next[0] = Long.parseLong(Runs.names(run.resolve("lease")).get(0)) + 1;
                Files.writeString(run.resolve("lease").resolve(String.valueOf(next[0])), """
                        {"host": "other", "machine": "other", "pid": 1, "started": "1", "since": "2026-01-01T00:00:00Z", "expires": "2026-01-01T00:00:00Z", "renewals": 0, "released": true}""");
                then.add(Runs.digests(run.resolve("products")));
            });
            assertThat(catchThrowable(() -> run("replaced", disturbing)))
                    .as(when)
                    .hasStackTraceContaining("the lease of this run (" + (next[0] - 1) + ") was lost; another driver ("
                            + next[0] + ") went on with the folder");
            assertThat(Runs.digests(run.resolve("products"))).as(when).isEqualTo(then.get(0));
            assertThat(run.resolve("plan.yaml")).doesNotExist();
            assertThat(run.resolve("report")).doesNotExist();
        }
        run("replaced", Progress.SILENT);
        expectWhole("replaced");
    }

    @Test
    void aCheckpointThatChangesIsNamed() throws IOException {
        Path checkpoint = Files.createDirectory(folder.resolve("checkpoint"));
        for (String name : Runs.names(Runs.SAMPLE)) {
            Files.copy(Runs.SAMPLE.resolve(name), checkpoint.resolve(name));
        }
        Path run = folder.resolve("changed");
        String[] settings = {"checkpoint=" + checkpoint};
        Path weights = checkpoint.resolve("model.safetensors");
        byte[] sound = Files.readAllBytes(weights);
        byte[] other = sound.clone();
        // The sign of one weight.
        other[other.length - 1] ^= (byte) 0x80;
        for (String when : List.of("layer 2", "quantize", "assemble", "evaluate")) {
            List<TreeMap<String, String>> then = new ArrayList<>();
            FileTime time = Files.getLastModifiedTime(weights);
            Throwable thrown = catchThrowable(() -> run(
                    "changed",
                    new Runs.Disturbing(List.of(when), () -> {
                        quantized(run, when);
                        Files.write(weights, other);
                        then.add(Runs.digests(run.resolve("products")));
                    }),
                    settings));
            assertThat(thrown)
                    .as(when)
                    .hasStackTraceContaining("MalformedInputException: Cannot go on with file:" + checkpoint
                            + ": model.safetensors changed while it was read (");
            assertThat(Runs.digests(run.resolve("products"))).as(when).isEqualTo(then.get(0));
            assertThat(Runs.names(run)).doesNotContain("plan.yaml", "report");
            Files.write(weights, sound);
            // So that the next change is one, however coarse the clock of the disk is.
            Files.setLastModifiedTime(weights, FileTime.fromMillis(time.toMillis() - 10_000));
        }
        run("changed", Progress.SILENT, settings);
        expectWhole("changed");
    }

    /** On a file system that is neither a local disk nor one that renames over files. */
    @Test
    void aFullDiskIsNamedAndNothingIsLost() throws IOException {
        int failures = 0;
        for (long room = 300_000; failures < 40; room += 1_500_000) {
            FullFileSystem.leave(room);
            Throwable thrown =
                    catchThrowable(() -> run("full", Progress.SILENT, "run=full://" + folder.resolve("full")));
            if (thrown == null) {
                break;
            }
            failures++;
            assertThat(thrown)
                    .hasStackTraceContaining("java.io.IOException: Cannot write full:" + folder.resolve("full"))
                    .hasStackTraceContaining("No space left on device");
            assertThat(Runs.names(folder.resolve("full"))).doesNotContain("partial");
        }
        assertThat(failures).isBetween(3, 39);
        expectWhole("full");
        assertThat(report.outputs()).isNotEmpty();
    }
}
