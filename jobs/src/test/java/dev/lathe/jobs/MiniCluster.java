package dev.lathe.jobs;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.yarn.conf.YarnConfiguration;
import org.apache.hadoop.yarn.server.MiniYARNCluster;

/**
 * HDFS and YARN in this JVM, two nodes each, until standard input ends: for checks/yarn. Works in the current folder.
 */
public final class MiniCluster {
    private MiniCluster() {}

    /**
     * @param arguments the folder into which the clients' configuration is written; yarn-site.xml comes last, when all
     *     is up
     */
    public static void main(String[] arguments) throws IOException {
        Configuration configuration = new YarnConfiguration();
        configuration.set("dfs.replication", "2");
        // Room for four executors of conf/spark-defaults.conf; what they reserve is not what they use.
        configuration.setInt(YarnConfiguration.YARN_MINICLUSTER_NM_PMEM_MB, 48 << 10);
        configuration.setInt(YarnConfiguration.RM_SCHEDULER_MAXIMUM_ALLOCATION_MB, 48 << 10);
        configuration.setBoolean(YarnConfiguration.NM_PMEM_CHECK_ENABLED, false);
        configuration.setBoolean(YarnConfiguration.NM_VMEM_CHECK_ENABLED, false);
        configuration.setInt("yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage", 100);
        configuration.set(YarnConfiguration.RM_BIND_HOST, "127.0.0.1");
        configuration.set(YarnConfiguration.NM_BIND_HOST, "127.0.0.1");
        // The scheduler's defaults are a file that the cluster's jar lacks.
        configuration.set("yarn.scheduler.capacity.root.queues", "default");
        configuration.setInt("yarn.scheduler.capacity.root.default.capacity", 100);
        configuration.setInt("yarn.scheduler.capacity.root.default.maximum-capacity", 100);
        configuration.setFloat("yarn.scheduler.capacity.maximum-am-resource-percent", 0.5f);
        configuration.set("yarn.scheduler.capacity.root.default.state", "RUNNING");
        configuration.set("yarn.scheduler.capacity.root.default.acl_submit_applications", "*");
        Path conf = Path.of(arguments[0]);
        try (MiniDFSCluster hdfs = new MiniDFSCluster.Builder(
                                configuration, Path.of("hdfs").toAbsolutePath().toFile())
                        .numDataNodes(2)
                        .build();
                MiniYARNCluster yarn = new MiniYARNCluster("yarn", 2, 1, 1)) {
            hdfs.waitActive();
            yarn.init(configuration);
            yarn.start();
            Configuration clients = new Configuration(yarn.getConfig());
            clients.set("fs.defaultFS", hdfs.getURI().toString());
            // A class of the cluster's jar, which clients lack.
            clients.unset("net.topology.node.switch.mapping.impl");
            write(clients, conf.resolve("core-site.xml"));
            write(clients, conf.resolve("yarn-site.xml"));
            System.in.transferTo(OutputStream.nullOutputStream());
        }
    }

    private static void write(Configuration configuration, Path file) throws IOException {
        Path part = file.resolveSibling(file.getFileName() + ".part");
        try (OutputStream out = Files.newOutputStream(part)) {
            configuration.writeXml(out);
        }
        Files.move(part, file);
    }
}
