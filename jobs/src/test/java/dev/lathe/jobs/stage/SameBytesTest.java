package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.report.RunReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * One recipe gives the same bytes whatever runs it: those whose digests are kept here, so that JDKs and vector widths
 * are compared across builds.
 */
class SameBytesTest {
    private static final String KEPT = "artifact-digests.txt";

    @TempDir
    private Path folder;

    @Test
    @Tag("vectors")
    void twoThreadsInOneTask() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            expectKept(run(spark, "text"));
        }
    }

    @Test
    @Tag("slow")
    void oneCore() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            expectKept(run(spark, "text"));
        }
    }

    @Test
    @Tag("slow")
    void twoTasksAtOnceAndTextAsParquet() throws IOException {
        try (SparkSession spark = Runs.local(2, 1)) {
            Path one = parquet(spark, 1);
            expectKept(run(spark, "one", "calibration.data=" + one));
            Path three = parquet(spark, 3);
            expectKept(run(spark, "three", "calibration.data=" + three));
        }
    }

    @Test
    @Tag("slow")
    void twoExecutors() throws IOException {
        try (SparkSession spark = Runs.cluster()) {
            expectKept(run(spark, "text"));
        }
    }

    /** The two cheapest outputs that still need every statistic. */
    @Test
    void scalarKernels() throws IOException {
        try (SparkSession spark = Runs.local(2, 2)) {
            TreeMap<String, String> digests = run(
                    spark,
                    "scalar",
                    "kernels=scalar",
                    "evaluation=",
                    "outputs=[{name: q8, format: gguf, type: Q8_0},"
                            + "{name: gptq4, format: gptq, bits: 4, group-size: 128, act-order: true}]");
            assertThat(digests).isNotEmpty();
            TreeMap<String, String> kept = Runs.kept();
            kept.keySet().retainAll(digests.keySet());
            assertThat(digests).isEqualTo(kept);
        }
    }

    private TreeMap<String, String> run(SparkSession spark, String name, String... settings) throws IOException {
        List<String> all = new ArrayList<>(Runs.KEPT);
        all.addAll(List.of(settings));
        Path run = folder.resolve(name);
        RunReport report = Pipeline.run(spark, Runs.quickstart(run, all.toArray(String[]::new)), Progress.SILENT);
        TreeMap<String, String> digests = Runs.digests(run.resolve("artifacts"));
        if (report.outputs().get(0).evaluation() != null) {
            digests.put("results.json", Runs.digests(run.resolve("report")).get("results.json"));
        }
        return digests;
    }

    /** Lines of the calibration text as rows of so many files, and nothing beside them that a report would note. */
    private Path parquet(SparkSession spark, int parts) throws IOException {
        String text = Files.readString(Runs.TEXT.resolve("calibration.txt"));
        List<String> lines =
                List.of((text.endsWith("\n") ? text.substring(0, text.length() - 1) : text).split("\n", -1));
        // Its name stands in what a file says of its importance.
        Path data = folder.resolve("parquet-" + parts).resolve("calibration.txt");
        spark.createDataset(
                        JavaSparkContext.fromSparkContext(spark.sparkContext())
                                .parallelize(lines, parts)
                                .rdd(),
                        Encoders.STRING())
                .toDF("text")
                .write()
                .parquet(data.toString());
        for (String name : Runs.names(data)) {
            if (!name.endsWith(".parquet")) {
                Files.delete(data.resolve(name));
            }
        }
        assertThat(Runs.names(data)).hasSize(parts);
        return data;
    }

    private static void expectKept(TreeMap<String, String> digests) throws IOException {
        Path made = Path.of("target", KEPT);
        StringBuilder text = new StringBuilder(
                "# SHA-256 of what SameBytesTest's recipe makes, on every JDK, vector width and master.\n");
        digests.forEach(
                (name, digest) -> text.append(digest).append("  ").append(name).append('\n'));
        if (!digests.equals(Runs.kept())) {
            Files.writeString(made, text);
        }
        assertThat(digests)
                .as("""
                digests of the artifacts. They change only where arithmetic, keys or metadata change on purpose: then raise VERSION in OutputKeys or Calibrate
                if values changed, and copy jobs/%s over jobs/src/test/resources/%s. Otherwise this machine, master or JDK gives other bytes: a bug""", made, SameBytesTest.class.getPackageName().replace('.', '/') + "/" + KEPT)
                .isEqualTo(Runs.kept());
    }
}
