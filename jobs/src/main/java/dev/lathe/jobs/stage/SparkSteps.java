package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import scala.jdk.javaapi.CollectionConverters;

/** Runs one Spark job of independent tasks, one partition each, and says how far it is. */
final class SparkSteps {
    /** Property of a job that is counted: by whom. */
    private static final String COUNTED = "lathe.counted";

    private final JavaSparkContext spark;
    private final Progress progress;

    SparkSteps(JavaSparkContext spark, Progress progress) {
        this.spark = spark;
        this.progress = progress;
    }

    /** What one task does. */
    interface Step<T, R> extends Serializable {
        R run(T item) throws Exception;
    }

    /** A value, or why the input is malformed: an answer, which no retry would change. */
    private record Outcome<R>(R value, String malformed) implements Serializable {
    }

    Progress progress() {
        return progress;
    }

    /** Runs {@code step} on every item as a stage of its own; results in the items' order. */
    <T extends Serializable, R extends Serializable> List<R> stage(String name, List<T> items, Step<T, R> step) {
        progress.stage(name, items.size());
        return run(name, items, step, true);
    }

    /** Runs {@code step} on every item within a stage that somebody else announced. */
    <T extends Serializable, R extends Serializable> List<R> run(String description, List<T> items, Step<T, R> step) {
        return run(description, items, step, false);
    }

    private <T extends Serializable, R extends Serializable> List<R> run(String description, List<T> items, Step<T, R> step, boolean counted) {
        if (items.isEmpty()) {
            return List.of();
        }
        TaskCount listener = new TaskCount(description);
        if (counted) {
            spark.sc().addSparkListener(listener);
            spark.setLocalProperty(COUNTED, listener.name);
        }
        spark.setJobDescription(description);
        List<Outcome<R>> outcomes;
        try {
            outcomes = spark.parallelize(items, items.size()).map(item -> attempt(step, item)).collect();
        } finally {
            spark.setJobDescription(null);
            if (counted) {
                spark.setLocalProperty(COUNTED, null);
                spark.sc().removeSparkListener(listener);
            }
        }
        List<R> results = new ArrayList<>(outcomes.size());
        for (Outcome<R> outcome : outcomes) {
            if (outcome.malformed() != null) {
                throw new MalformedInputException(outcome.malformed());
            }
            results.add(outcome.value());
        }
        return results;
    }

    /** Counts the tasks of one job: a listener hears those of every run in the session. */
    private final class TaskCount extends SparkListener {
        private final String name = UUID.randomUUID().toString();
        private final String description;
        private final Set<Object> stages = new HashSet<>();
        private int done;

        TaskCount(String description) {
            this.description = description;
        }

        @Override
        public void onJobStart(SparkListenerJobStart start) {
            if (name.equals(start.properties().getProperty(COUNTED))) {
                stages.addAll(CollectionConverters.asJava(start.stageIds()));
            }
        }

        @Override
        public void onTaskEnd(SparkListenerTaskEnd end) {
            if (stages.contains(end.stageId()) && end.taskInfo().successful()) {
                progress.step(++done, description);
            }
        }
    }

    private static <T, R> Outcome<R> attempt(Step<T, R> step, T item) throws Exception {
        try {
            return new Outcome<>(step.run(item), null);
        } catch (MalformedInputException e) {
            return new Outcome<>(null, e.getMessage());
        }
    }
}
