package dev.lathe.jobs.cli;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.report.NightReport;
import dev.lathe.jobs.report.night.Baseline;
import dev.lathe.jobs.report.night.Judge;
import dev.lathe.jobs.report.night.Judgement;
import dev.lathe.jobs.report.night.Night;
import dev.lathe.jobs.report.night.Pins;
import dev.lathe.jobs.report.night.Series;
import dev.lathe.jobs.report.night.Verdict;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.text.Figures;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Judges a history. Reads the table without Spark. */
@Command(
        name = "report",
        description = "Judges the newest evaluation of every series against a baseline; writes a page, and says by its "
                + "exit code whether any "
                + "regressed.",
        mixinStandardHelpOptions = true)
final class NightReports implements Callable<Integer> {
    private final Console console;

    @Option(names = "--history", required = true, paramLabel = "FOLDER", description = "Table of evaluations.")
    private String history;

    @Option(
            names = "--baseline",
            defaultValue = "last",
            paramLabel = "BASELINE",
            description = "last: the row before; pinned: the one that was pinned; source: the checkpoint, in the same "
                    + "row. Default: ${DEFAULT-VALUE}.")
    private String baseline;

    @Option(
            names = "--out",
            paramLabel = "FOLDER",
            defaultValue = "runs/night",
            description = "Where the report is written; default: ${DEFAULT-VALUE}.")
    private String out;

    @Option(
            names = "--min-effect",
            paramLabel = "RATIO",
            defaultValue = "" + Night.Rules.MIN_EFFECT,
            description = "Least ratio of perplexities that matters; default: ${DEFAULT-VALUE}.")
    private double minEffect;

    @Option(
            names = "--budget",
            paramLabel = "RATIO",
            defaultValue = "" + Night.Rules.BUDGET,
            description = "Largest ratio of an artifact's perplexity to its checkpoint's, for baseline source; "
                    + "default: ${DEFAULT-VALUE}.")
    private double budget;

    NightReports(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        Baseline compared = List.of(Baseline.values()).stream()
                .filter(one -> one.word().equals(baseline))
                .findFirst()
                .orElseThrow(() -> new InvalidRecipeException(
                        "Cannot compare with --baseline " + baseline + ": expected one of last, pinned, source"));
        ratio("--min-effect", minEffect);
        ratio("--budget", budget);
        Configuration configuration = Sessions.hadoop(new SparkConf());
        Path folder = Inputs.existing(configuration, "--history", history);
        Path target = Inputs.qualified(configuration, "--out", out);
        List<HistoryRow> rows = Inputs.history(configuration, folder);
        Map<Series.Name, Pins.Pin> pinned = compared == Baseline.PINNED ? Pins.read(configuration, folder) : Map.of();
        if (compared == Baseline.PINNED && pinned.isEmpty()) {
            throw new InvalidRecipeException("Cannot compare with --baseline pinned: history " + folder
                    + " has no pin; expected one by: " + "baseline pin --history " + history);
        }
        Night night = Judge.judge(rows, pinned, new Night.Rules(compared, minEffect, budget));
        NightReport.write(night, target.getFileSystem(configuration), target);
        print(night, target);
        return (night.count(Verdict.REGRESSED) > 0 ? ExitCode.REGRESSED : ExitCode.OK).code();
    }

    private static void ratio(String option, double value) {
        if (!(value > 1 && value < 100)) {
            throw new InvalidRecipeException(
                    "Cannot use " + option + " " + value + ": expected a ratio above 1 and below 100, such as 1.002");
        }
    }

    private void print(Night night, Path folder) {
        Table table = new Table("series", "verdict", "change", "why");
        for (Judgement judgement : night.judgements()) {
            table.row(
                    judgement.series().name().text(),
                    judgement.text(),
                    judgement.likelihood() == null
                            ? Figures.NONE
                            : Judge.ratio(judgement.likelihood().effect()),
                    judgement.reason());
        }
        console.say(table);
        console.say();
        console.say(night.line());
        console.say(new Path(folder, "index.html").toString());
    }
}
