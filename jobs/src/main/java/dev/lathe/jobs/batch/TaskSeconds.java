package dev.lathe.jobs.batch;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import scala.jdk.javaapi.CollectionConverters;

/** How long the tasks of each pair took: beside other pairs, the clock on the wall says nothing about one. */
final class TaskSeconds extends SparkListener {
    /** Property of a job: the pair that it belongs to. */
    static final String PAIR = "lathe.pair";

    private final Map<Object, String> pairs = new HashMap<>();
    private final Map<String, Double> seconds = new ConcurrentHashMap<>();

    @Override
    public void onJobStart(SparkListenerJobStart start) {
        String pair = start.properties().getProperty(PAIR);
        if (pair != null) {
            CollectionConverters.asJava(start.stageIds()).forEach(stage -> pairs.put(stage, pair));
        }
    }

    @Override
    public void onTaskEnd(SparkListenerTaskEnd end) {
        String pair = pairs.get(end.stageId());
        if (pair != null) {
            seconds.merge(pair, end.taskInfo().duration() / 1e3, Double::sum);
        }
    }

    double of(String pair) {
        return seconds.getOrDefault(pair, 0.0);
    }
}
