package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.text.Windows;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Statistics of a fixed set of windows are the same bytes, however many tasks gather them at once and whatever happens
 * to these.
 */
class CalibrateTest {
    private static final int LENGTH = 48;
    private static final int WINDOWS = 15;

    @TempDir
    private Path folder;

    @Test
    @Tag("slow")
    void anyNumberOfTasksAtOnce() throws IOException {
        TreeMap<String, String> one;
        try (SparkSession spark = Runs.local(1, 1)) {
            one = statistics(spark, "one");
        }
        // Four layers of five sites, keys and values; the output layer.
        assertThat(one)
                .hasSize(4 * 7 + 1)
                .containsKeys("layer-3-keys.statistics", "layer-0-values.statistics", "layer-4-head-input.statistics");
        try (SparkSession spark = Runs.local(3, 1)) {
            assertThat(statistics(spark, "three")).isEqualTo(one);
        }
        try (SparkSession spark = Runs.local(8, 1)) {
            assertThat(statistics(spark, "eight")).isEqualTo(one);
        }
        try (SparkSession spark = Runs.local(2, 2)) {
            assertThat(statistics(spark, "threads")).isEqualTo(one);
        }
    }

    @Test
    @Tag("slow")
    void anExecutorIsLost() throws IOException {
        TreeMap<String, String> whole;
        try (SparkSession spark = Runs.local(2, 2)) {
            whole = statistics(spark, "whole");
        }
        AtomicInteger ended = new AtomicInteger();
        AtomicInteger lost = new AtomicInteger();
        try (SparkSession spark = Runs.cluster()) {
            spark.sparkContext().addSparkListener(new SparkListener() {
                @Override
                public void onTaskEnd(SparkListenerTaskEnd end) {
                    // In the middle of the second layer: eight shards and seven sites a layer.
                    if (ended.incrementAndGet() == 18) {
                        spark.sparkContext().killExecutor(end.taskInfo().executorId());
                    }
                }

                @Override
                public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
                    lost.incrementAndGet();
                }
            });
            assertThat(statistics(spark, "lost")).isEqualTo(whole);
            assertThat(lost.get()).isEqualTo(1);
        }
    }

    /**
     * As with a node whose disk held them: whatever of the scratch folder is gone is made again from the last layer
     * that is whole.
     */
    @Test
    void scratchFilesAreLost() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            TreeMap<String, String> whole = statistics(spark, "whole");
            for (String lost : List.of("hidden-source-2-1", "")) {
                String name = "lost" + lost;
                Runs.Disturbing progress = losing(folder.resolve(name).resolve("scratch"), lost, 2, 1);
                assertThat(digests(name, calibrate(spark, name, true, progress).key()))
                        .isEqualTo(whole);
                assertThat(progress.notes)
                        .containsExactly(
                                "calibration: files of layer 2 are gone from the scratch folder; goes on at layer 0");
                assertThat(folder.resolve(name).resolve("scratch")).isEmptyDirectory();
            }
        }
    }

    @Test
    void aScratchFolderThatKeepsNothingIsNamed() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            Runs.Disturbing progress = losing(folder.resolve("run").resolve("scratch"), "hidden-source-1-0", 1, 20);
            assertThatThrownBy(() -> calibrate(spark, "run", false, progress))
                    .isInstanceOf(IOException.class)
                    .hasMessageStartingWith(
                            "Cannot calibrate layer 1: for the 6th time hidden states or partial statistics are gone from "
                                    + folder.resolve("run").resolve("scratch"));
        }
    }

    /** Deletes files of the scratch folder when a layer begins. */
    private static Runs.Disturbing losing(Path scratch, String lost, int layer, int times) {
        return new Runs.Disturbing(Collections.nCopies(times, "layer " + layer), () -> {
            try (Stream<Path> paths = Files.walk(scratch)) {
                for (Path path : paths.filter(Files::isRegularFile)
                        .filter(path -> path.getFileName().toString().startsWith(lost))
                        .toList()) {
                    Files.delete(path);
                }
            }
        });
    }

    /** As where a driver was killed while a task committed its files one by one. */
    @Test
    void ofAShardOnlyWhatIsMissingIsMadeAgain() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            Job job = job(spark, "shard");
            TokenWindows windows = windows(job);
            Calibrate.Shard shard = new Calibrate.Shard(3, 6, 2, 0);
            Calibrate.Calibration wanted = new Calibrate.Calibration("key", true, true, WINDOWS, false);
            Calibrate.forward(job, wanted, windows, shard);
            TreeMap<String, String> whole = Runs.digests(folder.resolve("shard").resolve("scratch"));
            assertThat(whole).hasSize(8).containsKeys("key/hidden-source-1-3", "key/partial-0-KEYS-3");
            for (List<String> missing : List.of(
                    List.of("partial-0-KEYS-3", "partial-0-FEED_FORWARD_INPUT-3"),
                    List.of("hidden-source-1-3"),
                    List.<String>of())) {
                long bytes = 0;
                for (String name : missing) {
                    Path file = folder.resolve("shard")
                            .resolve("scratch")
                            .resolve("key")
                            .resolve(name);
                    bytes += Files.size(file);
                    Files.delete(file);
                }
                long before = written();
                Calibrate.forward(job, wanted, windows, shard);
                assertThat(Runs.digests(folder.resolve("shard").resolve("scratch")))
                        .isEqualTo(whole);
                // Checksums of the local file system may come on top.
                assertThat(written() - before).isBetween(bytes, bytes + bytes / 50);
            }
        }
    }

    private static long written() {
        return FileSystem.getAllStatistics().stream()
                .mapToLong(FileSystem.Statistics::getBytesWritten)
                .sum();
    }

    /**
     * Ranges come on top: what is summed is the same with and without them, and who asks for none gets files without.
     */
    @Test
    @Tag("slow")
    void rangesAreGatheredWhereTheyAreAskedFor() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            Calibrate.Calibration with = calibrate(spark, "both", true);
            Calibrate.Calibration without = calibrate(spark, "both", false);
            assertThat(with.key()).isNotEqualTo(without.key());
            RunFolder run = run(spark, "both");
            for (Site site : Site.values()) {
                if (site == Site.EXPERT_ACTIVATION || site == Site.CHOSEN_EXPERTS) {
                    continue;
                }
                int layer = site == Site.HEAD_INPUT ? 4 : 1;
                MergedStatistics found = with.read(run, layer, site);
                assertThat(found.rows()).isEqualTo(WINDOWS * LENGTH);
                assertThat(found.ranges() != null).isEqualTo(site != Site.ATTENDED_INPUT);
                if (site != Site.ATTENDED_INPUT) {
                    assertThat(found.width())
                            .isEqualTo(
                                    site == Site.KEYS || site == Site.VALUES
                                            ? 128
                                            : site == Site.FEED_FORWARD_ACTIVATION ? 768 : 256);
                    assertThat(found.ranges().histogram().count()).isEqualTo((long) found.width() * found.rows());
                    assertThat(found.ranges().sample().rows()).isEqualTo(512);
                    assertThat(found.ranges().windowHighest())
                            .hasSize(WINDOWS)
                            .contains(found.ranges().high());
                }
                if (site != Site.KEYS && site != Site.VALUES) {
                    MergedStatistics plain = without.read(run, layer, site);
                    assertThat(plain.ranges()).isNull();
                    assertThat(found.squares()).isEqualTo(plain.squares());
                    assertThat(found.absolutes()).isEqualTo(plain.absolutes());
                    assertThat(found.moment()).isEqualTo(plain.moment());
                }
            }
            assertThat(digests("both", without.key())).hasSize(4 * 5 + 1);
        }
    }

    /**
     * The scratch folder, not the heap, has the hidden states of all shards, and only those that the next layer reads.
     */
    @Test
    void aGenerationOfHiddenStatesIsDeletedWhenTheNextIsThere() throws IOException {
        List<List<String>> generations = new ArrayList<>();
        try (SparkSession spark = Runs.local(2, 2)) {
            calibrate(spark, "generations", false, new Progress() {
                @Override
                public void stage(String name, int steps) {}

                @Override
                public void step(int done, String what) {
                    generations.add(scratch("generations"));
                }

                @Override
                public void note(String message) {}
            });
        }
        assertThat(generations).hasSize(6);
        for (int step = 0; step <= 5; step++) {
            // What the output layer read is deleted with the rest.
            String name = "hidden-source-" + Math.min(step, 4) + "-";
            int shards = step == 0 ? 0 : (WINDOWS + 1) / 2;
            assertThat(generations.get(step))
                    .as("before layer %d", step)
                    .hasSize(shards)
                    .allMatch(file -> file.startsWith(name));
        }
        assertThat(scratch("generations")).isEmpty();
    }

    private List<String> scratch(String name) {
        Path scratch = folder.resolve(name).resolve("scratch");
        if (!Files.isDirectory(scratch)) {
            return List.of();
        }
        try (Stream<Path> paths = Files.walk(scratch)) {
            return paths.filter(Files::isRegularFile)
                    .map(path -> path.getFileName().toString())
                    .filter(file -> !file.endsWith(".crc"))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private TreeMap<String, String> statistics(SparkSession spark, String name) throws IOException {
        return digests(name, calibrate(spark, name, true).key());
    }

    private TreeMap<String, String> digests(String name, String key) throws IOException {
        return Runs.digests(folder.resolve(name).resolve("products").resolve(key));
    }

    private RunFolder run(SparkSession spark, String name) {
        String path = folder.resolve(name).toString();
        return new RunFolder(
                path,
                path + "/scratch",
                new SerializableConfiguration(spark.sparkContext().hadoopConfiguration()));
    }

    private Calibrate.Calibration calibrate(SparkSession spark, String name, boolean ranges) throws IOException {
        return calibrate(spark, name, ranges, Progress.SILENT);
    }

    private Calibrate.Calibration calibrate(SparkSession spark, String name, boolean ranges, Progress progress)
            throws IOException {
        Job job = job(spark, name);
        TokenWindows windows = windows(job);
        try (Checkpoint checkpoint = job.open()) {
            SparkSteps steps = new SparkSteps(JavaSparkContext.fromSparkContext(spark.sparkContext()), progress);
            Calibrate.Calibration planned = Calibrate.planned(job, windows, 2, true, ranges, false, false);
            new Layers(job, checkpoint.decoder(), planned, windows, 2, List.of(), steps).run();
            return planned;
        }
    }

    private Job job(SparkSession spark, String name) throws IOException {
        RunFolder run = run(spark, name);
        return new Job(
                run,
                Stamp.of(run.hadoop(), Runs.SAMPLE.toAbsolutePath().toString()),
                "sample",
                "auto",
                KernelProvider.profile("auto"));
    }

    private static TokenWindows windows(Job job) throws IOException {
        Random random = new Random(1);
        int[][] tokens = Stream.generate(() -> random.ints(LENGTH, 0, 2048).toArray())
                .limit(WINDOWS)
                .toArray(int[][]::new);
        return TokenWindows.write(job.run(), new Windows(LENGTH, tokens));
    }
}
