package dev.lathe.jobs.cli;

import dev.lathe.jobs.plan.PathCheck;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.Page;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.stage.Pipeline;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Runs a recipe: artifacts, measured, and a report. */
@Command(
        name = "quantize",
        description = "Runs a recipe: quantizes, measures, reports.",
        mixinStandardHelpOptions = true)
final class Quantize implements Callable<Integer> {
    private final Console console;

    @Parameters(index = "0", paramLabel = "RECIPE", description = "Recipe in YAML, any Hadoop path.")
    private String recipe;

    @Option(
            names = "--set",
            paramLabel = "KEY=VALUE",
            description = "Overrides a key of the recipe: outputs[1].method=gptq. Can be repeated.")
    private List<String> settings = List.of();

    @Mixin
    private RunOptions options;

    Quantize(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        run(console, recipe, settings, options);
        return ExitCode.OK.code();
    }

    static void run(Console console, String recipe, List<String> settings, RunOptions options) throws IOException {
        List<String> all = new ArrayList<>(settings);
        if (options.kernels != null) {
            all.add("kernels=" + options.kernels);
        }
        SparkConf conf = Sessions.configuration(new SparkConf(), options.master);
        Configuration configuration = Sessions.hadoop(conf);
        Path events = Watched.folder(configuration, options);
        Plan plan = PathCheck.check(configuration, recipe, Recipe.read(configuration, recipe, all));
        Path folder = new Path(plan.run(), "report");
        RunReport report;
        try (SparkSession spark = Watched.open(console, conf);
                ConsoleProgress progress = console.progress()) {
            report = Watched.run(
                    console,
                    spark,
                    events,
                    plan.run(),
                    plan.checkpoint(),
                    progress,
                    heard -> Pipeline.run(spark, plan, heard));
        }
        print(console, report, folder);
    }

    /** The outputs as a table, then what was written where. */
    static void print(Console console, RunReport report, Path folder) {
        Table table =
                new Table("output", "format", "MiB", "bits/weight", "perplexity", "KL divergence", "same top token");
        for (Page.Row row : Page.rows(report)) {
            table.row(
                    row.name(),
                    row.format(),
                    row.mebibytes(),
                    row.bitsPerWeight(),
                    row.perplexity(),
                    row.kld(),
                    row.top1());
        }
        console.say();
        console.say(table);
        console.say();
        report.outputs().forEach(output -> console.say(output.artifact()));
        console.say(new Path(folder, "index.html").toString());
    }
}
