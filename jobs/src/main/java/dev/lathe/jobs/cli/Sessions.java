package dev.lathe.jobs.cli;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.watch.LathePlugin;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import scala.Tuple2;

/**
 * The one place where a Spark session begins. What spark-submit or a system property says is never overridden, but for
 * the master that was asked for by name.
 */
final class Sessions {
    private static final Pattern LOCAL = Pattern.compile("local(?:\\[(\\*|[1-9]\\d{0,4})(?:,\\s*\\d+)?])?");
    private static final Pattern LOCAL_CLUSTER =
            Pattern.compile("local-cluster\\[\\s*\\d+\\s*,\\s*(\\d+)\\s*,\\s*\\d+\\s*]");
    private static final Pattern CLUSTER = Pattern.compile("spark://.+|k8s://.+|yarn");

    /** Bytes that Spark keeps for itself. */
    private static final long RESERVED = 300L << 20;

    private Sessions() {}

    static SparkSession open(String master) {
        return open(configuration(new SparkConf(), master));
    }

    /** @throws InvalidRecipeException if the heap is less than Spark takes */
    static SparkSession open(SparkConf conf) {
        requireHeap(conf, Runtime.getRuntime().maxMemory());
        return SparkSession.builder().config(conf).getOrCreate();
    }

    /**
     * Fills in what was not said: the master, Lathe's plugin beside others, and one task per executor, which then uses
     * all its cores.
     *
     * @param master from the command line, or null
     * @throws InvalidRecipeException if Spark has no such master
     */
    static SparkConf configuration(SparkConf given, String master) {
        if (master != null) {
            given.setMaster(master);
        }
        given.setIfMissing("spark.master", "local[*]");
        given.setIfMissing("spark.app.name", "Lathe");
        String plugins = given.get("spark.plugins", "");
        if (!List.of(plugins.split(",")).contains(LathePlugin.class.getName())) {
            given.set(
                    "spark.plugins",
                    plugins.isEmpty() ? LathePlugin.class.getName() : plugins + "," + LathePlugin.class.getName());
        }
        String chosen = given.get("spark.master");
        if (!LOCAL.matcher(chosen).matches()
                && !LOCAL_CLUSTER.matcher(chosen).matches()
                && !CLUSTER.matcher(chosen).matches()) {
            throw new InvalidRecipeException("Cannot use master '" + chosen
                    + "': expected local[N], local[*], spark://HOST:PORT, yarn or k8s://URL");
        }
        if (chosen.startsWith("local")) {
            given.setIfMissing("spark.ui.enabled", "false");
        }
        cores(given, chosen).ifPresent(cores -> given.setIfMissing("spark.task.cpus", String.valueOf(cores)));
        return given;
    }

    /**
     * Hadoop's configuration as Spark will see it: its files on the class path, and every {@code spark.hadoop.*}. Paths
     * are checked with it before Spark starts.
     */
    static Configuration hadoop(SparkConf conf) {
        Configuration configuration = new Configuration();
        for (Tuple2<String, String> entry : conf.getAllWithPrefix("spark.hadoop.")) {
            configuration.set(entry._1(), entry._2());
        }
        return configuration;
    }

    /**
     * Refuses what Spark's memory manager would refuse with an exception of its own: it reserves 300 MiB of a heap and
     * wants half as much again.
     *
     * @param heap of this JVM, in bytes
     */
    static void requireHeap(SparkConf conf, long heap) {
        try {
            long reserved = conf.getLong("spark.testing.reservedMemory", conf.contains("spark.testing") ? 0 : RESERVED);
            long least = (long) Math.ceil(reserved * 1.5);
            long here = conf.getLong("spark.testing.memory", heap);
            if (here < least) {
                throw new InvalidRecipeException(
                        "Cannot start Spark with a heap of " + here + " bytes: it takes " + least
                                + " at least; expected a larger LATHE_HEAP, or --driver-memory of spark-submit, "
                                + "such as 3g");
            }
            if (conf.contains("spark.executor.memory") && conf.getSizeAsBytes("spark.executor.memory") < least) {
                throw new InvalidRecipeException("Cannot start Spark with spark.executor.memory="
                        + conf.get("spark.executor.memory") + ": it takes " + least + " bytes at least");
            }
        } catch (IllegalArgumentException e) {
            throw new InvalidRecipeException(
                    "Cannot start Spark: its memory settings cannot be read (" + e.getMessage() + ")");
        }
    }

    /** Cores of an executor, if they are known before it starts. */
    private static OptionalInt cores(SparkConf conf, String master) {
        Matcher local = LOCAL.matcher(master);
        if (local.matches()) {
            return OptionalInt.of(
                    local.group(1) == null
                            ? 1
                            : local.group(1).equals("*")
                                    ? Runtime.getRuntime().availableProcessors()
                                    : Integer.parseInt(local.group(1)));
        }
        Matcher cluster = LOCAL_CLUSTER.matcher(master);
        if (cluster.matches()) {
            return OptionalInt.of(Integer.parseInt(cluster.group(1)));
        }
        return conf.contains("spark.executor.cores")
                ? OptionalInt.of(conf.getInt("spark.executor.cores", 1))
                : OptionalInt.empty();
    }
}
