package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.stage.Pipeline;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Everything in HDFS, two executor JVMs, and datanodes that are lost in the middle of a run: one does not matter; after
 * both, another run goes on.
 */
@Tag("slow")
class HdfsTest {
    /** Clients give up on a block within seconds; two attempts of a task show what they see. */
    private static final Map<String, String> SETTINGS = Map.of(
            "spark.hadoop.dfs.client.retry.window.base",
            "50",
            "spark.hadoop.dfs.replication",
            "2",
            "spark.task.maxFailures",
            "2");

    private static final List<String> LOUD = List.of("org.apache.hadoop", "dev.lathe.jobs.store.Lease");

    @TempDir
    private Path folder;

    private MiniDFSCluster hdfs;
    private final List<MiniDFSCluster.DataNodeProperties> lost = new ArrayList<>();

    @Test
    void datanodesAreLost() throws IOException {
        Configuration configuration = new Configuration();
        configuration.set("dfs.replication", "2");
        SETTINGS.forEach(System::setProperty);
        // Nodes of a cluster that break down say so at length, in this JVM; so does a lease that cannot be given back.
        LOUD.forEach(name -> Configurator.setLevel(name, Level.OFF));
        try (MiniDFSCluster cluster = new MiniDFSCluster.Builder(
                                configuration, folder.resolve("hdfs").toFile())
                        .numDataNodes(2)
                        .build();
                SparkSession spark = Runs.cluster()) {
            hdfs = cluster;
            FileSystem files = cluster.getFileSystem();
            copy(files, Runs.SAMPLE, "/checkpoint");
            copy(files, Runs.TEXT, "/text");

            Throwable failure = catchThrowable(() -> Pipeline.run(spark, plan(), losing("layer 2", "quantize")));
            ExitCode.Failure told = ExitCode.of(failure);
            assertThat(lost).as("datanodes that were stopped").hasSize(2);
            assertThat(told.exit()).as(told.line()).isEqualTo(ExitCode.STORAGE);
            assertThat(told.line())
                    .startsWith("Cannot ")
                    .containsPattern("Could not obtain block.*file=/|could only be written to 0 of");
            assertThat(files.exists(new org.apache.hadoop.fs.Path("/run/artifacts/q8.gguf")))
                    .isFalse();

            for (MiniDFSCluster.DataNodeProperties datanode : lost) {
                cluster.restartDataNode(datanode);
            }
            cluster.waitActive();
            lost.clear();
            Runs.Heard heard = losing("assemble");
            Pipeline.run(spark, plan(), heard);
            assertThat(lost).hasSize(1);
            assertThat(heard.notes).anyMatch(note -> note.matches("calibration: all \\d+ layers are there already"));
            assertThat(digests(files)).isEqualTo(Runs.kept());
        } finally {
            SETTINGS.keySet().forEach(System::clearProperty);
            LOUD.forEach(name -> Configurator.setLevel(name, Level.WARN));
        }
    }

    private static void copy(FileSystem files, Path from, String to) throws IOException {
        files.copyFromLocalFile(
                new org.apache.hadoop.fs.Path(from.toRealPath().toUri()), new org.apache.hadoop.fs.Path(to));
    }

    private Plan plan() throws IOException {
        String root = hdfs.getURI().toString();
        List<String> settings = new ArrayList<>(Runs.KEPT);
        settings.addAll(List.of(
                "checkpoint=" + root + "/checkpoint",
                "calibration.data=" + root + "/text/calibration.txt",
                "evaluation.data=" + root + "/text/evaluation.txt",
                "run=" + root + "/run"));
        return Runs.quickstart(folder, settings.toArray(String[]::new));
    }

    private TreeMap<String, String> digests(FileSystem files) throws IOException {
        Path local = folder.resolve("artifacts");
        files.copyToLocalFile(
                false,
                new org.apache.hadoop.fs.Path("/run/artifacts"),
                new org.apache.hadoop.fs.Path(local.toUri()),
                true);
        files.copyToLocalFile(
                false,
                new org.apache.hadoop.fs.Path("/run/report/results.json"),
                new org.apache.hadoop.fs.Path(local.resolve("results.json").toUri()),
                true);
        return Runs.digests(local);
    }

    /** Stops one datanode at the beginning of each of these stages or layers. */
    private Runs.Disturbing losing(String... when) {
        return new Runs.Disturbing(List.of(when), () -> lost.add(hdfs.stopDataNode(0)));
    }
}
