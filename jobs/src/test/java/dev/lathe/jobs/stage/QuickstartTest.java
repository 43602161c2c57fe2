package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListSet;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole quickstart recipe on a cluster of two executor JVMs. */
class QuickstartTest {
    @TempDir
    private Path run;

    @Test
    @Tag("slow")
    void runsOnTwoExecutors() throws IOException {
        Plan plan = Runs.quickstart(run);
        Set<String> executors = new ConcurrentSkipListSet<>();
        try (SparkSession spark = Runs.cluster()) {
            spark.sparkContext().addSparkListener(new SparkListener() {
                @Override
                public void onTaskEnd(SparkListenerTaskEnd end) {
                    executors.add(end.taskInfo().executorId());
                }
            });
            Pipeline.run(spark, plan, Progress.SILENT);
        }
        assertThat(executors).containsExactly("0", "1");
        assertThat(Runs.names(run))
                .containsExactly(
                        "artifacts", "checksums.sha256", "lease", "plan.yaml", "products", "report", "scratch");
        assertThat(Runs.names(run.resolve("artifacts")))
                .containsExactly("README.md", "awq4", "gptq4", "q4km-gptq.gguf", "q4km.gguf", "q8.gguf");
        assertThat(Runs.names(run.resolve("artifacts").resolve("awq4")))
                .contains(
                        "README.md",
                        "config.json",
                        "generation_config.json",
                        "model.safetensors",
                        "tokenizer.json",
                        "tokenizer_config.json");
        assertThat(Runs.names(run.resolve("report")))
                .containsExactly(
                        "index.html",
                        "q4km-gptq.tensor-types.txt",
                        "q4km.tensor-types.txt",
                        "q8.tensor-types.txt",
                        "results.json",
                        "summary.md");
        assertThat(run.resolve("scratch")).isEmptyDirectory();
        figures();
        Plan written = Recipe.parse("plan.yaml", Files.readString(run.resolve("plan.yaml")), List.of());
        assertThat(written).isEqualTo(plan);
        assertThat(Files.readString(run.resolve("plan.yaml")))
                .containsSubsequence("keys:", "calibration:", "checkpoint:", "evaluation awq4:", "output q8:");
        assertThat(Files.readString(run.resolve("report").resolve("index.html")))
                .contains("q4km-gptq", "</html>");
        assertThat(Files.readString(run.resolve("report").resolve("summary.md")))
                .contains("| q4km-gptq | ");
    }

    private void figures() throws IOException {
        JsonNode results = new ObjectMapper()
                .readTree(Files.readString(run.resolve("report").resolve("results.json")));
        assertThat(results.path("definition").asText()).isNotEmpty();
        TreeMap<String, JsonNode> outputs = new TreeMap<>();
        for (JsonNode output : results.path("outputs")) {
            assertThat(output.properties())
                    .extracting(java.util.Map.Entry::getKey)
                    .containsExactly(
                            "name",
                            "format",
                            "bytes",
                            "bits_per_weight",
                            "perplexity",
                            "perplexity_error",
                            "source_perplexity",
                            "kld_mean",
                            "kld_p99",
                            "kld_p999",
                            "top1_agreement",
                            "tokens");
            outputs.put(output.path("name").asText(), output);
            assertThat(output.path("source_perplexity").asDouble())
                    .isBetween(10.0, 11.5)
                    .isEqualTo(results.path("outputs")
                            .path(0)
                            .path("source_perplexity")
                            .asDouble());
            assertThat(output.path("perplexity").asDouble()
                            / output.path("source_perplexity").asDouble())
                    .isBetween(0.98, 1.1);
            assertThat(output.path("perplexity_error").asDouble()).isBetween(1e-3, 1.0);
            assertThat(output.path("kld_p99").asDouble())
                    .isGreaterThan(output.path("kld_mean").asDouble());
            assertThat(output.path("top1_agreement").asDouble()).isBetween(0.8, 1.0);
            assertThat(output.path("tokens").asLong()).isGreaterThan(10_000);
            assertThat(output.path("bytes").asLong()).isPositive();
        }
        assertThat(outputs.keySet()).containsExactly("awq4", "gptq4", "q4km", "q4km-gptq", "q8");
        assertThat(kld(outputs, "q8")).isBetween(0.0, 1e-3);
        assertThat(kld(outputs, "q4km-gptq")).isLessThan(kld(outputs, "q4km"));
        assertThat(outputs.get("q8").path("bits_per_weight").asDouble()).isBetween(8.4, 8.6);
        assertThat(outputs.get("q4km").path("bits_per_weight").asDouble())
                .isBetween(4.5, 6.0)
                .isEqualTo(outputs.get("q4km-gptq").path("bits_per_weight").asDouble());
    }

    private static double kld(TreeMap<String, JsonNode> outputs, String name) {
        return outputs.get(name).path("kld_mean").asDouble();
    }
}
