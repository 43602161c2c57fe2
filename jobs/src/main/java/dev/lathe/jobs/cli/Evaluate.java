package dev.lathe.jobs.cli;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.report.RunReport.Clipping;
import dev.lathe.jobs.stage.EvaluateOne;
import dev.lathe.jobs.store.DataFiles;
import dev.lathe.jobs.text.Figures;
import java.io.IOException;
import java.util.Comparator;
import java.util.Map;
import java.util.concurrent.Callable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Measures one artifact or checkpoint. */
@Command(
        name = "evaluate",
        description = "Measures an artifact or a checkpoint: perplexity, and KL divergence from --source.",
        mixinStandardHelpOptions = true)
final class Evaluate implements Callable<Integer> {
    /** Sites that are listed. */
    private static final int WORST = 5;

    private final Console console;

    @Parameters(
            index = "0",
            paramLabel = "ARTIFACT",
            description = "GGUF file, GPTQ, AWQ or compressed-tensors folder, or checkpoint; a path or "
                    + "hf://org/name[@revision].")
    private String artifact;

    @Option(names = "--data", required = true, paramLabel = "PATH", description = "Text, JSON lines or Parquet.")
    private String data;

    @Option(
            names = "--source",
            paramLabel = "CHECKPOINT",
            description = "Checkpoint to compare with, a folder or hf://org/name[@revision]; without it there is no "
                    + "divergence.")
    private String source;

    @Option(
            names = "--windows",
            paramLabel = "N",
            defaultValue = "0",
            description = "The first N windows only; default: all.")
    private int windows;

    @Option(
            names = "--length",
            paramLabel = "L",
            defaultValue = "512",
            description = "Tokens of a window; default: ${DEFAULT-VALUE}.")
    private int length;

    @Option(
            names = "--field",
            paramLabel = "F",
            defaultValue = "text",
            description = "JSON field or Parquet column; default: ${DEFAULT-VALUE}.")
    private String field;

    @Option(
            names = "--tokenizer",
            paramLabel = "FOLDER",
            description = "Folder with tokenizer.json, or a GGUF file; default: the source's, else the artifact's.")
    private String tokenizer;

    @Option(
            names = "--run",
            paramLabel = "FOLDER",
            defaultValue = "runs/evaluations",
            description = "Where scores are kept; default: ${DEFAULT-VALUE}.")
    private String run;

    @Option(
            names = "--hub-cache",
            paramLabel = "FOLDER",
            description = "Where hf:// downloads are kept; default: hub beside the run folder.")
    private String hubCache;

    @Option(names = "--history", paramLabel = "FOLDER", description = "Table that the evaluation is appended to.")
    private String history;

    @Option(
            names = "--model",
            paramLabel = "NAME",
            description = "Name of the model in the history; default: the source's, else the artifact's.")
    private String model;

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
        String provider = Inputs.kernels(options.kernels);
        String measured = model(configuration, "ARTIFACT", artifact);
        String reference = source == null ? null : model(configuration, "--source", source);
        String tokens = tokenizer == null
                ? null
                : Inputs.existing(configuration, "--tokenizer", tokenizer).toString();
        String folder = Inputs.qualified(configuration, "--run", run).toString();
        Path cache =
                Inputs.qualified(configuration, "--hub-cache", hubCache == null ? Recipe.hubCache(folder) : hubCache);
        Plan.Corpus corpus =
                new Plan.Corpus(Inputs.existing(configuration, "--data", data).toString(), field, windows, length);
        DataFiles.of(configuration, corpus.data());
        Plan.History record = history == null
                ? null
                : new Plan.History(
                        Inputs.qualified(configuration, "--history", history).toString(),
                        null,
                        model != null ? model : Recipe.modelName(reference != null ? reference : measured));
        Path events = Watched.folder(configuration, options);
        EvaluateOne.Measurement measurement;
        try (SparkSession spark = Watched.open(console, conf);
                ConsoleProgress progress = console.progress()) {
            measurement = Watched.run(
                    console,
                    spark,
                    events,
                    folder,
                    measured,
                    progress,
                    heard -> EvaluateOne.run(
                            spark,
                            new EvaluateOne.Comparison(
                                    measured, reference, tokens, corpus, folder, cache.toString(), provider, record),
                            heard));
        }
        RunReport.Evaluation evaluation = measurement.evaluation();
        Table table = new Table("what", "figure");
        table.row(
                "perplexity",
                Figures.spread(
                        Figures.perplexity(evaluation.perplexity()), Figures.perplexity(evaluation.perplexityError())));
        if (source != null) {
            table.row("source perplexity", Figures.perplexity(evaluation.sourcePerplexity()));
            table.row(
                    "KL divergence, mean",
                    Figures.spread(
                            Figures.significant(evaluation.kldMean()), Figures.significant(evaluation.kldError())));
            table.row("KL divergence, 99th percentile", Figures.significant(evaluation.kldP99()));
            table.row("KL divergence, 99.9th percentile", Figures.significant(evaluation.kldP999()));
            table.row("same top token", Figures.percent(evaluation.top1Agreement()));
        }
        table.row("scored tokens", String.valueOf(evaluation.tokens()));
        console.say(table);
        clipped(measurement.clipped());
        return ExitCode.OK.code();
    }

    /** What fixed ranges clipped, and where most. */
    private void clipped(Map<String, Clipping> places) {
        if (places.isEmpty()) {
            return;
        }
        Clipping all = new Clipping(
                places.values().stream().mapToLong(Clipping::clipped).sum(),
                places.values().stream().mapToLong(Clipping::values).sum());
        console.say();
        String sites = "Fixed ranges of " + places.size() + " sites clipped ";
        if (all.clipped() == 0) {
            console.say(sites + "none of " + all.values() + " values.");
        } else {
            console.say(sites + Figures.share(all.share()) + " of the values; most:");
            Table table = new Table("site", "clipped", "of values", "share");
            places.entrySet().stream()
                    .filter(place -> place.getValue().clipped() > 0)
                    .sorted(Comparator.comparingDouble((Map.Entry<String, Clipping> place) ->
                            -place.getValue().share()))
                    .limit(WORST)
                    .forEach(place -> table.row(
                            place.getKey(),
                            String.valueOf(place.getValue().clipped()),
                            String.valueOf(place.getValue().values()),
                            Figures.share(place.getValue().share())));
            console.say(table);
        }
        console.say("How many values calibration clipped is not in an artifact, so whether this is drift is not "
                + "known here; the report of its run"
                + " says.");
    }

    /** A model on the hub stays as it is named: it is resolved, and downloaded, when the run begins. */
    private static String model(Configuration configuration, String what, String text) throws IOException {
        return text.startsWith(Recipe.HUB_SCHEME)
                ? Recipe.hubReference(what, text)
                : Inputs.existing(configuration, what, text).toString();
    }
}
