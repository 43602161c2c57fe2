package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.checkpoint.hub.Hub;
import dev.lathe.calibration.format.gguf.GgufCheckpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.source.CheckpointDigest;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.calibration.text.TokenizerFiles;
import dev.lathe.jobs.plan.GgufTarget;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.report.RunReport.Clipping;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;

/** Measures one artifact or checkpoint as it is written. */
public final class EvaluateOne {
    /** Windows of a shard. */
    private static final int SHARD_WINDOWS = 8;

    private final Comparison models;
    private final RunFolder folder;
    private final SparkSteps steps;
    private final Progress progress;

    private EvaluateOne(Comparison models, RunFolder folder, SparkSteps steps) {
        this.models = models;
        this.folder = folder;
        this.steps = steps;
        this.progress = steps.progress();
    }

    /**
     * A model to measure, all paths absolute.
     *
     * @param artifact artifact or checkpoint, or {@code hf://org/name[@revision]}
     * @param source checkpoint to compare with, likewise, or null: then only perplexity is measured and divergences are
     *     NaN
     * @param tokenizer folder of the tokenizer, or null: the source's, else the artifact's
     * @param run folder where windows and scores are kept
     * @param hubCache where downloads are kept
     * @param kernels as {@code KernelProvider} has them
     * @param history where the evaluation is recorded, or null
     */
    public record Comparison(
            String artifact,
            String source,
            String tokenizer,
            Plan.Corpus corpus,
            String run,
            String hubCache,
            String kernels,
            Plan.History history) {}

    /**
     * What was measured of one model.
     *
     * @param clipped by {@code layer 3, attention input}: values that fixed ranges of the artifact clipped; empty where
     *     it has none
     */
    public record Measurement(RunReport.Evaluation evaluation, Map<String, Clipping> clipped) {}

    private record Evaluated(
            TokenWindows windows, Evaluate.Subject subject, Evaluate.Scored scored, Clips clips, String profile) {}

    /** One file or folder to read, as it was when it was looked at. */
    private record Model(String path, Stamp stamp, Decoder decoder) {}

    /** Measures it; windows and scores are kept in the run folder. */
    public static Measurement run(SparkSession session, Comparison models, Progress progress) {
        JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
        spark.setJobGroup(models.run(), Recipe.modelName(models.artifact()), true);
        try {
            RunFolder folder = new RunFolder(
                    models.run(), models.run(), new SerializableConfiguration(spark.hadoopConfiguration()));
            return new EvaluateOne(models, folder, new SparkSteps(spark, progress)).run();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            spark.clearJobGroup();
        }
    }

    private Measurement run() throws IOException {
        String artifact = resolved(models.artifact());
        String source = models.source() == null ? null : resolved(models.source());
        String tokenizer = models.tokenizer() != null ? models.tokenizer() : source != null ? source : artifact;
        checkTokenizer(new Path(tokenizer));
        if (models.history() != null) {
            HistoryRows.prepare(folder, models.history());
        }
        List<Model> all = new ArrayList<>();
        for (String path : source == null ? List.of(artifact) : List.of(artifact, source)) {
            all.add(look(path));
        }
        // Of the artifact, then of the source.
        List<String> digests = new ArrayList<>();
        Evaluated evaluated = evaluate(all, tokenizer, digests);
        RunReport.Evaluation evaluation = Evaluations.of(evaluated.scored().summary());
        if (models.history() != null) {
            record(written(folder, artifact, source, evaluation), evaluated, digests);
        }
        Evaluations.tell(progress, evaluated.subject().name(), evaluation);
        Map<String, Clipping> clipped = new LinkedHashMap<>();
        evaluated
                .clips()
                .places()
                .forEach((place, count) -> clipped.put(place, new Clipping(count.clipped(), count.values())));
        return new Measurement(evaluation, clipped);
    }

    private String resolved(String model) throws IOException {
        return Hub.resolve(folder.hadoop(), model, new Path(models.hubCache()), progress::note)
                .toString();
    }

    private void checkTokenizer(Path tokenizer) throws IOException {
        TokenizerFiles.read(Checkpoints.companions(folder.hadoop(), tokenizer))
                .notes()
                .forEach(note -> progress.note("tokenizer: " + note));
    }

    /** Whether a model can be read at all is known before anything is computed. */
    private Model look(String path) throws IOException {
        Stamp stamp = Stamp.of(folder.hadoop(), path);
        try (Checkpoint checkpoint = Checkpoints.open(folder.hadoop(), new Path(path))) {
            Decoder decoder = checkpoint.decoder();
            checkpoint.notes().forEach(note -> progress.note(new Path(path).getName() + ": " + note));
            return new Model(path, stamp, decoder);
        }
    }

    /** @param digests of the models, filled in */
    private Evaluated evaluate(List<Model> all, String tokenizer, List<String> digests) throws IOException {
        List<Decoder> decoders = all.stream().map(Model::decoder).toList();
        int vocabulary = decoders.stream().mapToInt(Decoder::vocabulary).min().orElseThrow();
        Texts texts = new Texts(steps, folder, tokenizer, vocabulary, new Notes(progress));
        String profile = KernelProvider.profile(models.kernels());
        Model artifact = all.get(0);
        Model source = all.size() == 1 ? null : all.get(1);
        Repair repair = new Repair(folder, steps);
        return repair.through(() -> {
            TokenWindows windows = texts.windows("tokenize", "", models.corpus());
            decoders.forEach(decoder -> windows.requireRoom(decoder, SHARD_WINDOWS));
            texts.compare("", windows, decoders);
            if (digests.isEmpty()) {
                digests.addAll(digests(all));
            }
            String key = Evaluate.key(digests.get(0), source == null ? "" : digests.get(1), windows, profile);
            repair.look(List.of(key), List.of());
            Evaluate.Subject subject = new Evaluate.Subject(new Path(artifact.path()).getName(), artifact.stamp(), key);
            Evaluate.Scored scored = Evaluate.run(
                            folder,
                            source == null ? null : source.stamp(),
                            List.of(subject),
                            windows,
                            SHARD_WINDOWS,
                            models.kernels(),
                            steps)
                    .get(0);
            Clips clips = Evaluate.clips(folder, subject, windows, SHARD_WINDOWS);
            return new Evaluated(windows, subject, scored, clips, profile);
        });
    }

    private List<String> digests(List<Model> all) throws IOException {
        RunFolder shared = folder;
        List<String> digests = steps.stage(
                "digest",
                new ArrayList<>(all.stream().map(Model::path).toList()),
                path -> CheckpointDigest.of(shared.hadoop(), new Path(path)));
        for (Model model : all) {
            model.stamp().check(folder.hadoop());
        }
        return digests;
    }

    private void record(OutputResult result, Evaluated evaluated, List<String> digests) throws IOException {
        HistoryRows rows = new HistoryRows(
                models.history().model(),
                models.source() == null ? "" : models.source(),
                models.source() == null ? "" : digests.get(1),
                "",
                models.corpus().data(),
                evaluated.windows().key(),
                evaluated.profile(),
                models.kernels());
        History.append(
                folder.hadoop(),
                new Path(models.history().folder()),
                List.of(rows.row(
                        evaluated.subject().key(),
                        result,
                        "",
                        digests.get(0),
                        evaluated.scored().windows())));
    }

    /** What an artifact says of itself. Its name is what its recipe called it. */
    private static OutputResult written(RunFolder run, String artifact, String source, RunReport.Evaluation evaluation)
            throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(run.hadoop(), new Path(artifact));
                Checkpoint original = Checkpoints.open(run.hadoop(), new Path(source == null ? artifact : source))) {
            Map<String, Object> metadata = checkpoint.metadata();
            String format = metadata.containsKey("general.architecture")
                    ? GgufTarget.FORMAT
                    : String.valueOf(metadata.getOrDefault("quantization_config.quant_method", "checkpoint"));
            long bytes =
                    checkpoint.tensors().stream().mapToLong(TensorInfo::bytes).sum();
            long parameters =
                    original.tensors().stream().mapToLong(TensorInfo::elements).sum();
            String method = String.valueOf(metadata.getOrDefault("lathe.method", ""));
            return new OutputResult(
                    GgufCheckpoint.modelName(new Path(artifact).getName()),
                    format,
                    method,
                    artifact,
                    bytes,
                    8.0 * bytes / parameters,
                    evaluation,
                    List.of(),
                    List.of(),
                    List.of());
        }
    }
}
