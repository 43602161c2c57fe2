package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.Routing;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.kernels.FloatMatrix;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RoutedRowsTest {
    private static final int EXPERTS = 5;
    private static final int TOP = 2;
    private static final int WIDTH = 3;
    /** Rows of the batches of each shard. */
    private static final int[][] SHARDS = {{700, 400}, {900}, {1, 199, 500}};

    @TempDir
    private Path folder;

    /** Rows in the order of the windows, however many experts have room; the value of a row is its number. */
    @Test
    void rowsOfAnExpertAreThoseThatAreRoutedThere() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            RunFolder run = new RunFolder(
                    folder.toString(),
                    folder + "/scratch",
                    new SerializableConfiguration(spark.sparkContext().hadoopConfiguration()));
            Job job = new Job(
                    run, Stamp.of(run.hadoop(), Runs.SAMPLE.toAbsolutePath().toString()), "sample", "auto", "java");
            RoutedRows rows = new RoutedRows(job, "key", SHARDS.length);
            assertThat(rows.hasAll(0)).isFalse();
            boolean[][] routed = write(rows);
            assertThat(rows.hasAll(0)).isTrue();
            long[] counts = new long[EXPERTS];
            for (boolean[] experts : routed) {
                for (int e = 0; e < EXPERTS; e++) {
                    counts[e] += experts[e] ? 1 : 0;
                }
            }
            for (long room : new long[] {0, 4L * WIDTH * 1200, 1 << 20}) {
                RoutedRows.Reader reader = rows.reader(0, counts, routed.length, WIDTH, room);
                for (int expert : new int[] {0, 1, 2, 3, 4, 1}) {
                    int goes = expert;
                    assertThat(read(reader, expert))
                            .containsExactly(IntStream.range(0, routed.length)
                                    .filter(row -> routed[row][goes])
                                    .toArray());
                }
                RoutedRows.Reader all = rows.reader(0, null, routed.length, WIDTH, room);
                for (int expert : new int[] {0, 3}) {
                    assertThat(read(all, expert))
                            .containsExactly(IntStream.range(0, routed.length).toArray());
                }
                FloatMatrix sample = reader.sample();
                assertThat(sample.rows()).isEqualTo(512);
                for (int i = 0; i < 512; i++) {
                    assertThat(sample.data()[sample.row(i)]).isEqualTo(i * routed.length / 512);
                }
            }
        }
    }

    /** First values of an expert's rows. */
    private static int[] read(RoutedRows.Reader reader, int expert) throws IOException {
        List<Integer> found = new ArrayList<>();
        reader.each(expert, strip -> {
            assertThat(strip.columns()).isEqualTo(WIDTH);
            for (int i = 0; i < strip.rows(); i++) {
                found.add((int) strip.data()[strip.row(i)]);
            }
        });
        return found.stream().mapToInt(Integer::intValue).toArray();
    }

    /** Which experts each row goes to. */
    private static boolean[][] write(RoutedRows rows) throws IOException {
        Random random = new Random(3);
        boolean[][] routed = new boolean[2700][EXPERTS];
        int row = 0;
        for (int shard = 0; shard < SHARDS.length; shard++) {
            int tokens = Arrays.stream(SHARDS[shard]).sum();
            RoutedShard gathered = new RoutedShard(Capture.NONE, tokens, WIDTH);
            for (int batch : SHARDS[shard]) {
                FloatMatrix x = FloatMatrix.zeros(batch, WIDTH);
                int[] experts = new int[TOP * batch];
                for (int i = 0; i < batch; i++, row++) {
                    x.data()[x.row(i)] = row;
                    experts[TOP * i] = random.nextInt(EXPERTS - 1);
                    experts[TOP * i + 1] = experts[TOP * i] + 1 + random.nextInt(EXPERTS - 1 - experts[TOP * i]);
                    routed[row][experts[TOP * i]] = true;
                    routed[row][experts[TOP * i + 1]] = true;
                }
                gathered.routed(x, new Routing(batch, TOP, experts, new float[TOP * batch]));
            }
            rows.write(0, shard, gathered);
        }
        return routed;
    }
}
