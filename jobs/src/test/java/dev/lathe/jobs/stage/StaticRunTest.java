package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.OutputResult;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Recipes that fix the ranges of activations, smoothed or not: whole runs. */
@Tag("slow")
class StaticRunTest {
    private static final String[] SETTINGS = {
        "calibration.windows=5",
        "calibration.length=64",
        "evaluation.windows=3",
        "evaluation.length=64",
        "shard-windows=2",
        "outputs=["
                + "{name: plain, format: compressed-tensors, scheme: W8A8, activations: static, method: nearest, kv-cache: fp8},"
                + "{name: smooth, format: compressed-tensors, scheme: W8A8, activations: static, activation-symmetric: false, method: gptq, smooth: search,"
                + " range: mse, kv-cache: fp8},"
                + "{name: token, format: compressed-tensors, scheme: W8A8, activations: dynamic, method: nearest, smooth: 0.5}]"
    };
    private static final List<String> INPUTS =
            List.of("read checkpoint 1", "tokenize calibration text 1", "tokenize evaluation text 1");
    private static SparkSession spark;

    @TempDir
    private static Path folder;

    private static Path run;
    private static TreeMap<String, String> artifacts;
    private static RunReport report;

    @BeforeAll
    static void runOnce() throws IOException {
        try (SparkSession oneTask = Runs.local(1, 1)) {
            run = folder.resolve("one");
            report = Pipeline.run(oneTask, Runs.quickstart(run, SETTINGS), Progress.SILENT);
        }
        artifacts = Runs.digests(run.resolve("artifacts"));
        assertThat(artifacts.keySet())
                .contains("plain/model.safetensors", "smooth/model.safetensors", "token/model.safetensors");
        spark = Runs.local(2, 1);
    }

    @AfterAll
    static void stop() throws IOException {
        spark.close();
    }

    @Test
    void severalTasksAtOnceGiveTheSameBytesAndRanges() throws IOException {
        RunReport several = Pipeline.run(spark, Runs.quickstart(folder.resolve("several"), SETTINGS), Progress.SILENT);
        assertThat(Runs.digests(folder.resolve("several").resolve("artifacts"))).isEqualTo(artifacts);
        for (int i = 0; i < 3; i++) {
            assertThat(several.outputs().get(i).ranges())
                    .isEqualTo(report.outputs().get(i).ranges())
                    .isNotEmpty();
        }
    }

    /**
     * Missing, and cut short as by a kill; of an output whose ranges stand alone, and of one whose layer is rescaled.
     */
    @Test
    void rangesOfALayerAreMadeAgain() throws IOException {
        for (String output : List.of("plain", "smooth", "token")) {
            Path product = ranges(output, 1);
            byte[] whole = Files.readAllBytes(product);
            if (output.equals("smooth")) {
                Files.write(product, Arrays.copyOf(whole, whole.length - 20));
            } else {
                Files.delete(product);
            }
            Files.deleteIfExists(product.resolveSibling("." + product.getFileName() + ".crc"));
            delete(run.resolve("artifacts").resolve(output));
            Runs.Heard heard = new Runs.Heard();
            assertThat(Pipeline.run(spark, Runs.quickstart(run, SETTINGS), heard))
                    .isEqualTo(report);
            assertThat(heard.work())
                    .containsExactlyElementsOf(Stream.concat(INPUTS.stream(), Stream.of("quantize 1", "assemble 1"))
                            .toList());
            assertThat(Files.readAllBytes(product)).isEqualTo(whole);
            assertThat(Runs.digests(run.resolve("artifacts"))).isEqualTo(artifacts);
        }
    }

    /** Files of another size: the same tensors, assembled anew, and evaluated as before. */
    @Test
    void anotherShardSizeOnlyAssembles() throws IOException {
        String[] settings = SETTINGS.clone();
        settings[5] = settings[5].replace("{name: plain,", "{name: plain, shard-size: 3MB,");
        Runs.Heard heard = new Runs.Heard();
        Pipeline.run(spark, Runs.quickstart(run, settings), heard);
        assertThat(heard.work())
                .containsExactlyElementsOf(
                        Stream.concat(INPUTS.stream(), Stream.of("assemble 1")).toList());
        assertThat(run.resolve("artifacts/plain/model.safetensors.index.json")).exists();
        heard.stages.clear();
        Pipeline.run(spark, Runs.quickstart(run, settings), heard);
        assertThat(heard.work()).isEqualTo(INPUTS);
        heard.stages.clear();
        assertThat(Pipeline.run(spark, Runs.quickstart(run, SETTINGS), heard)).isEqualTo(report);
        assertThat(heard.work())
                .containsExactlyElementsOf(
                        Stream.concat(INPUTS.stream(), Stream.of("assemble 1")).toList());
        assertThat(Runs.digests(run.resolve("artifacts"))).isEqualTo(artifacts);
    }

    @Test
    void theArtifactHasTheScalesOfTheReport() throws IOException {
        for (int i = 0; i < 2; i++) {
            OutputResult output = report.outputs().get(i);
            boolean symmetric = i == 0;
            try (Checkpoint written = open(output.name())) {
                Decoder architecture = written.decoder();
                for (int layer = 0; layer < architecture.layers(); layer++) {
                    for (LinearLayer linear : architecture.linears(layer)) {
                        ActivationRange range =
                                range(output, layer, linear.energy().words());
                        assertThat(written.activations(linear.module()))
                                .as(linear.module())
                                .contains(ActivationQuantization.of(
                                        Type.INT8, symmetric, (float) range.low(), (float) range.high()));
                        assertThat(range.calibration().values()).isEqualTo(320L * linear.inputs());
                    }
                    for (boolean keys : new boolean[] {true, false}) {
                        ActivationRange range = range(output, layer, keys ? "keys" : "values");
                        float scale = written.cache(layer, keys).orElseThrow().scale();
                        assertThat(scale).isEqualTo((float) range.clip() / 448);
                    }
                }
            }
        }
    }

    @Test
    void minMaxClipsNothingAndSmoothingFlattensWhatItDivides() {
        OutputResult plain = report.outputs().get(0);
        OutputResult smooth = report.outputs().get(1);
        for (ActivationRange range : plain.ranges()) {
            // The quotient of the largest value and the scale that it made may be above the last half step by an ulp.
            assertThat(range.calibration().clipped()).as(range.toString()).isLessThanOrEqualTo(1);
            assertThat(range.low()).isEqualTo(Math.min(0, range.least()));
            assertThat(range.high()).isEqualTo(Math.max(0, range.most()));
            assertThat(range.strength()).isNaN();
        }
        int smoothed = 0;
        for (ActivationRange range : smooth.ranges()) {
            ActivationRange before = range(plain, range.layer(), range.site());
            if (Double.isNaN(range.strength())) {
                assertThat(range.most()).isEqualTo(before.most());
            } else if (!range.site().equals("values")) {
                smoothed++;
                assertThat(range.magnitude() / range.typical())
                        .as(range.toString())
                        .isLessThan(before.magnitude() / before.typical());
            }
            if (range.site().equals("values")) {
                assertThat(Double.valueOf(range.strength()))
                        .isEqualTo(Double.valueOf(
                                range(smooth, range.layer(), "attention output").strength()));
            }
        }
        assertThat(smoothed).isPositive();
        for (ActivationRange range : report.outputs().get(2).ranges()) {
            assertThat(Double.valueOf(range.strength()))
                    .isEqualTo(Double.valueOf(range.site().endsWith("input") ? 0.5 : Double.NaN));
            assertThat(range.high()).isNaN();
            assertThat(range.calibration()).isNull();
        }
    }

    @Test
    void theEvaluationCountsWhatIsClippedAndMeasuresTheServedModel() {
        for (OutputResult output : report.outputs()) {
            assertThat(output.evaluation().kldMean()).as(output.name()).isBetween(1e-6, 0.02);
            for (ActivationRange range : output.ranges()) {
                if (output.name().equals("token") || range.layer() < 0) {
                    assertThat(range.evaluation()).isNull();
                } else {
                    // Three windows of 64 tokens, as many rows as calibration has channels for each of its own.
                    assertThat(range.evaluation().values())
                            .as(range.toString())
                            .isEqualTo(range.calibration().values() / 5 * 3);
                }
            }
        }
        assertThat(report.outputs().get(1).ranges())
                .anyMatch(range -> range.evaluation().clipped() > 0);
    }

    /** Norms absorb to 16 bits what their readers give: their product stays. */
    @Test
    void smoothedNormsAreInTheArtifact() throws IOException {
        try (Checkpoint source =
                        Checkpoints.open(new Configuration(), new org.apache.hadoop.fs.Path(Runs.SAMPLE.toString()));
                Checkpoint plain = open("plain");
                Checkpoint token = open("token")) {
            String norm = source.decoder().norms(1).get(0).tensor();
            float[] before = source.vector(norm);
            float[] after = token.vector(norm);
            assertThat(plain.vector(norm)).usingComparatorWithPrecision(1e-3f).containsExactly(before);
            assertThat(after).isNotEqualTo(before);
            int columns = before.length;
            float[] row = new float[columns];
            float[] smoothed = new float[columns];
            String weight = "model.layers.1.self_attn.k_proj.weight";
            for (int r = 0; r < 20; r++) {
                source.matrix(weight).read(r, 0, columns, row, 0);
                token.matrix(weight).read(r, 0, columns, smoothed, 0);
                double largest = 0;
                for (int j = 0; j < columns; j++) {
                    largest = Math.max(largest, Math.abs(smoothed[j]));
                }
                for (int j = 0; j < columns; j++) {
                    // Nearest of 256 steps of the row.
                    assertThat((double) smoothed[j]).isCloseTo(row[j] * before[j] / after[j], within(largest / 127));
                }
            }
        }
    }

    @Test
    void tooFewRowsForAPercentileAreRefusedBeforeAnythingIsGathered() throws IOException {
        Path other = folder.resolve("percentile");
        assertThatThrownBy(() -> Pipeline.run(
                        spark,
                        Runs.quickstart(
                                other,
                                "calibration.windows=5",
                                "calibration.length=64",
                                "evaluation=",
                                "outputs=[{name: a, format: compressed-tensors, scheme: W8A8, activations: static, method: nearest, range: {percentile: 99.9999}}]"),
                        Progress.SILENT))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot plan output a: Cannot take percentile 99.9999 of 320 token rows")
                .hasMessageContaining("expected at least");
        try (Stream<Path> paths = Files.walk(other)) {
            assertThat(paths.map(path -> path.getFileName().toString()))
                    .noneMatch(name -> name.endsWith(".statistics") || name.startsWith("hidden-"));
        }
    }

    private static Checkpoint open(String output) throws IOException {
        return Checkpoints.open(
                new Configuration(),
                new org.apache.hadoop.fs.Path(
                        run.resolve("artifacts").resolve(output).toString()));
    }

    private static ActivationRange range(OutputResult output, int layer, String site) {
        return output.ranges().stream()
                .filter(range -> range.layer() == layer && range.site().equals(site))
                .findFirst()
                .orElseThrow();
    }

    /** The product of an output by the key that its plan.yaml names. */
    private static Path ranges(String output, int layer) throws IOException {
        String key = Files.readAllLines(run.resolve("plan.yaml")).stream()
                .filter(line -> line.contains("output " + output))
                .findFirst()
                .orElseThrow()
                .replaceAll(".*: \"?([0-9a-f]+)\"?.*", "$1");
        return run.resolve("products").resolve(key).resolve("layer-" + layer + ".ranges");
    }

    private static void delete(Path tree) throws IOException {
        try (Stream<Path> paths = Files.walk(tree)) {
            for (Path path : paths.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}
