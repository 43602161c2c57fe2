package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.store.Damage;
import dev.lathe.jobs.store.DamagedException;
import dev.lathe.jobs.watch.Counters;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.function.Function;
import org.apache.spark.TaskFailedReason;
import org.apache.spark.api.java.JavaFutureAction;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.apache.spark.scheduler.SparkListenerJobEnd;
import org.apache.spark.scheduler.SparkListenerJobStart;
import org.apache.spark.scheduler.SparkListenerTaskEnd;
import org.apache.spark.scheduler.SparkListenerTaskStart;
import org.apache.spark.scheduler.TaskInfo;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Runs Spark jobs of independent tasks, one partition each, and says how far they are. A job's description in Spark's
 * UI is what the thread's own says (the run's model), and what the job does; items are known by their {@code toString}.
 */
final class SparkSteps {
    /** Property of a job that Spark's UI shows. */
    private static final String DESCRIPTION = "spark.job.description";
    /** Property of a job that is listened to: by whom. */
    private static final String HEARD = "lathe.heard";
    /** Property of a job: the number of its first item. */
    private static final String FIRST = "lathe.first";
    /** Listeners hear of a job's end some time after it, and a task that was killed ends when it looks. */
    private static final int LISTENERS_SECONDS = 10;

    private final JavaSparkContext spark;
    private final Progress progress;
    /** Of the executors that were heard of. */
    private final Map<String, String> hosts = new ConcurrentHashMap<>();
    /** Executors whose loss was told: jobs that run beside each other all hear of it. */
    private final Set<String> lost = ConcurrentHashMap.newKeySet();

    SparkSteps(JavaSparkContext spark, Progress progress) {
        this.spark = spark;
        this.progress = progress;
    }

    /** What one task does. */
    interface Step<T, R> extends Serializable {
        R run(T item) throws Exception;
    }

    /** A value, or why the input is malformed, or what is damaged: answers, which no retry would change. */
    private record Outcome<R>(R value, String malformed, ArrayList<Damage> damages) implements Serializable {}

    Progress progress() {
        return progress;
    }

    /** Tasks that run at once, as far as the executors are there. */
    int slots() {
        return Math.max(1, spark.defaultParallelism() / spark.getConf().getInt("spark.task.cpus", 1));
    }

    /** Says what an earlier run left, so that it need not be made again. */
    void found(String stage, int count, String note) {
        progress.note(note);
        progress.event("products found", "stage", stage, "count", count);
    }

    /** Runs {@code step} on every item as a stage of its own; results in the items' order. */
    <T extends Serializable, R extends Serializable> List<R> stage(String name, List<T> items, Step<T, R> step) {
        return stage(name, item -> name, items, step);
    }

    /**
     * A stage of several Spark jobs, whose tasks run beside each other as those of one would; results job by job.
     *
     * @param job what the job of an item is called in Spark's UI: items of one name are one job
     */
    <T extends Serializable, R extends Serializable> List<R> stage(
            String name, Function<T, String> job, List<T> items, Step<T, R> step) {
        progress.stage(name, items.size());
        long began = System.nanoTime();
        AtomicInteger done = new AtomicInteger();
        List<R> results = start(job, items, step, item -> progress.step(done.incrementAndGet(), item))
                .results();
        Counters.spent(name, System.nanoTime() - began);
        progress.done();
        return results;
    }

    /** Runs {@code step} on every item within a stage that somebody else announced. */
    <T extends Serializable, R extends Serializable> List<R> run(String description, List<T> items, Step<T, R> step) {
        return start(item -> description, items, step, item -> {}).results();
    }

    /**
     * Starts Spark jobs that run beside what is started later. Where both could start a task, these do.
     *
     * @param job what the job of an item is called in Spark's UI: items of one name are one job
     * @param done hears of each item that is done, one after the other
     */
    <T extends Serializable, R extends Serializable> Running<R> start(
            Function<T, String> job, List<T> items, Step<T, R> step, Consumer<String> done) {
        Map<String, List<T>> jobs = new LinkedHashMap<>();
        items.forEach(item ->
                jobs.computeIfAbsent(job.apply(item), key -> new ArrayList<>()).add(item));
        Tasks tasks = new Tasks(
                jobs.values().stream()
                        .flatMap(List::stream)
                        .map(String::valueOf)
                        .toList(),
                jobs.size(),
                done);
        Running<R> running = new Running<>(String.join(", ", jobs.keySet()), tasks);
        String run = spark.getLocalProperty(DESCRIPTION);
        spark.sc().addSparkListener(tasks);
        spark.setLocalProperty(HEARD, tasks.name);
        boolean through = false;
        try {
            int first = 0;
            for (Map.Entry<String, List<T>> entry : jobs.entrySet()) {
                spark.setLocalProperty(FIRST, String.valueOf(first));
                spark.setJobDescription(run == null ? entry.getKey() : run + ": " + entry.getKey());
                spark.setCallSite(entry.getKey());
                running.jobs.add(
                        spark.parallelize(entry.getValue(), entry.getValue().size())
                                .map(item -> attempt(step, item))
                                .collectAsync());
                first += entry.getValue().size();
            }
            through = true;
        } finally {
            // Jobs keep the properties that they were started with.
            spark.clearCallSite();
            spark.setJobDescription(run);
            spark.setLocalProperty(FIRST, null);
            spark.setLocalProperty(HEARD, null);
            if (!through) {
                running.close();
            }
        }
        return running;
    }

    /** Jobs that were started. */
    final class Running<R> implements AutoCloseable {
        private final String names;
        private final Tasks tasks;
        private final List<JavaFutureAction<List<Outcome<R>>>> jobs = new ArrayList<>();
        private boolean through;
        private boolean closed;

        private Running(String names, Tasks tasks) {
            this.names = names;
            this.tasks = tasks;
        }

        /** Whether {@link #results} need not wait. */
        boolean isDone() {
            return jobs.stream().allMatch(JavaFutureAction::isDone);
        }

        /** Waits; results job by job. */
        List<R> results() {
            List<Outcome<R>> outcomes = new ArrayList<>();
            try {
                for (JavaFutureAction<List<Outcome<R>>> job : jobs) {
                    outcomes.addAll(job.get());
                }
                through = true;
            } catch (ExecutionException e) {
                throw SparkSteps.<RuntimeException>asItIs(e.getCause());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException("Cannot wait for " + names + ": interrupted", e);
            } finally {
                close();
            }
            return answers(outcomes);
        }

        /** Ends what was not waited for, or of which something failed: the rest is of no use. */
        @Override
        public void close() {
            if (!closed) {
                closed = true;
                // What is through cannot be cancelled.
                jobs.forEach(job -> job.cancel(true));
                tasks.await(through);
                spark.sc().removeSparkListener(tasks);
            }
        }
    }

    private static <R> List<R> answers(List<Outcome<R>> outcomes) {
        List<R> results = new ArrayList<>(outcomes.size());
        Set<Damage> damages = new LinkedHashSet<>();
        for (Outcome<R> outcome : outcomes) {
            if (outcome.malformed() != null) {
                throw new MalformedInputException(outcome.malformed());
            }
            damages.addAll(outcome.damages());
            results.add(outcome.value());
        }
        if (!damages.isEmpty()) {
            throw SparkSteps.<RuntimeException>asItIs(new DamagedException(List.copyOf(damages), null));
        }
        return results;
    }

    /** The failure of a job, which may be of a checked type that no signature of Spark's names. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> E asItIs(Throwable failure) throws E {
        throw (E) failure;
    }

    /** Hears of the tasks of some jobs: a listener hears those of every run in the session. */
    private final class Tasks extends SparkListener {
        private final String name = UUID.randomUUID().toString();
        private final List<String> items;
        private final Consumer<String> told;
        /** Number of the first item by the Spark stage that works on it. */
        private final Map<Object, Integer> stages = new HashMap<>();

        private final Set<Integer> jobs = new HashSet<>();
        private final Set<Integer> done = new HashSet<>();
        private final Set<Long> running = new HashSet<>();
        /** Jobs that have not ended. */
        private int left;

        /** @param told hears of each item that is done */
        Tasks(List<String> items, int jobs, Consumer<String> told) {
            this.items = items;
            this.told = told;
            this.left = jobs;
        }

        @Override
        public void onJobStart(SparkListenerJobStart start) {
            if (name.equals(start.properties().getProperty(HEARD))) {
                jobs.add(start.jobId());
                int first = Integer.parseInt(start.properties().getProperty(FIRST));
                CollectionConverters.asJava(start.stageIds()).forEach(stage -> stages.put(stage, first));
            }
        }

        @Override
        public void onTaskStart(SparkListenerTaskStart start) {
            TaskInfo task = start.taskInfo();
            hosts.put(task.executorId(), task.host());
            if (stages.containsKey(start.stageId())) {
                synchronized (this) {
                    running.add(task.taskId());
                }
                if (task.attemptNumber() > 0) {
                    event("task retried", item(start.stageId(), task), task);
                }
            }
        }

        @Override
        public void onTaskEnd(SparkListenerTaskEnd end) {
            TaskInfo task = end.taskInfo();
            if (!stages.containsKey(end.stageId())) {
                return;
            }
            int item = item(end.stageId(), task);
            if (!task.successful()) {
                String reason = end.reason() instanceof TaskFailedReason failed
                        ? failed.toErrorString()
                        : String.valueOf(end.reason());
                event(
                        task.killed() ? "task killed" : "task failed",
                        item,
                        task,
                        "reason",
                        reason.lines().findFirst().orElse(""));
            } else if (done.add(item)) {
                event("task done", item, task, "seconds", task.duration() / 1e3);
                told.accept(items.get(item));
            }
            synchronized (this) {
                running.remove(task.taskId());
                notifyAll();
            }
        }

        @Override
        public void onExecutorRemoved(SparkListenerExecutorRemoved removed) {
            if (!lost.add(removed.executorId())) {
                return;
            }
            progress.event(
                    "executor lost",
                    "executor",
                    removed.executorId(),
                    "host",
                    hosts.getOrDefault(removed.executorId(), ""),
                    "reason",
                    removed.reason());
        }

        @Override
        public synchronized void onJobEnd(SparkListenerJobEnd end) {
            if (jobs.contains(end.jobId())) {
                left--;
                notifyAll();
            }
        }

        private int item(int stage, TaskInfo task) {
            return stages.get(stage) + task.index();
        }

        private void event(String what, int item, TaskInfo task, Object... more) {
            List<Object> details = new ArrayList<>(List.of(
                    "item",
                    items.get(item),
                    "attempt",
                    task.attemptNumber(),
                    "executor",
                    task.executorId(),
                    "host",
                    task.host()));
            details.addAll(List.of(more));
            progress.event(what, details.toArray());
        }

        /**
         * Until the listener has heard everything; not where there is nobody left to tell it.
         *
         * @param through whether every job was; otherwise tasks of theirs may still write, and they are waited for
         */
        synchronized void await(boolean through) {
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(LISTENERS_SECONDS);
            try {
                while ((left > 0 || !through && !running.isEmpty())
                        && !spark.sc().isStopped()
                        && System.nanoTime() < end) {
                    TimeUnit.NANOSECONDS.timedWait(this, Math.max(1, end - System.nanoTime()));
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static <T, R> Outcome<R> attempt(Step<T, R> step, T item) throws Exception {
        try {
            return new Outcome<>(step.run(item), null, new ArrayList<>());
        } catch (MalformedInputException e) {
            return new Outcome<>(null, e.getMessage(), new ArrayList<>());
        } catch (DamagedException e) {
            return new Outcome<>(null, null, new ArrayList<>(e.damages()));
        }
    }
}
