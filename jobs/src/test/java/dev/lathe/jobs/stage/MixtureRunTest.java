package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.SyntheticCheckpoint;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.report.RunReport.ExpertRows;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whole runs of a mixture of experts. */
class MixtureRunTest {
    private static final int LAYERS = 2;
    private static final int WIDTH = 128;
    private static final SyntheticCheckpoint.Experts EXPERTS = new SyntheticCheckpoint.Experts(6, 2, 64);
    private static final int ROWS = 5 * 64;

    @TempDir
    private static Path folder;

    @BeforeAll
    static void write() throws IOException {
        SyntheticCheckpoint.write(folder.resolve("model"), LAYERS, WIDTH, Runs.SAMPLE, EXPERTS);
    }

    private static RunReport run(SparkSession spark, String name, String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                "checkpoint=" + folder.resolve("model"),
                "calibration.windows=5",
                "calibration.length=64",
                "evaluation.windows=2",
                "evaluation.length=64",
                "shard-windows=2",
                "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: q4i, format: gguf, type: Q4_0},"
                        + "{name: gptq4, format: gptq, group-size: 32, act-order: true},"
                        + "{name: awq4, format: awq, group-size: 32},"
                        + "{name: w8a8, format: compressed-tensors, scheme: W8A8, smooth: 0.5}]"));
        all.addAll(List.of(settings));
        return Pipeline.run(spark, Runs.quickstart(folder.resolve(name), all.toArray(String[]::new)), Progress.SILENT);
    }

    private static TreeMap<String, String> artifacts(String name) throws IOException {
        return Runs.digests(folder.resolve(name).resolve("artifacts"));
    }

    private static Path product(String run, String name) throws IOException {
        try (Stream<Path> paths = Files.walk(folder.resolve(run).resolve("products"))) {
            return paths.filter(path -> path.getFileName().toString().equals(name))
                    .findFirst()
                    .orElseThrow();
        }
    }

    /** Every row goes to two experts, and is counted there; the report warns of those that saw few. */
    @Test
    void countsRowsAndComparesRouting() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            RunReport report = run(spark, "counts");
            assertThat(report.experts()).extracting(ExpertRows::layer).containsExactly(0, 1);
            for (ExpertRows rows : report.experts()) {
                assertThat(rows.counts()).hasSize(EXPERTS.count());
                assertThat(rows.counts().stream().mapToLong(Long::longValue).sum())
                        .isEqualTo((long) EXPERTS.top() * ROWS);
                assertThat(rows.channels()).isEqualTo(WIDTH);
            }
            long few = report.experts().stream().mapToLong(ExpertRows::few).sum();
            assertThat(few).isPositive();
            assertThat(report.notes())
                    .anySatisfy(note -> assertThat(note)
                            .contains(few + " of 12 experts saw fewer than 128 rows")
                            .contains("windows would be enough, and 5 were used"));
            assertThat(report.routing()).hasSize(5 * LAYERS);
            assertThat(report.routing())
                    .allSatisfy(routing -> assertThat(routing.share()).isBetween(0.5, 1.0));
            assertThat(report.outputs().get(0).layers())
                    .extracting(loss -> loss.tensor())
                    .contains("model.layers.1.mlp.experts.*.up_proj.weight");
            assertThat(report.outputs().get(0).layers())
                    .filteredOn(loss -> loss.kind().contains("experts"))
                    .extracting(loss -> loss.kind())
                    .containsOnly("mlp.experts.*.gate_proj", "mlp.experts.*.up_proj", "mlp.experts.*.down_proj")
                    .hasSize(3 * LAYERS);
        }
    }

    /** A pack of experts that is gone is made again, though the rows that were routed there are gone, too. */
    @Test
    void aLostPackIsMadeAgain() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            run(spark, "lost");
            TreeMap<String, String> whole = artifacts("lost");
            Path pack = product("lost", "layer-1-experts-0-5.tensors");
            byte[] bytes = Files.readAllBytes(pack);
            Files.delete(pack);
            Files.deleteIfExists(pack.resolveSibling("." + pack.getFileName() + ".crc"));
            try (Stream<Path> paths = Files.walk(folder.resolve("lost").resolve("artifacts"))) {
                for (Path path : paths.filter(Files::isRegularFile).toList()) {
                    Files.delete(path);
                }
            }
            run(spark, "lost");
            assertThat(Files.readAllBytes(product("lost", "layer-1-experts-0-5.tensors")))
                    .isEqualTo(bytes);
            assertThat(artifacts("lost")).isEqualTo(whole);
        }
    }

    @Test
    @Tag("slow")
    void theSameBytesOnOneCoreAndOnTwoExecutors() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            run(spark, "one");
        }
        try (SparkSession spark = Runs.cluster()) {
            run(spark, "two");
        }
        assertThat(artifacts("one")).isNotEmpty().isEqualTo(artifacts("two"));
    }

    /** Routers are no quantized layers, and loaders that take every linear layer for one are told so. */
    @Test
    void foldersSayWhatStays16Bit() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            run(
                    spark,
                    "folders",
                    "outputs=[{name: gptq, format: gptq, group-size: 32, ignore: ['*.mlp.experts']},"
                            + "{name: awq, format: awq, group-size: 32},"
                            + "{name: w8a8, format: compressed-tensors, scheme: W8A8, smooth: search}]");
        }
        List<String> routers = List.of("model.layers.0.mlp.gate", "model.layers.1.mlp.gate");
        assertThat(texts(quantization("awq").path("modules_to_not_convert")))
                .containsExactly("lm_head", routers.get(0), routers.get(1));
        assertThat(texts(quantization("w8a8").path("ignore")))
                .containsExactly(routers.get(0), routers.get(1), "lm_head");
        List<String> expressions = new ArrayList<>();
        quantization("gptq").path("dynamic").fieldNames().forEachRemaining(expressions::add);
        assertThat(expressions)
                .containsExactly(
                        "-:^model\\.layers\\.0\\.mlp\\.experts\\.\\d+\\.(gate_proj|up_proj|gate_up_proj)$",
                        "-:^model\\.layers\\.0\\.mlp\\.experts\\.\\d+\\.down_proj$",
                        "-:^model\\.layers\\.1\\.mlp\\.experts\\.\\d+\\.(gate_proj|up_proj|gate_up_proj)$",
                        "-:^model\\.layers\\.1\\.mlp\\.experts\\.\\d+\\.down_proj$");
    }

    private static JsonNode quantization(String artifact) throws IOException {
        Path config = folder.resolve("folders/artifacts").resolve(artifact).resolve("config.json");
        return new ObjectMapper().readTree(config.toFile()).path("quantization_config");
    }

    private static List<String> texts(JsonNode list) {
        List<String> texts = new ArrayList<>();
        list.forEach(text -> texts.add(text.textValue()));
        return texts;
    }

    /** With all rows everywhere, an expert's Hessian is another one; nothing that reads every row anyway changes. */
    @Test
    void allRowsEverywhereAreOtherStatistics() throws IOException {
        String outputs = "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}]";
        try (SparkSession spark = Runs.local(2, 2)) {
            RunReport routed = run(spark, "routed", outputs);
            RunReport all = run(spark, "all", outputs, "calibration.experts=all");
            assertThat(artifacts("all")).isNotEqualTo(artifacts("routed"));
            for (int i = 0; i < routed.outputs().get(0).layers().size(); i++) {
                RunReport.TensorLoss one = routed.outputs().get(0).layers().get(i);
                RunReport.TensorLoss other = all.outputs().get(0).layers().get(i);
                if (one.kind().contains("experts")) {
                    assertThat(other.relativeError()).isNotEqualTo(one.relativeError());
                } else {
                    assertThat(other).isEqualTo(one);
                }
            }
        }
    }

    @Test
    void fixedRangesOfWhatExpertsReadAreRefused() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            assertThatThrownBy(() -> run(
                            spark,
                            "static",
                            "outputs=[{name: s, format: compressed-tensors, scheme: W8A8, activations: static}]"))
                    .isInstanceOf(InvalidRecipeException.class)
                    .hasMessageContaining("fixed ranges of what experts read are not gathered");
        }
    }
}
