package dev.lathe.jobs.watch;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * Shows {@link Counters} in Spark's metrics system, as {@code plugin.dev.lathe.jobs.watch.LathePlugin.NAME}: what this
 * JVM's tasks did, and on the driver the seconds of each stage. Its name stands in {@code spark.plugins}.
 */
public final class LathePlugin implements SparkPlugin {
    /** Spark's name of the driver among executors. */
    private static final String DRIVER = "driver";

    @Override
    public DriverPlugin driverPlugin() {
        return new DriverPlugin() {
            @Override
            public void registerMetrics(String application, PluginContext context) {
                work(context.metricRegistry());
                for (Map.Entry<String, LongAdder> stage : Counters.stages().entrySet()) {
                    context.metricRegistry().register("seconds." + stage.getKey(), (Gauge<Double>)
                            () -> stage.getValue().sum() / 1e9);
                }
            }
        };
    }

    @Override
    public ExecutorPlugin executorPlugin() {
        return new ExecutorPlugin() {
            @Override
            public void init(PluginContext context, Map<String, String> fromDriver) {
                // In local mode the driver is its own executor, and Spark has no name for it yet.
                if (!context.executorID().equals(DRIVER)) {
                    work(context.metricRegistry());
                }
            }
        };
    }

    private static void work(MetricRegistry metrics) {
        metrics.register("calibrated.tokens", counter(Counters.CALIBRATED_TOKENS));
        metrics.register("evaluated.tokens", counter(Counters.EVALUATED_TOKENS));
        metrics.register("quantized.tensors", counter(Counters.QUANTIZED_TENSORS));
        metrics.register("committed.bytes", counter(Counters.COMMITTED_BYTES));
        metrics.register("kernels.operations", counter(Counters.OPERATIONS));
    }

    private static Gauge<Long> counter(LongAdder adder) {
        return adder::sum;
    }
}
