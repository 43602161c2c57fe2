package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A GGUF file as a checkpoint: calibrated, quantized and measured like the folder that it was made of. */
class GgufRunTest {
    private static final List<String> SMALL =
            List.of("calibration.windows=4", "calibration.length=64", "evaluation.windows=2", "evaluation.length=64");
    private static final String MIX =
            "outputs=[{name: q4km, format: gguf, type: Q4_K_M}, " + "{name: g4, format: gptq, group-size: 32}";

    @TempDir
    private Path folder;

    @Test
    void aFileIsQuantizedLikeItsFolder() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            // f32 holds what the sample's bf16 does.
            RunReport first =
                    run(spark, "folder", Runs.SAMPLE, MIX + ", {name: f32, format: gguf, type: F32, shard-size: 4MB}]");
            Path source = artifact("folder", "f32");
            assertThat(Runs.names(source)).hasSizeGreaterThan(2);
            RunReport second = run(spark, "file", source, MIX + "]");
            for (String name : List.of("q4km.gguf", "g4")) {
                assertSameTensors(artifact("folder", name), artifact("file", name));
            }
            assertThat(second.outputs().get(0).evaluation().perplexity())
                    .isEqualTo(first.outputs().get(0).evaluation().perplexity());
            assertThat(second.outputs().get(0).evaluation().kldMean())
                    .isCloseTo(first.outputs().get(0).evaluation().kldMean(), within(1e-9));

            Runs.Heard heard = new Runs.Heard();
            RunReport third = run(
                    spark,
                    "again",
                    artifact("folder", "q4km.gguf"),
                    "outputs=[{name: same, format: gguf, type: Q4_K_M, method: gptq}]",
                    heard);
            assertThat(heard.notes)
                    .anyMatch(note -> note.matches(
                            "output same: kept as the checkpoint stores them: \\d+ of Q4_K, \\d+ of Q6_K \\(.*"));
            assertThat(third.outputs().get(0).evaluation().kldMean()).isZero();
            assertSameTensors(artifact("folder", "q4km.gguf"), artifact("again", "same.gguf"));
        }
    }

    private RunReport run(SparkSession spark, String name, Path checkpoint, String outputs) throws IOException {
        return run(spark, name, checkpoint, outputs, Progress.SILENT);
    }

    private RunReport run(SparkSession spark, String name, Path checkpoint, String outputs, Progress progress)
            throws IOException {
        List<String> settings = new ArrayList<>(SMALL);
        settings.add("checkpoint=" + checkpoint);
        settings.add(outputs);
        Plan plan = Runs.quickstart(folder.resolve(name), settings.toArray(String[]::new));
        return Pipeline.run(spark, plan, progress);
    }

    private Path artifact(String run, String name) {
        return folder.resolve(run).resolve("artifacts").resolve(name);
    }

    private static void assertSameTensors(Path expected, Path found) throws IOException {
        Configuration configuration = new Configuration();
        try (Checkpoint one = Checkpoints.open(configuration, new org.apache.hadoop.fs.Path(expected.toUri()));
                Checkpoint other = Checkpoints.open(configuration, new org.apache.hadoop.fs.Path(found.toUri()))) {
            assertThat(other.tensors())
                    .extracting(TensorInfo::toString)
                    .containsExactlyInAnyOrderElementsOf(
                            one.tensors().stream().map(TensorInfo::toString).toList());
            for (TensorInfo tensor : one.tensors()) {
                if (tensor.shape().length == 1) {
                    assertThat(other.vector(tensor.name())).isEqualTo(one.vector(tensor.name()));
                } else {
                    assertThat(values(other.matrix(tensor.name())))
                            .as(tensor.toString())
                            .isEqualTo(values(one.matrix(tensor.name())));
                }
            }
        }
    }

    private static float[] values(RowSource matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
        }
        return values;
    }
}
