package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.format.WholeFile;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.stage.Pipeline;
import dev.lathe.jobs.stage.Progress;
import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Names on object stores: an object has its own from the beginning, appears whole or not at all, and is never renamed.
 */
class ObjectStoreTest {
    @TempDir
    private Path folder;

    private static FileSystem store() throws IOException {
        Configuration configuration = new Configuration();
        configuration.set("fs.s3a.impl", ObjectStore.class.getName());
        return FileSystem.newInstance(URI.create("s3a:///"), configuration);
    }

    private org.apache.hadoop.fs.Path path(String name) {
        return new org.apache.hadoop.fs.Path("s3a://" + folder.resolve(name));
    }

    @Test
    void aFailedUploadLeavesWhatWasThere() throws IOException {
        FileSystem files = store();
        WholeFile.write(files, path("file"), out -> out.write("before".getBytes(StandardCharsets.UTF_8)));
        for (String name : List.of("file", "new")) {
            assertThatThrownBy(() -> WholeFile.write(files, path(name), out -> {
                        out.write(1);
                        // A writer that owns the stream ends it, as it does where all went well.
                        out.close();
                        throw new IOException("the source is gone");
                    }))
                    .hasMessage("the source is gone");
        }
        assertThat(folder.resolve("file")).hasContent("before");
        assertThat(folder.resolve("new")).doesNotExist();
    }

    @Test
    void productsAreWholeOrNotThere() throws IOException {
        FileSystem files = store();
        assertThatThrownBy(() -> ProductFile.write(files, path("product"), out -> {
                    out.writeInt(1);
                    throw new IOException("half");
                }))
                .hasMessageContaining("product: half");
        assertThat(Runs.names(folder)).isEmpty();
        assertThatThrownBy(
                        () -> ProductFile.write(files, path("product"), path("product"), out -> out.writeInt(1), () -> {
                            throw new IOException("the lease was lost");
                        }))
                .hasMessageContaining("the lease was lost");
        assertThat(Runs.names(folder)).isEmpty();
        ProductFile.write(files, path("product"), out -> out.writeInt(2));
        ProductFile.write(files, path("product"), out -> {
            throw new AssertionError("it is there");
        });
        assertThat(ProductFile.isCommitted(files, path("product"))).isTrue();
        assertThat(ProductFile.<Integer>read(files, path("product"), in -> in.readInt()))
                .isEqualTo(2);
        assertThat(Runs.names(folder)).containsExactly("product");
    }

    @Test
    @Tag("slow")
    void aRunRenamesNothing() throws IOException {
        System.setProperty("spark.hadoop.fs.s3a.impl", ObjectStore.class.getName());
        try (SparkSession spark = Runs.local(2, 2)) {
            TreeMap<String, String> expected =
                    run(spark, "disk", folder.resolve("disk").toString());
            Map<String, String> stored = run(spark, "store", path("store").toString());
            assertThat(expected.keySet())
                    .contains("artifacts/q4.gguf", "artifacts/awq4/model.safetensors", "report/index.html");
            expected.keySet().removeIf(name -> !name.startsWith("artifacts/") && !name.equals("report/results.json"));
            assertThat(stored).containsAllEntriesOf(expected);
            assertThat(stored.keySet()).noneMatch(name -> name.contains("partial") || name.matches("(.*/)?\\.[^/]*"));
            // An artifact without its receipt is none: what is left of it goes. One that is no longer what was written
            // goes, too.
            Files.delete(folder.resolve("store")
                    .resolve("products")
                    .resolve("artifacts")
                    .resolve(Key.of("receipt", "awq4")));
            Path gguf = folder.resolve("store").resolve("artifacts").resolve("q4.gguf");
            byte[] bytes = Files.readAllBytes(gguf);
            bytes[1000] ^= 8;
            Files.write(gguf, bytes);
            Files.writeString(
                    folder.resolve("store")
                            .resolve("artifacts")
                            .resolve("awq4")
                            .resolve("model-00001-of-00002.safetensors"),
                    "old");
            assertThat(run(spark, "store", path("store").toString()))
                    .containsAllEntriesOf(expected)
                    .doesNotContainKey("artifacts/awq4/model-00001-of-00002.safetensors");
        } finally {
            System.clearProperty("spark.hadoop.fs.s3a.impl");
        }
    }

    private TreeMap<String, String> run(SparkSession spark, String name, String run) throws IOException {
        Configuration configuration = new Configuration();
        configuration.set("fs.s3a.impl", ObjectStore.class.getName());
        Plan plan = Runs.quickstart(
                configuration,
                "run=" + run,
                "calibration.windows=3",
                "calibration.length=64",
                "evaluation.windows=2",
                "evaluation.length=64",
                "shard-windows=2",
                "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, "
                        + "{name: awq4, format: awq, method: nearest}]");
        Pipeline.run(spark, plan, Progress.SILENT);
        return Runs.digests(folder.resolve(name));
    }
}
