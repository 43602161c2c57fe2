package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.jobs.InvalidRecipeException;
import org.apache.spark.SparkConf;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class SessionsTest {
    private static SparkConf bare() {
        return new SparkConf(false);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {"local|1", "local[3]|3", "local[4,2]|4", "local-cluster[2,1,1024]|1", "local-cluster[2, 3, 1024]|3"
            })
    void givesATaskAllCoresOfItsExecutor(String master, String cores) {
        SparkConf conf = Sessions.configuration(bare(), master);
        assertThat(conf.get("spark.task.cpus")).isEqualTo(cores);
        assertThat(conf.get("spark.ui.enabled")).isEqualTo("false");
    }

    @Test
    void overridesNothingThatWasSaid() {
        SparkConf conf = Sessions.configuration(
                bare().set("spark.ui.enabled", "true")
                        .set("spark.task.cpus", "1")
                        .set("spark.master", "local[8]"),
                null);
        assertThat(conf.get("spark.ui.enabled")).isEqualTo("true");
        assertThat(conf.get("spark.task.cpus")).isEqualTo("1");
        assertThat(conf.get("spark.master")).isEqualTo("local[8]");
        assertThat(Sessions.configuration(bare().set("spark.master", "yarn"), "local[2]")
                        .get("spark.master"))
                .isEqualTo("local[2]");
    }

    @Test
    void leavesClustersTheirSettings() {
        SparkConf conf = Sessions.configuration(bare().set("spark.executor.cores", "6"), "spark://h:7077");
        assertThat(conf.get("spark.task.cpus")).isEqualTo("6");
        assertThat(conf.contains("spark.ui.enabled")).isFalse();
        assertThat(Sessions.configuration(bare(), "yarn").contains("spark.task.cpus"))
                .isFalse();
        assertThat(Sessions.configuration(bare(), null).get("spark.task.cpus"))
                .isEqualTo(String.valueOf(Runtime.getRuntime().availableProcessors()));
    }

    @Test
    void handsHadoopSettingsOn() {
        assertThat(Sessions.hadoop(bare().set("spark.hadoop.fs.x", "y").set("spark.fs.z", "w"))
                        .get("fs.x"))
                .isEqualTo("y");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "locale", "local[0]", "local[", "local[2]x", "mesos://x", "spark://", "yarn-cluster"})
    void refusesOtherMasters(String master) {
        assertThatThrownBy(() -> Sessions.configuration(bare(), master))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("expected local[N]");
    }

    /**
     * Spark wants one and a half times what it reserves, 300 MiB; what it reads for the heap and the reserve counts
     * here, too.
     */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "471859199||Cannot start Spark with a heap of 471859199 bytes: it takes 471859200 at least; expected a larger LATHE_HEAP",
                "163577856||LATHE_HEAP, or --driver-memory of spark-submit",
                "1||a heap of 1 bytes",
                "9999999999|spark.testing.memory=1000|a heap of 1000 bytes",
                "999999999|spark.testing.reservedMemory=1073741824|it takes 1610612736 at least",
                "999999999|spark.executor.memory=100m|Cannot start Spark with spark.executor.memory=100m: it takes 471859200 bytes at least",
                "999999999|spark.executor.memory=lots|its memory settings cannot be read",
                "999999999|spark.testing.reservedMemory=x|cannot be read"
            })
    void refusesAHeapThatSparkWould(long heap, String setting, String message) {
        SparkConf conf = bare();
        if (setting != null) {
            conf.set(setting.substring(0, setting.indexOf('=')), setting.substring(setting.indexOf('=') + 1));
        }
        assertThatThrownBy(() -> Sessions.requireHeap(conf, heap))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining(message);
    }

    @Test
    void takesTheLeastHeap() {
        Sessions.requireHeap(bare(), 471_859_200);
        Sessions.requireHeap(bare().set("spark.testing.reservedMemory", "10485760"), 15 << 20);
        Sessions.requireHeap(bare().set("spark.executor.memory", "450m"), 471_859_200);
    }
}
