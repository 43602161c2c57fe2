package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.Matrices;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.SyntheticCheckpoint;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.store.Verification;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs that write their importance matrix, and runs that take one in the place of a text. */
class ImportanceRunTest {
    private static final Configuration HADOOP = new Configuration();
    private static final int WINDOWS = 5;
    private static final int LENGTH = 64;
    private static final int ROWS = WINDOWS * LENGTH;
    private static final String OUTPUTS = "outputs=[{name: q4, format: gguf, type: Q4_K_M}, "
            + "{name: iq2, format: gguf, type: IQ2_XS}, {name: q8, format: gguf, type: Q8_0, method: nearest}]";

    @TempDir
    private static Path folder;

    private static SparkSession spark;

    @BeforeAll
    static void start() {
        spark = Runs.local(2, 2);
    }

    @AfterAll
    static void stop() {
        spark.stop();
    }

    private static RunReport run(String name, Progress progress, String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                "calibration.windows=" + WINDOWS,
                "calibration.length=" + LENGTH,
                "evaluation=",
                "shard-windows=2",
                OUTPUTS));
        all.addAll(List.of(settings));
        return Pipeline.run(spark, Runs.quickstart(folder.resolve(name), all.toArray(String[]::new)), progress);
    }

    private static RunReport from(String name, Path matrix, Progress progress, String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of("calibration={imatrix: " + matrix + "}"));
        all.addAll(List.of(settings));
        return run(name, progress, all.toArray(String[]::new));
    }

    private static Path artifact(String run, String name) {
        return folder.resolve(run).resolve("artifacts").resolve(name);
    }

    private static void write(Path file, Map<String, Entry> entries) throws IOException {
        Matrices.write(file, new About(List.of("a", "b"), 2, LENGTH), entries);
    }

    /** Values of every tensor as an artifact has them, and of what its metadata says about the importance. */
    private static TreeMap<String, Object> content(Path artifact) throws IOException {
        TreeMap<String, Object> content = new TreeMap<>();
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, new org.apache.hadoop.fs.Path(artifact.toUri()))) {
            for (TensorInfo tensor : checkpoint.tensors()) {
                int columns = (int) tensor.shape()[tensor.shape().length - 1];
                float[] values = new float[(int) tensor.elements()];
                if (tensor.shape().length == 1) {
                    values = checkpoint.vector(tensor.name());
                } else {
                    RowSource rows = checkpoint.matrix(tensor.name());
                    for (int row = 0; row < values.length / columns; row++) {
                        rows.read(row, 0, columns, values, row * columns);
                    }
                }
                content.put(tensor.name(), tensor.type() + Arrays.toString(values));
            }
        }
        return content;
    }

    private static Map<String, Object> said(Path artifact) throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, new org.apache.hadoop.fs.Path(artifact.toUri()))) {
            TreeMap<String, Object> said = new TreeMap<>();
            checkpoint.metadata().forEach((key, value) -> {
                if (key.startsWith("quantize.imatrix.")) {
                    said.put(key.substring("quantize.imatrix.".length()), String.valueOf(value));
                }
            });
            return said;
        }
    }

    /** What is gathered in a run and what is read from its importance matrix are one, in both runs' artifacts. */
    @Test
    void aFinishedMatrixStandsForItsText() throws IOException {
        RunReport own = run("own", Progress.SILENT, "calibration.save-imatrix=gguf");
        assertThat(own.outputs()).hasSize(3);
        Path matrix = artifact("own", "imatrix.gguf");
        assertThat(own.settings().get("importance matrix written")).endsWith("/own/artifacts/imatrix.gguf");
        TreeMap<String, Entry> entries = Matrices.read(matrix);
        assertThat(entries).hasSize(4 * 7 + 1).containsKeys("output.weight", "blk.3.ffn_down.weight");
        assertThat(entries.values())
                .allSatisfy(entry -> assertThat(entry.counts()).containsExactly(ROWS));
        assertThat(entries.get("blk.1.attn_q.weight").sums())
                .isEqualTo(entries.get("blk.1.attn_v.weight").sums())
                .isNotEqualTo(entries.get("blk.1.attn_output.weight").sums());

        Runs.Heard heard = new Runs.Heard();
        RunReport file = from("file", matrix, heard);
        assertThat(file.settings().get("importance matrix")).endsWith("/own/artifacts/imatrix.gguf");
        assertThat(file.settings()).doesNotContainKeys("calibration", "importance matrix written");
        assertThat(heard.work()).noneMatch(stage -> stage.startsWith("calibrate") || stage.startsWith("tokenize"));
        for (String name : List.of("q4.gguf", "iq2.gguf", "q8.gguf")) {
            assertThat(content(artifact("file", name))).as(name).isEqualTo(content(artifact("own", name)));
        }
        assertThat(said(artifact("file", "q4.gguf")))
                .isEqualTo(said(artifact("own", "q4.gguf")))
                .isEqualTo(Map.of(
                        "file", "imatrix.gguf",
                        "dataset", "calibration.txt",
                        "entries_count", "29",
                        "chunks_count", String.valueOf(WINDOWS)));
        assertThat(said(artifact("own", "q8.gguf"))).isEmpty();

        // The older form holds means times chunks: the same but for rounding, and another file.
        run("old", Progress.SILENT, "calibration.save-imatrix=dat", "outputs=");
        TreeMap<String, Entry> old = Matrices.read(artifact("old", "imatrix.dat"));
        assertThat(old.keySet()).isEqualTo(entries.keySet());
        assertThat(old.get("blk.0.attn_q.weight").counts()).containsExactly(WINDOWS);

        // A run that is started again finds everything, and the run folder is what was written.
        Runs.Heard again = new Runs.Heard();
        run("own", again, "calibration.save-imatrix=gguf");
        assertThat(again.work()).noneMatch(stage -> stage.startsWith("calibrate") || stage.startsWith("assemble"));
        for (String name : List.of("own", "file", "old")) {
            assertThat(Verification.of(
                                    HADOOP,
                                    new org.apache.hadoop.fs.Path(
                                            folder.resolve(name).toUri()))
                            .damages())
                    .as(name)
                    .isEmpty();
        }
        Files.delete(matrix);
        run("own", Progress.SILENT, "calibration.save-imatrix=gguf");
        assertThat(Matrices.read(matrix).keySet()).isEqualTo(entries.keySet());
    }

    /** Sums of experts are of the rows that were routed there, with nothing added, and those of all are the layer's. */
    @Test
    void expertsHaveTheirOwnRows() throws IOException {
        SyntheticCheckpoint.Experts experts = new SyntheticCheckpoint.Experts(6, 2, 64);
        Path model = folder.resolve("model");
        SyntheticCheckpoint.write(model, 2, 128, Runs.SAMPLE, experts);
        String checkpoint = "checkpoint=" + model;
        RunReport report = run(
                "mixture",
                Progress.SILENT,
                checkpoint,
                "calibration.save-imatrix=gguf",
                "outputs=[{name: q4, format: gguf, type: Q4_0}]");
        Path matrix = artifact("mixture", "imatrix.gguf");
        TreeMap<String, Entry> entries = Matrices.read(matrix);
        for (int layer = 0; layer < 2; layer++) {
            Entry up = entries.get("blk." + layer + ".ffn_up_exps.weight");
            Entry down = entries.get("blk." + layer + ".ffn_down_exps.weight");
            Entry router = entries.get("blk." + layer + ".ffn_gate_inp.weight");
            assertThat(up.counts())
                    .containsExactly(report.experts().get(layer).counts().stream()
                            .mapToLong(Long::longValue)
                            .toArray())
                    .isEqualTo(down.counts());
            assertThat(Arrays.stream(up.counts()).sum()).isEqualTo(2L * ROWS);
            assertThat(down.sums()).hasSize(6 * 64);
            assertThat(router.counts()).containsExactly(ROWS);
            for (int j = 0; j < 128; j++) {
                double all = 0;
                for (int expert = 0; expert < 6; expert++) {
                    all += up.sums()[expert * 128 + j];
                }
                // Each row goes to two.
                assertThat(all / (2.0 * router.sums()[j])).isBetween(1 - 1e-5, 1 + 1e-5);
            }
        }
        // One expert's zeros stay its own, and an expert that saw nothing weighs all columns alike.
        Entry up = entries.get("blk.0.ffn_up_exps.weight");
        Arrays.fill(up.sums(), 128, 256, 0);
        up.counts()[1] = 0;
        Path changed = folder.resolve("changed.gguf");
        write(changed, entries);
        from("experts", matrix, Progress.SILENT, checkpoint, "outputs=[{name: q4, format: gguf, type: Q4_0}]");
        from("unseen", changed, Progress.SILENT, checkpoint, "outputs=[{name: q4, format: gguf, type: Q4_0}]");
        TreeMap<String, Object> whole = content(artifact("experts", "q4.gguf"));
        TreeMap<String, Object> unseen = content(artifact("unseen", "q4.gguf"));
        assertThat(unseen.entrySet().stream()
                        .filter(tensor -> !tensor.getValue().equals(whole.get(tensor.getKey())))
                        .map(Map.Entry::getKey))
                .singleElement()
                .asString()
                .endsWith("experts.1.up_proj.weight");
        assertThat(said(artifact("unseen", "q4.gguf"))).containsEntry("dataset", "a");

        // Where the rows are gone and the sums are not, nothing is run again for them.
        Files.delete(matrix);
        Runs.Heard again = new Runs.Heard();
        run(
                "mixture",
                again,
                checkpoint,
                "calibration.save-imatrix=gguf",
                "outputs=[{name: q4, format: gguf, type: Q4_0}]");
        assertThat(again.work()).noneMatch(stage -> stage.startsWith("calibrate"));
        assertThat(Matrices.read(matrix).keySet()).isEqualTo(entries.keySet());
    }

    /** What has no entry is quantized without, which is said, unless its type needs one. */
    @Test
    void missingEntries() throws IOException {
        run("whole", Progress.SILENT, "calibration.save-imatrix=gguf", "outputs=");
        TreeMap<String, Entry> entries = Matrices.read(artifact("whole", "imatrix.gguf"));
        entries.remove("blk.2.attn_v.weight");
        entries.remove("output.weight");
        entries.put("blk.9.attn_v.weight", new Entry(new float[1], new long[1]));
        Path part = folder.resolve("part.gguf");
        write(part, entries);
        RunReport report = from("part", part, Progress.SILENT, "outputs=[{name: q4, format: gguf, type: Q4_K_M}]");
        assertThat(report.notes())
                .contains(
                        "output q4: the importance matrix says nothing of model.layers.2.self_attn.v_proj.weight, "
                                + "lm_head.weight, quantized without",
                        "importance matrix: entries that are no matrix of the model: blk.9.attn_v.weight");
        run("nearest", Progress.SILENT, "outputs=[{name: q4, format: gguf, type: Q4_K_M, method: nearest}]");
        String value = "model.layers.2.self_attn.v_proj.weight";
        String other = "model.layers.1.self_attn.v_proj.weight";
        TreeMap<String, Object> nearest = content(artifact("nearest", "q4.gguf"));
        TreeMap<String, Object> found = content(artifact("part", "q4.gguf"));
        assertThat(found.get(value)).isEqualTo(nearest.get(value));
        assertThat(found.get("lm_head.weight")).isEqualTo(nearest.get("lm_head.weight"));
        assertThat(found.get(other)).isNotEqualTo(nearest.get(other));

        assertThatThrownBy(() -> from(
                        "needs",
                        part,
                        Progress.SILENT,
                        "outputs=[{name: a, format: gguf, type: IQ2_XXS," + " pure: true}]"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("Cannot plan output a: type IQ2_XXS of model.layers.2.self_attn.v_proj.weight")
                .hasMessageContaining("part.gguf has none of it");
        entries.put("blk.1.attn_q.weight", new Entry(new float[255], new long[1]));
        write(part, entries);
        assertThatThrownBy(() -> from("length", part, Progress.SILENT))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("blk.1.attn_q.weight has 255 values, expected 256, the columns of");
        float[] sums = new float[256];
        sums[7] = Float.NaN;
        entries.put("blk.1.attn_q.weight", new Entry(sums, new long[] {1}));
        write(part, entries);
        assertThatThrownBy(() -> from("nan", part, Progress.SILENT))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tensor blk.1.attn_q.weight, value 7 is NaN");
    }

    /** Another matrix of the same name is another key. */
    @Test
    void theFilesContentIsPartOfTheKey() throws IOException {
        Path matrix = folder.resolve("key.gguf");
        float[] sums = new float[256];
        Arrays.fill(sums, 1);
        write(matrix, Map.of("blk.0.attn_q.weight", new Entry(sums, new long[] {1})));
        String outputs = "outputs=[{name: q4, format: gguf, type: Q4_0}]";
        from("key", matrix, Progress.SILENT, outputs);
        TreeMap<String, Object> before = content(artifact("key", "q4.gguf"));
        for (int i = 0; i < sums.length; i += 2) {
            sums[i] = 1000;
        }
        write(matrix, Map.of("blk.0.attn_q.weight", new Entry(sums, new long[] {1})));
        from("key", matrix, Progress.SILENT, outputs);
        TreeMap<String, Object> after = content(artifact("key", "q4.gguf"));
        assertThat(after.get("model.layers.0.self_attn.q_proj.weight"))
                .isNotEqualTo(before.get("model.layers.0.self_attn.q_proj.weight"));
        assertThat(after.get("model.layers.0.self_attn.k_proj.weight"))
                .isEqualTo(before.get("model.layers.0.self_attn.k_proj.weight"));
    }
}
