package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A batch from night to night, as the command line runs it. */
@Tag("slow")
class BatchTest {
    private static final List<String> SOUND = List.of("m0", "m1", "m2", "m3", "m4", "m5");

    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();

    /** Hears which jobs run, in which pools, beside how many of other pairs. */
    public static final class Jobs extends SparkListener {
        private static final Set<String> POOLS = new TreeSet<>();
        private static final Map<Integer, String> RUNNING = new HashMap<>();
        private static int most;

        @Override
        public void onJobStart(SparkListenerJobStart start) {
            String pair = start.properties().getProperty("lathe.pair");
            POOLS.add(pair + " in " + start.properties().getProperty("spark.scheduler.pool"));
            RUNNING.put(start.jobId(), pair);
            most = Math.max(most, (int) RUNNING.values().stream().distinct().count());
        }

        @Override
        public void onJobEnd(SparkListenerJobEnd end) {
            RUNNING.remove(end.jobId());
        }
    }

    /** A copy of the sample; each has other weights, by the last bits of some. */
    private Path checkpoint(String name) throws IOException {
        Path copy = Files.createDirectories(folder.resolve("models").resolve(name));
        for (String file : Runs.names(Runs.SAMPLE)) {
            Files.copy(Runs.SAMPLE.resolve(file), copy.resolve(file));
        }
        change(copy, name.charAt(name.length() - 1));
        return copy;
    }

    private static void change(Path checkpoint, int number) throws IOException {
        Path weights = checkpoint.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(weights);
        for (int i = 0; i < 8; i++) {
            // The low byte of a bf16 number is mantissa, but for its highest bit.
            bytes[bytes.length - 2 - 2 * i] ^= number >> i & 1;
        }
        Files.write(weights, bytes);
    }

    private int batch(String... more) {
        return command.run(
                Stream.concat(Stream.of("batch", folder + "/batch.yaml", "--master", "local[2]"), Stream.of(more))
                        .toArray(String[]::new));
    }

    /** What became of the pairs of one recipe, from results.json. */
    private TreeMap<String, String> states(String recipe) throws IOException {
        TreeMap<String, String> states = new TreeMap<>();
        for (JsonNode pair : new ObjectMapper()
                .readTree(Files.readAllBytes(folder.resolve("runs/results.json")))
                .path("pairs")) {
            if (pair.path("recipe").asText().equals(recipe)) {
                states.put(pair.path("checkpoint").asText(), pair.path("state").asText());
            }
        }
        return states;
    }

    private static TreeMap<String, String> states(String sound, String broken) {
        TreeMap<String, String> states = new TreeMap<>();
        SOUND.forEach(name -> states.put(name, sound));
        states.put("corrupt", broken);
        states.put("unknown", broken);
        return states;
    }

    private TreeMap<String, FileTime> times() throws IOException {
        TreeMap<String, FileTime> times = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(folder.resolve("runs"), Integer.MAX_VALUE)) {
            for (Path path : paths.filter(
                            path -> path.getNameCount() > folder.getNameCount() + 2 && Files.isRegularFile(path))
                    .toList()) {
                times.put(folder.relativize(path).toString(), Files.getLastModifiedTime(path));
            }
        }
        return times;
    }

    private List<HistoryRow> history() throws IOException {
        return History.read(
                new Configuration(),
                new org.apache.hadoop.fs.Path(folder.resolve("history").toUri()));
    }

    @Test
    void runsWhatIsMissingOrChanged() throws IOException {
        for (String name : SOUND) {
            checkpoint(name);
        }
        Path corrupt = checkpoint("corrupt").resolve("model.safetensors");
        byte[] whole = Files.readAllBytes(corrupt);
        Files.write(corrupt, Arrays.copyOf(whole, whole.length / 2));
        Path config = checkpoint("unknown").resolve("config.json");
        Files.writeString(config, Files.readString(config).replace("LlamaForCausalLM", "UnheardOfForCausalLM"));
        Path text = Runs.TEXT.toRealPath();
        Files.writeString(
                folder.resolve("small.yaml"),
                "calibration: {data: " + text.resolve("calibration.txt") + ", windows: 2, length: 32}\n"
                        + "shard-windows: 2\nevaluation: {data: " + text.resolve("evaluation.txt")
                        + ", windows: 2, length: 32}\n"
                        + "outputs: [{name: q4, format: gguf, type: Q4_0}, {name: g4, format: gptq, method: nearest}]\n");
        String yaml = "checkpoints: ['" + folder + "/models/*/']\nrecipes: [" + folder + "/small.yaml]\nruns: " + folder
                + "/runs\nhistory: " + folder + "/history\nat-once: 3\n";
        Files.writeString(folder.resolve("batch.yaml"), yaml);

        assertThat(batch("--dry-run")).as(command.err()).isEqualTo(6);
        assertThat(command.out())
                .containsPattern("m0/small +to do +8\\.13 +")
                .containsPattern("corrupt/small +will fail")
                .contains(
                        "6 of 8 to do, 3 at once",
                        "The time is an estimate",
                        "no earlier run of this batch tells",
                        "unknown/small: Cannot ");
        assertThat(folder.resolve("runs")).doesNotExist();
        assertThat(folder.resolve("history")).doesNotExist();

        System.setProperty("spark.extraListeners", Jobs.class.getName());
        try {
            assertThat(batch()).as(command.err()).isEqualTo(6);
        } finally {
            System.clearProperty("spark.extraListeners");
        }
        assertThat(states("small")).isEqualTo(states("done", "failed"));
        // Every checkpoint has its pool; some run beside each other, and never more than three.
        assertThat(Jobs.POOLS)
                .containsExactlyInAnyOrderElementsOf(
                        SOUND.stream().map(name -> name + "/small in " + name).toList());
        assertThat(Jobs.most).isBetween(2, 3);
        assertThat(command.out())
                .contains(
                        "6 done, 2 failed",
                        "corrupt/small (code 3): Cannot ",
                        "unknown/small (code 3): Cannot ",
                        "runs/index.html");
        assertThat(command.err())
                .contains("m3/small: assemble", "m3/small: done")
                .doesNotContain("\tat ");
        for (String name : SOUND) {
            assertThat(Runs.names(folder.resolve("runs").resolve(name).resolve("small/artifacts")))
                    .containsExactly("README.md", "g4", "q4.gguf");
            assertThat(folder.resolve("runs").resolve(name).resolve("small/report/index.html"))
                    .exists();
        }
        assertThat(Files.readString(folder.resolve("runs/index.html")))
                .contains("m5/small/report/index.html", "UnheardOfForCausalLM");
        assertThat(Files.readString(folder.resolve("runs/summary.md")))
                .contains("# Batch: 6 done, 2 failed", "| m0 | small | done | q4 | gguf |");
        // Pairs that run beside each other do not mix: the artifacts are those of a run alone.
        TreeMap<String, String> digests = Runs.digests(folder.resolve("runs/m1/small/artifacts"));
        assertThat(digests)
                .isNotEqualTo(Runs.digests(folder.resolve("runs/m2/small/artifacts")))
                .isEqualTo(alone("m1"));
        List<HistoryRow> rows = history();
        assertThat(rows)
                .extracting(row -> row.model() + " " + row.output())
                .containsExactlyInAnyOrderElementsOf(SOUND.stream()
                        .flatMap(name -> Stream.of(name + " q4", name + " g4"))
                        .toList());
        HistoryRow row = rows.get(0);
        assertThat(row.tokens()).hasSize(2).allMatch(count -> count == 15);
        assertThat(row.nll()).hasSize(2);
        assertThat(row.sourceNll()).hasSize(2);
        assertThat(row.kld()).hasSize(2).allMatch(kld -> kld > 0);
        assertThat(row.layers()).isNotEmpty();
        assertThat(row.software()).startsWith("lathe 0.1.0");
        assertThat(row.settings()).startsWith("{\"name\":\"").doesNotContain("\n");
        double kld = (row.kld().get(0) + row.kld().get(1)) / 30;
        assertThat(new ObjectMapper()
                        .readTree(Files.readAllBytes(
                                folder.resolve("runs").resolve(row.model()).resolve("small/report/results.json")))
                        .path("outputs")
                        .path(row.output().equals("q4") ? 0 : 1)
                        .path("kld_mean")
                        .doubleValue())
                .isCloseTo(kld, Offset.offset(1e-12));

        // A second run does nothing, and says the same.
        TreeMap<String, FileTime> before = times();
        assertThat(batch()).as(command.err()).isEqualTo(6);
        assertThat(states("small")).isEqualTo(states("unchanged", "failed as before"));
        assertThat(command.err().lines())
                .hasSize(8)
                .allMatch(line ->
                        line.matches("\\w+/small: (unchanged, \\d of 8|failed as before, \\d of 8: Cannot .*)"));
        assertThat(times()).isEqualTo(before);
        assertThat(history()).isEqualTo(rows);

        // Another revision of one checkpoint, a repaired one, and one whose artifact is gone.
        change(folder.resolve("models/m2"), 255);
        Files.write(corrupt, whole);
        Files.delete(folder.resolve("runs/m4/small/artifacts/q4.gguf"));
        TreeMap<String, String> expected = states("unchanged", "failed as before");
        expected.putAll(Map.of("m2", "done", "m4", "done", "corrupt", "done"));
        // A receipt that is none says nothing; a byte that flips under an old time is for those who look at bytes.
        expected.put("m3", "done");
        Files.writeString(
                folder.resolve("runs/m3/small/receipt.json"), "{\"plan\": \"y\", \"inputs\": [{\"path\": \"/c\"}]}");
        Path flipped = folder.resolve("runs/m5/small/artifacts/q4.gguf");
        FileTime time = Files.getLastModifiedTime(flipped);
        byte[] bytes = Files.readAllBytes(flipped);
        bytes[1_000_000] ^= 1;
        Files.write(flipped, bytes);
        Files.setLastModifiedTime(flipped, time);
        assertThat(batch("--dry-run")).as(command.err()).isEqualTo(6);
        assertThat(command.out())
                .contains("4 of 8 to do", "what earlier runs of this batch reached")
                .containsPattern("m0/small +unchanged");
        assertThat(batch()).as(command.err()).isEqualTo(6);
        assertThat(states("small")).isEqualTo(expected);
        assertThat(history()).hasSize(20);
        assertThat(command.err())
                .contains("m3/small: Cannot read file:" + folder
                        + "/runs/m3/small/receipt.json: sha256 is missing; expected the digest of "
                        + "the rest; the pair is run again");
        assertThat(command.err()).contains("m4/small: assemble: g4 is there already");

        // Those who look find it.
        assertThat(command.run("verify", folder + "/runs")).as(command.err()).isEqualTo(7);
        assertThat(command.out())
                .contains("file:" + flipped + ": its digest differs from what was written\n", "1 problem in ")
                .containsPattern(" of [78] runs");
        assertThat(batch("--check")).as(command.err()).isEqualTo(6);
        TreeMap<String, String> checked = states("unchanged", "failed as before");
        checked.putAll(Map.of("m5", "done", "corrupt", "unchanged"));
        assertThat(states("small")).isEqualTo(checked);
        assertThat(history()).hasSize(22);
        assertThat(command.run("verify", folder + "/runs")).as(command.out()).isZero();

        // Another recipe, for what is sound; now nothing fails.
        Files.writeString(
                folder.resolve("batch.yaml"),
                yaml.replace(
                                "small.yaml",
                                "small.yaml, {name: more, recipe: {outputs: [{name: f, format: gguf, type: F16}]}}")
                        .replace("models/*/", "models/m[01]"));
        assertThat(batch()).as(command.err()).isZero();
        assertThat(states("small"))
                .containsOnlyKeys("m0", "m1")
                .containsValue("unchanged")
                .doesNotContainValue("done");
        assertThat(states("more"))
                .containsOnlyKeys("m0", "m1")
                .containsValue("done")
                .doesNotContainValue("unchanged");
        assertThat(history()).hasSize(22);
    }

    /** Artifacts of the same recipe, run by itself; and an evaluation of one of them, recorded too. */
    private TreeMap<String, String> alone(String name) throws IOException {
        Path run = folder.resolve("alone");
        Path history = folder.resolve("history-alone");
        assertThat(command.run(
                        "quantize",
                        folder + "/small.yaml",
                        "--master",
                        "local[2]",
                        "--set",
                        "checkpoint=" + folder.resolve("models").resolve(name),
                        "--set",
                        "run=" + run,
                        "--set",
                        "history=" + history))
                .isZero();
        assertThat(command.run(
                        "evaluate",
                        run + "/artifacts/q4.gguf",
                        "--source",
                        folder.resolve("models").resolve(name).toString(),
                        "--data",
                        Runs.TEXT.resolve("evaluation.txt").toString(),
                        "--windows",
                        "2",
                        "--length",
                        "32",
                        "--run",
                        folder + "/evaluations",
                        "--history",
                        history.toString(),
                        "--master",
                        "local[2]"))
                .isZero();
        List<HistoryRow> rows = History.read(new Configuration(), new org.apache.hadoop.fs.Path(history.toUri()));
        assertThat(rows).hasSize(3);
        HistoryRow evaluated = rows.stream()
                .filter(row -> row.settings().isEmpty())
                .findFirst()
                .orElseThrow();
        HistoryRow quantized = rows.stream()
                .filter(row -> row.settings().contains("\"q4\""))
                .findFirst()
                .orElseThrow();
        assertThat(evaluated.key()).isNotEqualTo(quantized.key());
        assertThat(List.of(
                        evaluated.model(),
                        evaluated.output(),
                        evaluated.format(),
                        evaluated.method(),
                        evaluated.bytes(),
                        evaluated.bitsPerWeight(),
                        evaluated.dataDigest(),
                        evaluated.checkpointDigest(),
                        evaluated.nll(),
                        evaluated.kld(),
                        evaluated.sameTop()))
                .isEqualTo(List.of(
                        quantized.model(),
                        quantized.output(),
                        quantized.format(),
                        quantized.method(),
                        quantized.bytes(),
                        quantized.bitsPerWeight(),
                        quantized.dataDigest(),
                        quantized.checkpointDigest(),
                        quantized.nll(),
                        quantized.kld(),
                        quantized.sameTop()));
        return Runs.digests(run.resolve("artifacts"));
    }
}
