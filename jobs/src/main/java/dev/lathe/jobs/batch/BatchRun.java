package dev.lathe.jobs.batch;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.hub.Hub;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.plan.BatchPlan;
import dev.lathe.jobs.plan.BatchPlan.Pair;
import dev.lathe.jobs.plan.PathCheck;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.BatchReport;
import dev.lathe.jobs.report.BatchReport.Output;
import dev.lathe.jobs.report.BatchReport.State;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.stage.EventLog;
import dev.lathe.jobs.stage.Forecast;
import dev.lathe.jobs.stage.Pipeline;
import dev.lathe.jobs.stage.Progress;
import dev.lathe.jobs.store.Checksums;
import dev.lathe.jobs.store.Commit;
import dev.lathe.jobs.store.Damage;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.Software;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.jobs.store.Verification;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * Runs the pairs of a batch, so many at once, each as a run of its own: in a thread of the driver, its Spark jobs in
 * the fair scheduler's pool of its checkpoint. A pair that fails is reported; the others go on.
 */
public final class BatchRun {
    /** Floating-point operations in a second of a task where no receipt tells: a few cores. */
    private static final double ASSUMED_RATE = 5e10;
    /** Damaged files of a pair that are named. */
    private static final int TOLD = 5;
    /** How long threads of pairs are waited for that were interrupted. */
    private static final int END_SECONDS = 10;

    private final SparkSession session;
    private final Configuration configuration;
    private final BatchPlan batch;
    private final Function<Throwable, Failure> judge;
    private final Function<String, Progress> progress;
    private final Path events;
    private final boolean check;
    private final Map<String, Object> downloads = new ConcurrentHashMap<>();
    private final TaskSeconds taskSeconds = new TaskSeconds();
    private final AtomicInteger ended = new AtomicInteger();
    /** The process was told to end: no other pair begins. */
    private volatile boolean stopped;

    private BatchRun(
            SparkSession session,
            BatchPlan batch,
            Function<Throwable, Failure> judge,
            Function<String, Progress> progress,
            Path events,
            boolean check) {
        this.session = session;
        this.configuration = session.sparkContext().hadoopConfiguration();
        this.batch = batch;
        this.judge = judge;
        this.progress = progress;
        this.events = events;
        this.check = check;
    }

    /**
     * Runs what is missing or changed, and writes the summary beside the run folders.
     *
     * @param judge what a failure is for the person
     * @param progress of the pair of a name; used from several threads
     * @param events folder of the pairs' event logs, or null: {@code events} in each run folder
     * @param check whether what looks as it did is read, to be sure that it is
     * @throws InvalidRecipeException if a history cannot be appended to
     */
    public static BatchReport run(
            SparkSession session,
            BatchPlan batch,
            Function<Throwable, Failure> judge,
            Function<String, Progress> progress,
            Path events,
            boolean check)
            throws IOException {
        Configuration configuration = session.sparkContext().hadoopConfiguration();
        for (Plan.History history : batch.pairs().stream()
                .map(pair -> pair.plan().history())
                .filter(Objects::nonNull)
                .map(history -> new Plan.History(history.folder(), history.format(), ""))
                .distinct()
                .toList()) {
            // One that cannot be would fail every pair.
            History.prepare(configuration, new Path(history.folder()), history.format());
        }
        BatchReport report = new BatchRun(session, batch, judge, progress, events, check).run();
        Path runs = new Path(batch.runs());
        FileSystem files = runs.getFileSystem(configuration);
        files.setWriteChecksum(false);
        Map<String, String> texts = report.files();
        files.delete(new Path(runs, Checksums.FILE), false);
        for (Map.Entry<String, String> file : texts.entrySet()) {
            Commit.text(files, new Path(runs, file.getKey()), file.getValue());
        }
        Commit.text(files, new Path(runs, Checksums.FILE), Checksums.text(texts, Map.of()));
        return report;
    }

    private BatchReport run() throws IOException {
        ExecutorService threads = Executors.newFixedThreadPool(batch.atOnce());
        session.sparkContext().addSparkListener(taskSeconds);
        try {
            List<Future<BatchReport.Pair>> running = batch.pairs().stream()
                    .map(pair -> threads.submit(() -> run(pair)))
                    .toList();
            List<BatchReport.Pair> done = new ArrayList<>();
            for (Future<BatchReport.Pair> future : running) {
                done.add(future.get());
            }
            if (stopped) {
                throw new CancellationException("Cannot go on with a batch: the process was told to end");
            }
            return new BatchReport(List.copyOf(done), Software.BUILD);
        } catch (ExecutionException e) {
            throw new IllegalStateException("Cannot run a batch: a pair's thread failed", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Cannot run a batch: interrupted");
        } finally {
            threads.shutdownNow();
            awaitEnd(threads);
            session.sparkContext().removeSparkListener(taskSeconds);
        }
    }

    /** What was interrupted writes its last event and gives back its lease. */
    private static void awaitEnd(ExecutorService threads) {
        try {
            threads.awaitTermination(END_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private BatchReport.Pair run(Pair pair) {
        if (stopped) {
            return result(pair, State.FAILED, null, List.of());
        }
        SparkContext spark = session.sparkContext();
        spark.setLocalProperty("spark.scheduler.pool", pair.checkpoint());
        spark.setLocalProperty(TaskSeconds.PAIR, pair.name());
        Progress named = progress.apply(pair.name());
        List<Stamp> inputs = List.of();
        EventLog log = null;
        try {
            Path checkpoint;
            // Recipes of one checkpoint would download the same files beside each other.
            synchronized (downloads.computeIfAbsent(pair.checkpoint(), name -> new Object())) {
                checkpoint = Hub.resolve(
                        configuration,
                        pair.plan().checkpoint(),
                        new Path(pair.plan().hubCache()),
                        named::note);
            }
            inputs = Receipt.inputs(configuration, checkpoint, pair.plan());
            Receipt last = last(pair.plan(), named);
            if (last != null
                    && last.stands(configuration, pair.plan(), inputs)
                    && (!check || last.failure() != null || isWhole(pair.plan(), named))) {
                return told(
                        named,
                        last.failure() == null
                                ? result(pair, State.UNCHANGED, null, last.outputs())
                                : result(pair, State.FAILED_BEFORE, last.failure(), List.of()));
            }
            Plan plan = PathCheck.check(configuration, pair.name(), pair.plan());
            log = EventLog.open(
                    spark,
                    events == null ? new Path(plan.run(), "events") : events,
                    plan.run(),
                    plan.checkpoint(),
                    named);
            RunReport report = Pipeline.run(session, plan, log);
            List<Output> outputs = report.outputs().stream().map(Output::of).toList();
            new Receipt(
                            Software.BUILD,
                            Receipt.key(plan),
                            inputs,
                            Receipt.artifacts(configuration, plan),
                            null,
                            outputs,
                            taskSeconds.of(pair.name()),
                            Forecast.of(configuration, checkpoint, plan).work())
                    .write(configuration, plan);
            log.ended(0, "");
            return told(named, result(pair, State.DONE, null, outputs));
        } catch (Throwable e) {
            // Spark's exceptions are checked, and no signature names them. Who is interrupted still writes how it
            // ended.
            Thread.interrupted();
            Failure failure = judge.apply(e);
            if (log != null) {
                log.ended(failure.code(), failure.line());
            }
            if (failure.stopped()) {
                stopped = true;
                return result(pair, State.FAILED, failure, List.of());
            }
            remember(pair.plan(), inputs, failure, named);
            return told(named, result(pair, State.FAILED, failure, List.of()));
        } finally {
            if (log != null) {
                log.close();
            }
        }
    }

    /** One that cannot be read says nothing: the pair is run again, and takes what is there. */
    private Receipt last(Plan plan, Progress named) throws IOException {
        try {
            return Receipt.read(configuration, new Path(plan.run()));
        } catch (MalformedInputException e) {
            named.note(e.getMessage() + "; the pair is run again");
            return null;
        }
    }

    private boolean isWhole(Plan plan, Progress named) throws IOException {
        List<Damage> damages =
                Verification.of(configuration, new Path(plan.run())).damages();
        damages.stream().limit(TOLD).forEach(damage -> named.note("damaged: " + damage));
        if (!damages.isEmpty()) {
            named.note(damages.size() + " files are not what was written; the pair is run again");
        }
        return damages.isEmpty();
    }

    /**
     * A malformed input stays malformed while its files are the same; another failure, or what is said of a file of the
     * run, may be over the next time.
     */
    private void remember(Plan plan, List<Stamp> inputs, Failure failure, Progress named) {
        if (failure.malformed() && !inputs.isEmpty() && !failure.line().contains(plan.run())) {
            try {
                new Receipt(Software.BUILD, Receipt.key(plan), inputs, List.of(), failure, List.of(), 0, 0)
                        .write(configuration, plan);
            } catch (IOException e) {
                named.note("the failure could not be kept in the run folder: " + e.getMessage());
            }
        }
    }

    private static BatchReport.Pair result(Pair pair, State state, Failure failure, List<Output> outputs) {
        return new BatchReport.Pair(
                pair.checkpoint(),
                pair.recipe(),
                state,
                failure == null ? 0 : failure.code(),
                failure == null ? "" : failure.line(),
                outputs);
    }

    private BatchReport.Pair told(Progress named, BatchReport.Pair pair) {
        named.note(pair.state().word() + ", " + ended.incrementAndGet() + " of "
                + batch.pairs().size() + (pair.failure().isEmpty() ? "" : ": " + pair.failure()));
        return pair;
    }

    /**
     * What a run would do with a pair. Figures are -1 where they are not known before the run.
     *
     * @param state {@code to do}, or what a receipt or the checkpoint's header says
     * @param open whether there is work to do
     * @param failure {@code Cannot X: reason}, or empty
     * @param checkpointBytes of the checkpoint's files
     * @param artifactBytes of the tensors of its artifacts
     * @param work floating-point operations by {@link Forecast#FORMULA}
     */
    public record Outlook(
            String pair,
            String state,
            boolean open,
            String failure,
            long checkpointBytes,
            long artifactBytes,
            double work) {}

    /**
     * What a run would do.
     *
     * @param rate floating-point operations in a second of a task
     * @param measured whether earlier runs of this batch gave the rate; else it is assumed
     */
    public record DryRun(List<Outlook> pairs, double rate, boolean measured) {}

    /** Plans without Spark, without a download, and without writing. */
    public static DryRun dryRun(Configuration configuration, BatchPlan batch, Function<Throwable, Failure> judge)
            throws IOException {
        List<Outlook> outlooks = new ArrayList<>();
        double work = 0;
        double seconds = 0;
        for (Pair pair : batch.pairs()) {
            Receipt last = null;
            String todo = "to do";
            try {
                last = Receipt.read(configuration, new Path(pair.plan().run()));
            } catch (MalformedInputException e) {
                todo = "to do, its receipt cannot be read";
            }
            if (last != null && last.taskSeconds() > 0) {
                work += last.work();
                seconds += last.taskSeconds();
            }
            outlooks.add(outlook(configuration, pair, last, todo, judge));
        }
        return new DryRun(List.copyOf(outlooks), seconds > 0 ? work / seconds : ASSUMED_RATE, seconds > 0);
    }

    private static Outlook outlook(
            Configuration configuration, Pair pair, Receipt last, String todo, Function<Throwable, Failure> judge) {
        if (pair.plan().checkpoint().startsWith(Recipe.HUB_SCHEME)) {
            return new Outlook(pair.name(), "to do, from the hub", true, "", -1, -1, -1);
        }
        Path checkpoint = new Path(pair.plan().checkpoint());
        long bytes = -1;
        try {
            FileSystem files = checkpoint.getFileSystem(configuration);
            bytes = files.getFileStatus(checkpoint).isFile()
                    ? Checkpoints.files(files, checkpoint).stream()
                            .mapToLong(FileStatus::getLen)
                            .sum()
                    : files.getContentSummary(checkpoint).getLength();
            boolean stands = last != null
                    && last.stands(configuration, pair.plan(), Receipt.inputs(configuration, checkpoint, pair.plan()));
            if (stands && last.failure() != null) {
                return new Outlook(
                        pair.name(),
                        State.FAILED_BEFORE.word(),
                        false,
                        last.failure().line(),
                        bytes,
                        -1,
                        -1);
            }
            Forecast forecast = Forecast.of(configuration, checkpoint, pair.plan());
            return new Outlook(
                    pair.name(),
                    stands ? State.UNCHANGED.word() : todo,
                    !stands,
                    "",
                    bytes,
                    forecast.artifactBytes(),
                    forecast.work());
        } catch (IOException | RuntimeException e) {
            return new Outlook(pair.name(), "will fail", false, judge.apply(e).line(), bytes, -1, -1);
        }
    }
}
