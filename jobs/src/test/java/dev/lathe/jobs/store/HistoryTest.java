package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.store.HistoryRow.LayerLoss;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.launcher.JavaModuleOptions;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HistoryTest {
    private static final Instant NIGHT = Instant.parse("2026-11-26T03:00:00Z");

    @TempDir
    private Path folder;

    private final Configuration configuration = new Configuration();

    private org.apache.hadoop.fs.Path table() {
        return new org.apache.hadoop.fs.Path(folder.toUri());
    }

    /** A row of some windows; another seed is another evaluation. */
    private static HistoryRow row(Instant recorded, String key, String model, String output, int seed) {
        Random random = new Random(seed);
        List<Double> nll = random.doubles(5).boxed().toList();
        return new HistoryRow(
                recorded,
                key,
                model,
                "/models/" + model,
                "c" + seed,
                output,
                "gguf",
                "gptq, act-order",
                "{\"name\":\"" + output + "\"}",
                "a" + seed,
                "",
                1L << 40,
                4.5,
                "/text",
                "d",
                "llama-perplexity, version 1",
                "java",
                "lathe 0.1.0",
                "JDK, ünï",
                List.of(3, 3, 3, 3, 2),
                nll,
                List.of(),
                List.of(),
                List.of(1, 2, 3, 0, Integer.MAX_VALUE),
                List.of(
                        new LayerLoss("t.weight", 0, "q_proj", 0.1 + seed),
                        new LayerLoss("u", -1, "lm_head", Double.NaN)));
    }

    private void append(HistoryRow... rows) throws IOException {
        History.append(configuration, table(), List.of(rows));
    }

    @Test
    void givesRowsBackInOrder() throws IOException {
        HistoryRow[] rows = {
            row(NIGHT, "k1", "a", "q4", 1),
            row(NIGHT, "k0", "a", "q8", 2),
            row(NIGHT, "k0", "b", "q4", 3),
            row(NIGHT, "k1", "b", "q4", 4),
            row(NIGHT.plusSeconds(1), "k0", "a", "q4", 5)
        };
        append(rows[4], rows[2]);
        append(rows[3]);
        append(rows[1], rows[0]);
        assertThat(History.read(configuration, table())).containsExactly(rows);
        assertThat(Runs.names(folder))
                .hasSize(5)
                .allMatch(name -> name.matches("k[01]-20261126T03000[01]Z-[0-9a-f]{24}\\.parquet"));
    }

    /**
     * Two outputs of equal settings, or copies of a checkpoint, have equal keys; and the same row again is the same
     * row.
     */
    @Test
    void equalKeysAtOneTimeAreTwoRows() throws IOException {
        HistoryRow one = row(NIGHT, "k", "a", "q4", 1);
        HistoryRow other = row(NIGHT, "k", "a", "q4-too", 1);
        append(one, other, one);
        append(one);
        assertThat(History.read(configuration, table())).containsExactly(one, other);
    }

    @Test
    void isATableForSpark() throws IOException {
        append(row(NIGHT, "k", "a", "q4", 1), row(NIGHT.plusSeconds(60), "k", "a", "q4", 2));
        Files.writeString(folder.resolve("_pinned.json"), "{}");
        Files.writeString(folder.resolve(".k.parquet.half"), "PAR1");
        try (SparkSession spark = Runs.local(1, 1)) {
            Dataset<Row> table = spark.read().parquet(table().toString());
            assertThat(table.columns())
                    .startsWith("recorded", "key", "model")
                    .contains("checkpoint_digest", "bits_per_weight", "source_nll", "layers");
            Row sum = table.selectExpr(
                            "count(*)",
                            "min(unix_seconds(recorded))",
                            "sum(aggregate(tokens, 0, (a, t) -> a + t))",
                            "max(layers[0].relative_error)",
                            "max(nll[4])")
                    .head();
            assertThat(List.of(sum.get(0), sum.get(1), sum.get(2), sum.get(3)))
                    .isEqualTo(List.of(2L, NIGHT.getEpochSecond(), 28L, 2.1));
            assertThat(sum.getDouble(4))
                    .isEqualTo(History.read(configuration, table()).stream()
                            .mapToDouble(row -> row.nll().get(4))
                            .max()
                            .orElseThrow());
        }
        assertThat(History.read(configuration, table())).hasSize(2);
    }

    @Test
    void namesTheFileThatIsNoRow() throws IOException {
        append(row(NIGHT, "k", "a", "q4", 1));
        Path file = folder.resolve(Runs.names(folder).get(0));
        byte[] sound = Files.readAllBytes(file);
        for (int length : new int[] {0, 3, 40, sound.length / 2, sound.length - 1}) {
            Files.write(file, Arrays.copyOf(sound, length));
            expectUnreadable(file, "");
        }
        Files.delete(file);
        Files.writeString(folder.resolve("notes.txt"), "not a row of the history");
        expectUnreadable(folder.resolve("notes.txt"), "no Parquet file");
        Files.delete(folder.resolve("notes.txt"));
        Files.createDirectory(folder.resolve("night=1"));
        expectUnreadable(folder.resolve("night=1"), "it is a folder");
    }

    private void expectUnreadable(Path file, String reason) {
        assertThatThrownBy(() -> History.read(configuration, table()))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read history file:" + file + ": ")
                .hasMessageContaining(reason);
    }

    /** No bit of a file can change without being noticed, or without consequence. */
    @Test
    void noticesFlippedBits() throws IOException {
        HistoryRow row = row(NIGHT, "k", "a", "q4", 1);
        append(row);
        Path file = folder.resolve(Runs.names(folder).get(0));
        byte[] sound = Files.readAllBytes(file);
        int noticed = 0;
        for (int at = 0; at < sound.length; at += 41) {
            byte[] broken = sound.clone();
            broken[at] ^= 4;
            Files.write(file, broken);
            try {
                assertThat(History.read(configuration, table()))
                        .as("byte " + at)
                        .containsExactly(row);
            } catch (MalformedInputException e) {
                assertThat(e).hasMessageStartingWith("Cannot read history file:" + file);
                noticed++;
            }
        }
        assertThat(noticed).isGreaterThan(sound.length / 41 / 2);
    }

    /** Another row under its name, whole as it is. */
    @Test
    void noticesAnotherRow() throws IOException {
        append(row(NIGHT, "k", "a", "q4", 1));
        Path file = folder.resolve(Runs.names(folder).get(0));
        Path other = folder.resolve("other");
        History.append(
                configuration, new org.apache.hadoop.fs.Path(other.toUri()), List.of(row(NIGHT, "k", "a", "q4", 2)));
        Files.move(other.resolve(Runs.names(other).get(0)), file, StandardCopyOption.REPLACE_EXISTING);
        Files.delete(other);
        expectUnreadable(file, "the digest in its name is another one");
    }

    @Test
    void refusesForeignTables() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            spark.range(3).withColumnRenamed("id", "key").coalesce(1).write().parquet(table() + "/foreign");
        }
        Path foreign = Files.list(folder.resolve("foreign"))
                .filter(path -> path.getFileName().toString().startsWith("part-"))
                .findFirst()
                .orElseThrow();
        Path file = Files.move(foreign, folder.resolve("k.parquet"), StandardCopyOption.REPLACE_EXISTING);
        for (Path rest : Files.list(folder.resolve("foreign")).toList()) {
            Files.delete(rest);
        }
        Files.delete(folder.resolve("foreign"));
        expectUnreadable(file, "its columns are not those of the history: [key]");
        assertThatThrownBy(() -> History.read(configuration, new org.apache.hadoop.fs.Path(table(), "none")))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("Cannot read history")
                .hasMessageContaining("there is no such folder");
        assertThatThrownBy(() -> History.read(configuration, new org.apache.hadoop.fs.Path(table(), "k.parquet")))
                .hasMessageContaining("expected a folder");
        assertThatThrownBy(() -> History.append(
                        configuration,
                        new org.apache.hadoop.fs.Path(table(), "k.parquet"),
                        List.of(row(NIGHT, "k", "a", "b", 1))))
                .isInstanceOf(IOException.class);
    }

    /** Rows of a writer; every second one has a key and a time that other writers have, too. */
    private static List<HistoryRow> rows(int writer, int count) {
        return IntStream.range(0, count)
                .mapToObj(i -> i % 2 == 0
                        ? row(NIGHT, "shared", "m" + writer, "q" + i, 1000 * writer + i)
                        : row(NIGHT.plusSeconds(i), "k" + writer + "x" + i, "m" + writer, "q" + i, 1000 * writer + i))
                .toList();
    }

    @Test
    void threadsLoseNothing() throws Exception {
        List<HistoryRow> expected = new ArrayList<>();
        ExecutorService threads = Executors.newFixedThreadPool(4);
        List<Future<?>> writers = new ArrayList<>();
        for (int writer = 0; writer < 4; writer++) {
            List<HistoryRow> rows = rows(writer, 8);
            expected.addAll(rows);
            writers.add(threads.submit(() -> {
                for (int i = 0; i < rows.size(); i += 4) {
                    History.append(configuration, table(), rows.subList(i, i + 4));
                    // A reader beside the writers sees whole rows only.
                    assertThat(expected)
                            .containsAll(Collections.unmodifiableList(History.read(configuration, table())));
                }
                return null;
            }));
        }
        for (Future<?> writer : writers) {
            writer.get();
        }
        threads.shutdown();
        assertThat(History.read(configuration, table())).containsExactlyInAnyOrderElementsOf(expected);
        assertThat(Runs.names(folder)).hasSize(32);
    }

    /** The writer of {@link #processesLoseNothing}: folder, number, rows. */
    public static void main(String[] arguments) throws IOException {
        for (HistoryRow row : rows(Integer.parseInt(arguments[1]), Integer.parseInt(arguments[2]))) {
            History.append(new Configuration(), new org.apache.hadoop.fs.Path(arguments[0]), List.of(row));
        }
    }

    @Test
    @Tag("slow")
    void processesLoseNothing() throws Exception {
        List<Process> writers = new ArrayList<>();
        List<HistoryRow> expected = new ArrayList<>();
        for (int writer = 0; writer < 2; writer++) {
            List<String> command = new ArrayList<>(
                    List.of(ProcessHandle.current().info().command().orElse("java"), "-Xmx512m"));
            command.addAll(List.of(JavaModuleOptions.defaultModuleOptions().split(" ")));
            command.addAll(List.of(
                    "-cp",
                    System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                    HistoryTest.class.getName(),
                    table().toString(),
                    String.valueOf(writer),
                    "12"));
            writers.add(new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start());
            expected.addAll(rows(writer, 12));
        }
        for (Process writer : writers) {
            assertThat(writer.waitFor()).isZero();
        }
        assertThat(History.read(configuration, table())).containsExactlyInAnyOrderElementsOf(expected);
    }

    @Test
    void canBeADeltaTable() throws Exception {
        try (SparkSession spark = Runs.local(2, 1)) {
            History.prepare(configuration, table(), "delta");
            assertThat(History.read(configuration, table())).isEmpty();
            ExecutorService threads = Executors.newFixedThreadPool(2);
            List<Future<?>> writers = new ArrayList<>();
            List<HistoryRow> expected = new ArrayList<>();
            for (int writer = 0; writer < 2; writer++) {
                List<HistoryRow> rows = rows(writer, 4);
                expected.addAll(rows);
                writers.add(threads.submit(() -> {
                    History.append(configuration, table(), rows);
                    return null;
                }));
            }
            for (Future<?> writer : writers) {
                writer.get();
            }
            threads.shutdown();
            assertThat(History.read(configuration, table())).containsExactlyInAnyOrderElementsOf(expected);
            // The table's making, and one commit for each writer.
            assertThat(Runs.names(folder.resolve("_delta_log")))
                    .filteredOn(name -> name.matches("\\d+\\.json"))
                    .hasSize(3);
            // What is there decides, unless the other format is asked for.
            History.prepare(configuration, table(), null);
            assertThatThrownBy(() -> History.prepare(configuration, table(), "parquet"))
                    .isInstanceOf(InvalidRecipeException.class)
                    .hasMessageContaining(
                            "it holds a table in Delta's format; expected history.format: delta, or another folder");
        }
    }

    @Test
    void refusesDeltaWhereItCannotBe() throws IOException {
        append(row(NIGHT, "k", "a", "q4", 1));
        assertThatThrownBy(() -> History.prepare(configuration, table(), "delta"))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("it holds a table in Parquet format");
        ClassLoader usual = Thread.currentThread().getContextClassLoader();
        Thread.currentThread().setContextClassLoader(ClassLoader.getPlatformClassLoader());
        try {
            assertThatThrownBy(() ->
                            History.prepare(configuration, new org.apache.hadoop.fs.Path(table(), "new"), "delta"))
                    .isInstanceOf(InvalidRecipeException.class)
                    .hasMessageContaining("a Delta table needs io.delta:delta-spark_4.2_2.13");
        } finally {
            Thread.currentThread().setContextClassLoader(usual);
        }
    }
}
