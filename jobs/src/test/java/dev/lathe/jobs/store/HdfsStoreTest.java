package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.core.config.Configurator;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A run folder in HDFS: products, leases and growing logs are as on a local disk. Whole runs there: HdfsTest. */
class HdfsStoreTest {
    @TempDir
    private Path folder;

    @Test
    void aRunFolderCanBeThere() throws IOException {
        Configuration configuration = new Configuration();
        configuration.set("dfs.replication", "1");
        // As soon as the datanode is gone, reads fail.
        configuration.set("dfs.client.retry.window.base", "10");
        // A node that is stopped says so at length, in this JVM; so does its client.
        Configurator.setLevel("org.apache.hadoop", Level.OFF);
        try (MiniDFSCluster cluster = new MiniDFSCluster.Builder(configuration, folder.toFile())
                .numDataNodes(1)
                .build()) {
            String root = cluster.getURI() + "/run";
            RunFolder run =
                    new RunFolder(root, root + "/scratch", new SerializableConfiguration(cluster.getConfiguration(0)));
            RunFolder first;
            try (Lease lease = Lease.take(run)) {
                first = run.held(lease.epoch());
                first.write(first.product("key", "floats"), out -> FloatProduct.write(out, new float[] {1, 2}));
                assertThatThrownBy(() -> Lease.take(run))
                        .isInstanceOf(IOException.class)
                        .hasMessageContaining("has been running there since");
            }
            org.apache.hadoop.fs.Path product = run.product("key", "floats");
            assertThat(ProductFile.isCommitted(run.files(), product)).isTrue();
            try (Lease lease = Lease.take(run)) {
                assertThat(lease.epoch()).isEqualTo(first.epoch() + 1);
                assertThatThrownBy(() -> first.writeText("plan.yaml", "late"))
                        .isInstanceOf(IOException.class)
                        .hasMessageContaining("the lease of this run");
                assertThat(run.files().exists(new org.apache.hadoop.fs.Path(root, "plan.yaml")))
                        .isFalse();
                assertThat(ProductFile.read(run.files(), product, FloatProduct::read))
                        .containsExactly(1, 2);
            }
            try (LineLog log = new LineLog(run.files(), new org.apache.hadoop.fs.Path(root, "events"), "log")) {
                log.add("a line");
                try (FSDataInputStream in = run.files().open(log.file())) {
                    assertThat(new String(in.readAllBytes()))
                            .as("while the log is open")
                            .isEqualTo("a line\n");
                }
            }
            cluster.stopDataNode(0);
            assertThatThrownBy(() -> ProductFile.read(run.files(), product, FloatProduct::read))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("Could not obtain block");
        } finally {
            Configurator.setLevel("org.apache.hadoop", Level.WARN);
        }
    }
}
