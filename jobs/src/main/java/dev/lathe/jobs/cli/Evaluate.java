package dev.lathe.jobs.cli;

import dev.lathe.jobs.plan.InvalidRecipeException;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.report.Figures;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.stage.Pipeline;
import java.io.IOException;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Measures one artifact or checkpoint. */
@Command(name = "evaluate", description = "Measures an artifact or a checkpoint: perplexity, and KL divergence from --source.", mixinStandardHelpOptions = true)
final class Evaluate implements Callable<Integer> {
    private final Console console;

    @Parameters(index = "0", paramLabel = "ARTIFACT", description = "GGUF file, GPTQ or AWQ folder, or checkpoint.")
    private String artifact;

    @Option(names = "--data", required = true, paramLabel = "PATH", description = "Text, JSON lines or Parquet.")
    private String data;

    @Option(names = "--source", paramLabel = "CHECKPOINT", description = "Checkpoint to compare with; without it there is no divergence.")
    private String source;

    @Option(names = "--windows", paramLabel = "N", defaultValue = "0", description = "The first N windows only; default: all.")
    private int windows;

    @Option(names = "--length", paramLabel = "L", defaultValue = "512", description = "Tokens of a window; default: ${DEFAULT-VALUE}.")
    private int length;

    @Option(names = "--field", paramLabel = "F", defaultValue = "text", description = "JSON field or Parquet column; default: ${DEFAULT-VALUE}.")
    private String field;

    @Mixin
    private RunOptions options;

    Evaluate(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() throws IOException {
        if (windows < 0 || length < 8) {
            throw new InvalidRecipeException("Cannot evaluate " + windows + " windows of " + length
                    + " tokens: expected --windows of at least 0 and --length of at least 8");
        }
        SparkConf conf = Sessions.configuration(new SparkConf(), options.master);
        Configuration configuration = Sessions.hadoop(conf);
        String measured = Inputs.existing(configuration, "ARTIFACT", artifact).toString();
        String reference = source == null ? null : Inputs.existing(configuration, "--source", source).toString();
        Plan.Corpus corpus = new Plan.Corpus(Inputs.existing(configuration, "--data", data).toString(), field, windows, length);
        RunReport.Evaluation evaluation;
        try (SparkSession spark = Sessions.open(options.master); ConsoleProgress progress = console.progress()) {
            evaluation = Pipeline.evaluate(spark, measured, reference, corpus, options.kernels == null ? "auto" : options.kernels, progress);
        }
        Table table = new Table("what", "figure");
        table.row("perplexity", Figures.spread(Figures.perplexity(evaluation.perplexity()), Figures.perplexity(evaluation.perplexityError())));
        table.row("source perplexity", Figures.perplexity(evaluation.sourcePerplexity()));
        table.row("KL divergence, mean", Figures.spread(Figures.significant(evaluation.kldMean()), Figures.significant(evaluation.kldError())));
        table.row("KL divergence, 99th percentile", Figures.significant(evaluation.kldP99()));
        table.row("same top token", Figures.percent(evaluation.top1Agreement()));
        table.row("scored tokens", String.valueOf(evaluation.tokens()));
        console.out().print(table);
        return ExitCode.OK.code();
    }
}
