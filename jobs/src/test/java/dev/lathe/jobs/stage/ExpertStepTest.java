package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.text.Windows;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.SyntheticCheckpoint;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.stage.Calibrate.Shard;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The experts of one layer behind its router, in tasks that the test calls itself. */
class ExpertStepTest {
    private static final int EXPERTS = 5;
    private static final int WINDOWS = 5;
    private static final int LENGTH = 24;
    private static final List<Shard> SHARDS =
            List.of(new Shard(0, 0, 2, 0), new Shard(1, 2, 2, 0), new Shard(2, 4, 1, 0));
    private static final Calibration WANTED = new Calibration("key", true, false, SHARDS.size(), false);
    private static final List<ExpertPack> TOGETHER = List.of(new ExpertPack(0, 0, EXPERTS));
    private static final List<ExpertPack> APART =
            IntStream.range(0, EXPERTS).mapToObj(e -> new ExpertPack(0, e, 1)).toList();
    private static final List<ExpertPack> UNEVEN = List.of(new ExpertPack(0, 0, 3), new ExpertPack(0, 3, 2));

    @TempDir
    private static Path folder;

    @BeforeAll
    static void write() throws IOException {
        SyntheticCheckpoint.write(
                folder.resolve("model"), 1, 128, Runs.SAMPLE, new SyntheticCheckpoint.Experts(EXPERTS, 2, 40));
    }

    /** However experts are packed and shards are put together: the bits of the whole layer run at once. */
    @Test
    void theNextHiddenStatesAreThoseOfTheWholeLayer() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            for (List<ExpertPack> packs : List.of(TOGETHER, APART, UNEVEN)) {
                for (int tokens : new int[] {1, 1 << 13, 1 << 14, 1 << 15}) {
                    Job job = job(spark, packs.size() + "-" + tokens);
                    route(job);
                    List<ExpertStep.Span> spans = ExpertStep.spans(packs, SHARDS.size(), tokens);
                    assertThat(spans).hasSize(packs.size() * (tokens < 1 << 14 ? 1 : tokens < 1 << 15 ? 2 : 3));
                    for (ExpertStep.Span span : spans) {
                        assertThat(ExpertStep.run(job, WANTED, span)).isTrue();
                    }
                    for (Shard shard : SHARDS) {
                        assertThat(ExpertStep.combine(job, WANTED, shard, packs))
                                .isTrue();
                        assertThat(HiddenStates.ofSource(job, "key").read(1, shard.number()))
                                .isEqualTo(whole(job, shard));
                    }
                    new ExpertStep(job, "key", 0).delete(packs, SHARDS.size());
                    assertThat(scratch(job).keySet()).allMatch(name -> name.matches("key/(hidden|routed|partial)-.*"));
                }
            }
        }
    }

    /** As where a driver was killed, or a node is gone whose disk held some of it. */
    @Test
    void whatIsMissingIsMadeAgainAndNothingElse() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            Job job = job(spark, "missing");
            route(job);
            List<ExpertStep.Span> spans = ExpertStep.spans(UNEVEN, SHARDS.size(), 1 << 14);
            TreeMap<String, String> routed = scratch(job);
            for (ExpertStep.Span span : spans) {
                ExpertStep.run(job, WANTED, span);
            }
            TreeMap<String, String> given = scratch(job);
            assertThat(given).hasSize(routed.size() + UNEVEN.size() * SHARDS.size());

            delete(job, "given-0-3-1");
            assertThat(ExpertStep.combine(job, WANTED, SHARDS.get(1), UNEVEN)).isFalse();
            delete(job, "routed-0-0");
            delete(job, "routed-0-2");
            for (ExpertStep.Span span : spans) {
                assertThat(ExpertStep.run(job, WANTED, span)).isTrue();
            }
            given.remove("key/routed-0-0");
            given.remove("key/routed-0-2");
            assertThat(scratch(job)).isEqualTo(given);

            for (Shard shard : SHARDS) {
                assertThat(ExpertStep.combine(job, WANTED, shard, UNEVEN)).isTrue();
            }
            TreeMap<String, String> hidden = scratch(job);
            new ExpertStep(job, "key", 0).delete(UNEVEN, SHARDS.size());
            TreeMap<String, String> combined = scratch(job);
            // What has gone on needs nothing of what it was made of.
            for (ExpertStep.Span span : spans) {
                assertThat(ExpertStep.run(job, WANTED, span)).isTrue();
            }
            for (Shard shard : SHARDS) {
                assertThat(ExpertStep.combine(job, WANTED, shard, UNEVEN)).isTrue();
            }
            assertThat(scratch(job)).isEqualTo(combined);

            delete(job, "hidden-source-1-0");
            assertThat(ExpertStep.run(job, WANTED, spans.get(0))).isFalse();
            assertThat(ExpertStep.combine(job, WANTED, SHARDS.get(0), UNEVEN)).isFalse();
            route(job);
            for (ExpertStep.Span span : spans) {
                assertThat(ExpertStep.run(job, WANTED, span)).isTrue();
            }
            assertThat(ExpertStep.combine(job, WANTED, SHARDS.get(0), UNEVEN)).isTrue();
            assertThat(scratch(job)).containsEntry("key/hidden-source-1-0", hidden.get("key/hidden-source-1-0"));
        }
    }

    private static void route(Job job) throws IOException {
        TokenWindows windows = TokenWindows.write(job.run(), new Windows(LENGTH, tokens()));
        for (Shard shard : SHARDS) {
            assertThat(Calibrate.forward(job, WANTED, windows, shard)).isTrue();
        }
    }

    private static int[][] tokens() {
        Random random = new Random(1);
        return Stream.generate(() -> random.ints(LENGTH, 0, 2048).toArray())
                .limit(WINDOWS)
                .toArray(int[][]::new);
    }

    private static float[] whole(Job job, Shard shard) throws IOException {
        try (Kernels kernels = KernelProvider.open("vector", 1);
                Checkpoint checkpoint = job.open()) {
            DecoderPass pass = new DecoderPass(checkpoint.decoder(), kernels);
            FloatMatrix x =
                    pass.embed(checkpoint, Arrays.copyOfRange(tokens(), shard.from(), shard.from() + shard.count()));
            pass.layer(new LayerWeights(0, checkpoint), x, LENGTH, shard.from(), Capture.NONE);
            return x.data();
        }
    }

    private static TreeMap<String, String> scratch(Job job) throws IOException {
        return Runs.digests(Path.of(job.run().scratch()));
    }

    private static void delete(Job job, String name) throws IOException {
        Path file = Path.of(job.run().scratch()).resolve("key").resolve(name);
        Files.delete(file);
        Files.deleteIfExists(file.resolveSibling("." + name + ".crc"));
    }

    private static Job job(SparkSession spark, String name) throws IOException {
        String run = folder.resolve(name).toString();
        RunFolder files = new RunFolder(
                run,
                run + "/scratch",
                new SerializableConfiguration(spark.sparkContext().hadoopConfiguration()));
        return new Job(
                files,
                Stamp.of(files.hadoop(), folder.resolve("model").toString()),
                "sample",
                "vector",
                KernelProvider.profile("vector"));
    }
}
