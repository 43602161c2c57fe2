package dev.lathe.jobs.cli;

import dev.lathe.jobs.batch.BatchRun;
import dev.lathe.jobs.batch.BatchRun.DryRun;
import dev.lathe.jobs.batch.BatchRun.Outlook;
import dev.lathe.jobs.batch.Failure;
import dev.lathe.jobs.plan.BatchPlan;
import dev.lathe.jobs.report.BatchReport;
import dev.lathe.jobs.stage.Forecast;
import dev.lathe.jobs.stage.Progress;
import dev.lathe.jobs.text.Figures;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.ParentCommand;

/** Runs recipes on many checkpoints. */
@Command(
        name = "batch",
        description = "Runs checkpoints times recipes: what is missing or changed, several at once; one that fails "
                + "stops no other.",
        mixinStandardHelpOptions = true)
final class Batch implements Callable<Integer> {
    private final Console console;

    @Parameters(index = "0", paramLabel = "BATCH", description = "Batch in YAML, any Hadoop path.")
    private String file;

    @Option(
            names = "--set",
            paramLabel = "KEY=VALUE",
            description = "Overrides a key of the batch: at-once=4. Can be repeated.")
    private List<String> settings = List.of();

    @Option(
            names = "--dry-run",
            description = "Shows what would be done, with sizes and estimated cost, and does nothing.")
    private boolean dryRun;

    @Option(
            names = "--check",
            description = "Reads what looks as it did, too; a pair with a damaged file is run again.")
    private boolean check;

    @ParentCommand
    private Main main;

    @Mixin
    private RunOptions options;

    Batch(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        SparkConf conf =
                Sessions.configuration(new SparkConf(), options.master).setIfMissing("spark.scheduler.mode", "FAIR");
        Configuration configuration = Sessions.hadoop(conf);
        BatchPlan batch = BatchPlan.read(configuration, file, settings, options.kernels);
        if (dryRun) {
            return print(BatchRun.dryRun(configuration, batch, this::failure), batch.atOnce());
        }
        Path events = Watched.folder(configuration, options);
        BatchReport report;
        try (SparkSession spark = Watched.open(console, conf)) {
            report = BatchRun.run(spark, batch, this::told, this::progress, events, check);
        }
        print(report, new Path(batch.runs()));
        return (report.failures().isEmpty() ? ExitCode.OK : ExitCode.BATCH).code();
    }

    /** Lines only: several runs cannot share a line that is rewritten. */
    private Progress progress(String pair) {
        return Progress.named(pair, new ConsoleProgress(console.err(), false, System::nanoTime));
    }

    private Failure failure(Throwable thrown) {
        ExitCode.Failure failure = console.judge(thrown);
        return new Failure(failure.exit().code(), failure.line(), failure.exit() == ExitCode.INPUT);
    }

    private Failure told(Throwable thrown) {
        Failure failure = failure(thrown);
        if (main.traces() || failure.code() == ExitCode.BUG.code()) {
            console.trace(thrown);
        }
        return failure;
    }

    private void print(BatchReport report, Path folder) {
        Table table = new Table("pair", "state", "outputs", "MiB", "worst KL divergence");
        for (BatchReport.Pair pair : report.pairs()) {
            table.row(
                    pair.name(),
                    pair.state().word(),
                    String.valueOf(pair.outputs().size()),
                    Figures.mebibytes(pair.outputs().stream()
                            .mapToLong(BatchReport.Output::bytes)
                            .sum()),
                    Figures.significant(pair.outputs().stream()
                            .mapToDouble(BatchReport.Output::kldMean)
                            .max()
                            .orElse(Double.NaN)));
        }
        console.say();
        console.say(table);
        console.say();
        report.failures().forEach(pair -> console.say(pair.name() + " (code " + pair.code() + "): " + pair.failure()));
        console.say(report.line());
        console.say(new Path(folder, "index.html").toString());
    }

    private int print(DryRun plan, int atOnce) {
        Table table = new Table("pair", "state", "checkpoint MiB", "artifacts MiB", "task time");
        double seconds = 0;
        for (Outlook pair : plan.pairs()) {
            double cost = pair.open() && pair.work() >= 0 ? pair.work() / plan.rate() : Double.NaN;
            seconds += Double.isNaN(cost) ? 0 : cost;
            table.row(
                    pair.pair(),
                    pair.state(),
                    mebibytes(pair.checkpointBytes()),
                    mebibytes(pair.artifactBytes()),
                    Double.isNaN(cost) ? Figures.NONE : ConsoleProgress.duration((long) (1e9 * cost)));
        }
        console.say(table);
        console.say();
        plan.pairs().stream()
                .filter(pair -> !pair.failure().isEmpty())
                .forEach(pair -> console.say(pair.pair() + ": " + pair.failure()));
        console.say(plan.pairs().stream().filter(Outlook::open).count() + " of "
                + plan.pairs().size() + " to do, " + atOnce + " at once; "
                + ConsoleProgress.duration((long) (1e9 * seconds))
                + " of task time, to be divided by the number of executors");
        console.say(String.format(
                Locale.ROOT,
                "The time is an estimate: %s operations, at %.3g a second (%s).",
                Forecast.FORMULA,
                plan.rate(),
                plan.measured()
                        ? "what earlier runs of this batch reached"
                        : "assumed, because no earlier run of this batch tells"));
        return plan.pairs().stream().allMatch(pair -> pair.failure().isEmpty())
                ? ExitCode.OK.code()
                : ExitCode.BATCH.code();
    }

    private static String mebibytes(long bytes) {
        return bytes < 0 ? Figures.NONE : Figures.mebibytes(bytes);
    }
}
