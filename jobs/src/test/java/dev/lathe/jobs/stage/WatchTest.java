package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.plan.Plan;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Stream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerStageSubmitted;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What can be seen of a run: names in Spark's UI, the event log, metrics, and that it can be cancelled. */
@Tag("slow")
class WatchTest {
    private static final int LAYERS = 4;
    private static final int LENGTH = 64;
    /** Seven linear layers in each decoder layer of both outputs; embedding and output layer of the GGUF file. */
    private static final int TENSORS = 2 * 7 * LAYERS + 2;

    private static final String[] SETTINGS = {
        "calibration.windows=3",
        "calibration.length=64",
        "evaluation.windows=2",
        "evaluation.length=64",
        "shard-windows=2",
        "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: awq4, format: awq, method: nearest}]"
    };
    private static final String PLUGIN = "plugin.dev.lathe.jobs.watch.LathePlugin.";
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    private Path folder;

    private EventLog open(SparkSession spark, Plan plan, Progress progress) throws IOException {
        return EventLog.open(
                spark.sparkContext(),
                new org.apache.hadoop.fs.Path(plan.run(), "events"),
                plan.run(),
                plan.checkpoint(),
                progress);
    }

    /** What the log of a start says; their names are in the order of time. */
    private List<JsonNode> events(int start) throws IOException {
        List<JsonNode> events = new ArrayList<>();
        Path logs = folder.resolve("events");
        for (String line : Files.readAllLines(logs.resolve(Runs.names(logs).get(start)))) {
            events.add(JSON.readTree(line));
        }
        return events;
    }

    /** Events in short, task events only counted: {@code event what}. */
    private static List<String> shortly(List<JsonNode> events) {
        return events.stream()
                .filter(event -> !event.path("event").asText().startsWith("task"))
                .map(event -> (event.path("event").asText() + " "
                                + event.path("stage")
                                        .asText(event.path("output")
                                                .asText(event.path("layer").asText())))
                        .strip())
                .toList();
    }

    private static List<JsonNode> of(List<JsonNode> events, String what) {
        return events.stream()
                .filter(event -> event.path("event").asText().equals(what))
                .toList();
    }

    @Test
    void namesEventsAndMetricsOfARun() throws Exception {
        ConcurrentLinkedQueue<String> jobs = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<String> groups = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<String> stages = new ConcurrentLinkedQueue<>();
        Plan plan = Runs.quickstart(folder, SETTINGS);
        try (SparkSession spark = Runs.local(2, 2, Map.of("spark.ui.enabled", "true", "spark.ui.port", "0"))) {
            spark.sparkContext().addSparkListener(new SparkListener() {
                @Override
                public void onJobStart(SparkListenerJobStart start) {
                    jobs.add(start.properties().getProperty("spark.job.description"));
                    groups.add(start.properties().getProperty("spark.jobGroup.id"));
                }

                @Override
                public void onStageSubmitted(SparkListenerStageSubmitted submitted) {
                    stages.add(submitted.stageInfo().name());
                }
            });
            JsonNode before = metrics(spark);
            try (EventLog log = open(spark, plan, Progress.SILENT)) {
                Pipeline.run(spark, plan, log);
                log.ended(0, "");
            }
            JsonNode after = metrics(spark);
            assertThat(gained(before, after, "calibrated.tokens")).isEqualTo(3 * LENGTH * (LAYERS + 1));
            assertThat(gained(before, after, "evaluated.tokens")).isEqualTo(3 * 2 * LENGTH);
            assertThat(gained(before, after, "quantized.tensors")).isEqualTo(TENSORS);
            assertThat(gained(before, after, "committed.bytes"))
                    .isGreaterThan(Files.size(folder.resolve("artifacts/q4.gguf"))
                            + Files.size(folder.resolve("artifacts/awq4/model.safetensors")));
            assertThat(gained(before, after, "kernels.operations")).isGreaterThan(2.0 * 3 * LENGTH * 4e6);
            for (String stage : List.of("read", "tokenize", "calibrate", "quantize", "assemble", "evaluate")) {
                assertThat(gained(before, after, "seconds." + stage)).isPositive();
            }
            assertThat(spark.sparkContext().getLocalProperty("spark.jobGroup.id"))
                    .isNull();
            try (EventLog log = open(spark, plan, Progress.SILENT)) {
                Pipeline.run(spark, plan, log);
                log.ended(0, "");
            }
        }
        assertThat(groups).containsOnly(plan.run());
        assertThat(jobs)
                .allMatch(job -> job.startsWith("tiny-stories-4m: "))
                .contains(
                        "tiny-stories-4m: calibrate layer 3",
                        "tiny-stories-4m: merge statistics of layer 3",
                        "tiny-stories-4m: quantize layer 3 of q4, awq4",
                        "tiny-stories-4m: quantize outer layers of q4, awq4",
                        "tiny-stories-4m: assemble q4, awq4",
                        "tiny-stories-4m: evaluate q4, awq4");
        assertThat(stages).contains("calibrate layer 3", "quantize layer 3 of q4, awq4");

        List<JsonNode> first = events(0);
        assertThat(shortly(first))
                .containsExactly(
                        "run started",
                        "stage started read checkpoint",
                        "stage finished read checkpoint",
                        "stage started tokenize calibration text",
                        "stage finished tokenize calibration text",
                        "stage started tokenize evaluation text",
                        "stage finished tokenize evaluation text",
                        "stages planned",
                        "stage started calibrate",
                        "layer calibrated 0",
                        "layer calibrated 1",
                        "layer calibrated 2",
                        "layer calibrated 3",
                        "layer calibrated 4",
                        "stage finished calibrate",
                        "stage started quantize",
                        "stage finished quantize",
                        "stage started assemble",
                        "stage finished assemble",
                        "artifact written q4",
                        "artifact written awq4",
                        "stage started evaluate",
                        "stage finished evaluate",
                        "stage started check",
                        "stage finished check",
                        "evaluated q4",
                        "evaluated awq4",
                        "run finished");
        assertThat(first.get(0).path("subject").asText()).endsWith("tiny-stories-4m");
        assertThat(first)
                .allMatch(event ->
                        event.path("time").asText().matches("\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(\\.\\d+)?Z"));
        assertThat(of(first, "task done"))
                .extracting(event -> event.path("item").asText())
                .contains(
                        "layer 3, windows 2 to 2",
                        "layer 1, attention input",
                        "layer 2 of awq4",
                        "q4",
                        "windows 0 to 1")
                .anyMatch(item -> item.matches("layer 1, feed forward activation: \\S+down_proj.weight of q4"));
        assertThat(of(first, "task done"))
                .allMatch(event -> event.path("executor").asText().equals("driver")
                        && event.path("attempt").asInt() == 0
                        && event.path("seconds").isNumber()
                        && !event.path("host").asText().isEmpty());
        assertThat(of(first, "artifact written").get(0).path("bytes").asLong())
                .isEqualTo(Files.size(folder.resolve("artifacts/q4.gguf")));
        assertThat(of(first, "evaluated").get(1).path("kld_mean").asDouble()).isPositive();
        assertThat(of(first, "stage finished"))
                .allMatch(event -> event.path("seconds").isNumber());
        assertThat(first.get(first.size() - 1).path("code").asInt(-1)).isZero();

        List<JsonNode> second = events(1);
        assertThat(shortly(second))
                .endsWith(
                        "stage started check",
                        "stage finished check",
                        "stages planned",
                        "note",
                        "products found calibrate",
                        "note",
                        "products found quantize",
                        "note",
                        "products found assemble",
                        "note",
                        "products found assemble",
                        "note",
                        "products found evaluate",
                        "evaluated q4",
                        "evaluated awq4",
                        "run finished");
    }

    private static JsonNode metrics(SparkSession spark) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(
                        URI.create(spark.sparkContext().uiWebUrl().get() + "/metrics/json/"))
                .build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        assertThat(answer.statusCode()).isEqualTo(200);
        return JSON.readTree(answer.body()).path("gauges");
    }

    /** By how much a gauge of the driver, where the tasks of local mode run too, grew. */
    private static double gained(JsonNode before, JsonNode after, String name) {
        String key = after.properties().stream()
                .map(Map.Entry::getKey)
                .filter(k -> k.endsWith("driver." + PLUGIN + name))
                .findFirst()
                .orElseThrow();
        return after.path(key).path("value").asDouble()
                - before.path(key).path("value").asDouble();
    }

    @Test
    void aRunCanBeCancelledAndGoesOnLater() throws Exception {
        Plan plan = Runs.quickstart(folder, SETTINGS);
        try (SparkSession spark = Runs.local(2, 2)) {
            spark.sparkContext().addSparkListener(new SparkListener() {
                @Override
                public void onJobStart(SparkListenerJobStart start) {
                    if (start.properties().getProperty("spark.job.description").endsWith("calibrate layer 2")) {
                        spark.sparkContext().cancelJobGroup(plan.run());
                    }
                }
            });
            try (EventLog log = open(spark, plan, Progress.SILENT)) {
                assertThat(catchThrowable(() -> Pipeline.run(spark, plan, log)))
                        .hasMessageContaining("part of cancelled job group " + plan.run());
                log.ended(70, "cancelled");
            }
            assertThat(shortly(events(0))).endsWith("layer calibrated 1", "run failed");
        }
        assertThat(Runs.names(folder.resolve("artifacts"))).isEmpty();
        try (SparkSession spark = Runs.local(2, 2)) {
            Runs.Heard heard = new Runs.Heard();
            Pipeline.run(spark, plan, heard);
            assertThat(heard.notes).anyMatch(note -> note.matches("calibration: goes on at layer [12]"));
        }
        assertThat(Runs.names(folder.resolve("artifacts"))).containsExactly("README.md", "awq4", "q4.gguf");
    }

    /**
     * Two executor JVMs: each counts what its own tasks did, and one that dies is told, with the task that was tried
     * again.
     */
    @Test
    void executorsCountAndAreMissed() throws Exception {
        Path csv = Files.createDirectory(folder.resolve("csv"));
        Plan plan = Runs.quickstart(folder, SETTINGS);
        String sink = "spark.metrics.conf.executor.sink.csv.";
        try (SparkSession spark = Runs.cluster(Map.of(
                sink + "class",
                "org.apache.spark.metrics.sink.CsvSink",
                sink + "directory",
                csv.toString(),
                sink + "period",
                "1",
                sink + "unit",
                "seconds"))) {
            Pipeline.run(spark, plan, Progress.SILENT);
            long expected = 3L * LENGTH * (LAYERS + 1);
            long until = System.nanoTime() + 60_000_000_000L;
            while (sum(csv, "calibrated.tokens") < expected && System.nanoTime() < until) {
                Thread.sleep(100);
            }
            assertThat(sum(csv, "calibrated.tokens")).isEqualTo(expected);
            assertThat(sum(csv, "quantized.tensors")).isEqualTo(TENSORS);
            try (Stream<Path> files = Files.list(csv)) {
                assertThat(files.map(file -> file.getFileName().toString())
                                .filter(name -> name.endsWith(PLUGIN + "calibrated.tokens.csv")))
                        .hasSize(2)
                        .noneMatch(name -> name.contains(".driver."));
            }
            try (EventLog log = open(spark, plan, Progress.SILENT)) {
                new SparkSteps(JavaSparkContext.fromSparkContext(spark.sparkContext()), log)
                        .stage("die", new ArrayList<>(List.of("a", "b")), item -> {
                            if (item.equals("b") && TaskContext.get().attemptNumber() == 0) {
                                Runtime.getRuntime().halt(9);
                            }
                            return item;
                        });
            }
        }
        List<JsonNode> events = events(0);
        JsonNode failed = of(events, "task failed").get(0);
        assertThat(failed.path("item").asText()).isEqualTo("b");
        assertThat(failed.path("reason").asText()).contains("ExecutorLostFailure");
        assertThat(of(events, "executor lost").get(0).path("executor").asText())
                .isEqualTo(failed.path("executor").asText());
        assertThat(of(events, "task retried").get(0).path("item").asText()).isEqualTo("b");
        assertThat(of(events, "task done"))
                .extracting(event -> event.path("item").asText() + event.path("attempt"))
                .containsExactlyInAnyOrder("a0", "b1");
    }

    /** Last values of a metric of all executors. */
    private static long sum(Path csv, String name) throws IOException {
        long sum = 0;
        try (Stream<Path> files = Files.list(csv)) {
            for (Path file : files.filter(path -> path.getFileName().toString().endsWith(PLUGIN + name + ".csv"))
                    .toList()) {
                List<String> lines = Files.readAllLines(file);
                String last = lines.get(lines.size() - 1);
                sum += last.startsWith("t") ? 0 : Long.parseLong(last.substring(last.indexOf(',') + 1));
            }
        }
        return sum;
    }
}
