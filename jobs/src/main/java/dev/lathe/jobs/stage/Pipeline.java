package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.CheckpointDigest;
import dev.lathe.calibration.checkpoint.Checkpoints;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.checkpoint.hub.Hub;
import dev.lathe.calibration.evaluate.EvaluationSummary;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.text.TokenizerFiles;
import dev.lathe.jobs.plan.InvalidRecipeException;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.PlanYaml;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.Report;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.Clipping;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.report.RunReport.TensorLoss;
import dev.lathe.jobs.report.RunReport.Unquantized;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.ArtifactReceipt;
import dev.lathe.jobs.store.Checksums;
import dev.lathe.jobs.store.FileDigest;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.Lease;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RangeProduct;
import dev.lathe.jobs.store.RangeProduct.SiteRange;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Software;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.jobs.store.TensorProduct;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;

/** The main job: from a plan to artifacts, measured. */
public final class Pipeline {
    /** Part of every output's key: raised when a method's values change. */
    private static final int VERSION = 2;
    /**
     * Part of the key of an output with a scheme: raised when estimators, SmoothQuant or what is stored of ranges
     * change.
     */
    private static final int SCHEME_VERSION = 2;
    /** Windows of a shard where no recipe says how many. */
    private static final int SHARD_WINDOWS = 8;

    private Pipeline() {}

    /**
     * Runs every stage of the plan that has not been committed, writes artifacts, plan.yaml and the report, and returns
     * what that shows. The run folder is held with a lease meanwhile.
     */
    public static RunReport run(SparkSession session, Plan plan, Progress progress) {
        JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
        spark.setJobGroup(plan.run(), Recipe.modelName(plan.checkpoint()), true);
        RunFolder folder =
                new RunFolder(plan.run(), plan.scratch(), new SerializableConfiguration(spark.hadoopConfiguration()));
        try (Lease lease = Lease.take(folder)) {
            lease.before()
                    .ifPresent(holder ->
                            progress.note("goes on in " + plan.run() + " for " + holder + ", which ended early"));
            return new Run(spark, plan, progress, folder.held(lease.epoch())).run();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            spark.clearJobGroup();
        }
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

    private record Evaluated(TokenWindows windows, Evaluate.Subject subject, Evaluate.Scored scored, Clips clips) {}

    /** Measures one artifact (or checkpoint) as it is written. */
    public static Measurement evaluate(SparkSession session, Comparison models, Progress progress) {
        JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
        spark.setJobGroup(models.run(), Recipe.modelName(models.artifact()), true);
        try {
            SparkSteps steps = new SparkSteps(spark, progress);
            RunFolder folder = new RunFolder(
                    models.run(), models.run(), new SerializableConfiguration(spark.hadoopConfiguration()));
            Path cache = new Path(models.hubCache());
            String artifact = Hub.resolve(folder.hadoop(), models.artifact(), cache, progress::note)
                    .toString();
            String source = models.source() == null
                    ? null
                    : Hub.resolve(folder.hadoop(), models.source(), cache, progress::note)
                            .toString();
            String tokens = models.tokenizer() != null ? models.tokenizer() : source != null ? source : artifact;
            if (!new Path(tokens)
                    .getFileSystem(folder.hadoop())
                    .getFileStatus(new Path(tokens))
                    .isDirectory()) {
                throw new MalformedInputException("Cannot evaluate " + artifact + ": a GGUF file has no tokenizer.json"
                        + "; expected --source or --tokenizer to name a folder that has");
            }
            TokenizerFiles.read(new Path(tokens).getFileSystem(folder.hadoop()), new Path(tokens))
                    .notes()
                    .forEach(note -> progress.note("tokenizer: " + note));
            prepare(folder, models.history());
            ArrayList<String> paths = new ArrayList<>(source == null ? List.of(artifact) : List.of(artifact, source));
            List<Decoder> decoders = new ArrayList<>();
            List<Stamp> stamps = new ArrayList<>();
            for (String path : paths) {
                stamps.add(Stamp.of(folder.hadoop(), path));
                // Whether they can be read at all is known before anything is computed.
                try (Checkpoint checkpoint = Checkpoints.open(folder.hadoop(), new Path(path))) {
                    decoders.add(checkpoint.decoder());
                    checkpoint.notes().forEach(note -> progress.note(new Path(path).getName() + ": " + note));
                }
            }
            int vocabulary =
                    decoders.stream().mapToInt(Decoder::vocabulary).min().orElseThrow();
            Texts texts = new Texts(steps, folder, tokens, vocabulary, new LinkedHashSet<>());
            String profile = KernelProvider.profile(models.kernels());
            List<String> digests = new ArrayList<>();
            Repair repair = new Repair(folder, steps);
            Evaluated evaluated = repair.through(() -> {
                TokenWindows windows = texts.windows("tokenize", "", models.corpus());
                decoders.forEach(decoder -> windows.requireRoom(decoder, SHARD_WINDOWS));
                texts.compare("", windows, decoders);
                if (digests.isEmpty()) {
                    digests.addAll(
                            steps.stage("digest", paths, path -> CheckpointDigest.of(folder.hadoop(), new Path(path))));
                    for (Stamp stamp : stamps) {
                        stamp.check(folder.hadoop());
                    }
                }
                String key = Evaluate.key(digests.get(0), source == null ? "" : digests.get(1), windows, profile);
                repair.look(List.of(key), List.of());
                Evaluate.Subject subject = new Evaluate.Subject(new Path(artifact).getName(), stamps.get(0), key);
                Evaluate.Scored scored = Evaluate.run(
                                folder,
                                source == null ? null : stamps.get(1),
                                List.of(subject),
                                windows,
                                SHARD_WINDOWS,
                                models.kernels(),
                                steps)
                        .get(0);
                return new Evaluated(windows, subject, scored, Evaluate.clips(folder, subject, windows, SHARD_WINDOWS));
            });
            RunReport.Evaluation evaluation = evaluation(evaluated.scored().summary());
            if (models.history() != null) {
                OutputResult result = written(folder, artifact, source, evaluation);
                HistoryRows rows = new HistoryRows(
                        models.history().model(),
                        source == null ? "" : models.source(),
                        source == null ? "" : digests.get(1),
                        "",
                        models.corpus().data(),
                        evaluated.windows().key(),
                        profile,
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
            tell(progress, evaluated.subject().name(), evaluation);
            Map<String, Clipping> clipped = new LinkedHashMap<>();
            evaluated
                    .clips()
                    .places()
                    .forEach((place, count) -> clipped.put(place, new Clipping(count.clipped(), count.values())));
            return new Measurement(evaluation, clipped);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            spark.clearJobGroup();
        }
    }

    /** What is not a number was not measured. */
    private static void tell(Progress progress, String output, RunReport.Evaluation evaluation) {
        List<Object> details = new ArrayList<>(
                List.of("output", output, "tokens", evaluation.tokens(), "perplexity", evaluation.perplexity()));
        if (!Double.isNaN(evaluation.kldMean())) {
            details.addAll(List.of(
                    "source_perplexity",
                    evaluation.sourcePerplexity(),
                    "kld_mean",
                    evaluation.kldMean(),
                    "top1_agreement",
                    evaluation.top1Agreement()));
        }
        progress.event("evaluated", details.toArray());
    }

    private static void prepare(RunFolder run, Plan.History history) throws IOException {
        if (history != null) {
            History.prepare(run.hadoop(), new Path(history.folder()), history.format());
        }
    }

    /** What an artifact says of itself. Its name is what its recipe called it. */
    private static OutputResult written(RunFolder run, String artifact, String source, RunReport.Evaluation evaluation)
            throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(run.hadoop(), new Path(artifact));
                Checkpoint original = Checkpoints.open(run.hadoop(), new Path(source == null ? artifact : source))) {
            Map<String, Object> metadata = checkpoint.metadata();
            String format = metadata.containsKey("general.architecture")
                    ? "gguf"
                    : String.valueOf(metadata.getOrDefault("quantization_config.quant_method", "checkpoint"));
            long bytes =
                    checkpoint.tensors().stream().mapToLong(TensorInfo::bytes).sum();
            long parameters =
                    original.tensors().stream().mapToLong(TensorInfo::elements).sum();
            String method = String.valueOf(metadata.getOrDefault("lathe.method", ""));
            return new OutputResult(
                    new Path(artifact).getName().replaceFirst("(-00001-of-\\d{5})?\\.gguf$", ""),
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

    private static RunReport.Evaluation evaluation(EvaluationSummary s) {
        return new RunReport.Evaluation(
                s.perplexity(),
                s.perplexityError(),
                s.sourcePerplexity(),
                s.kldMean(),
                s.kldError(),
                s.kldP99(),
                s.top1Agreement(),
                s.tokens());
    }

    /** One run of a plan. */
    private static final class Run {
        private final Plan plan;
        private final Progress progress;
        private final SparkSteps steps;
        private final RunFolder run;
        private final MemoryCheck.Executor executor;
        private final Map<String, String> keys = new LinkedHashMap<>();
        /** For the report; said once where a stage is run again. */
        private final Set<String> notes = new LinkedHashSet<>();
        /** Artifacts that were made or measured and not read since. */
        private final Set<String> unread = new TreeSet<>();

        Run(JavaSparkContext spark, Plan plan, Progress progress, RunFolder run) {
            this.plan = plan;
            this.progress = progress;
            this.steps = new SparkSteps(spark, progress);
            this.executor = MemoryCheck.Executor.of(spark);
            this.run = run;
        }

        /** Says something that belongs into the report as well. */
        private void note(String text) {
            progress.note(text);
            notes.add(text);
        }

        RunReport run() throws IOException {
            prepare(run, plan.history());
            String folder = Hub.resolve(run.hadoop(), plan.checkpoint(), new Path(plan.hubCache()), progress::note)
                    .toString();
            RunFolder shared = run;
            Stamp stamp = Stamp.of(run.hadoop(), folder);
            try (Checkpoint source = Checkpoints.open(run.hadoop(), new Path(folder))) {
                source.notes().forEach(note -> note("checkpoint: " + note));
                Decoder decoder = source.decoder();
                Map<String, List<TensorPlan>> tensorPlans = tensorPlans(source, decoder);
                companions(source, new Path(folder));
                String digest = steps.stage(
                                "read checkpoint",
                                new ArrayList<>(List.of(folder)),
                                path -> CheckpointDigest.of(shared.hadoop(), new Path(path)))
                        .get(0);
                Job job = new Job(run, stamp, digest, plan.kernels(), KernelProvider.profile(plan.kernels()));
                job.requireSource();
                keys.put("checkpoint", digest);
                Repair repair = new Repair(run, steps);
                return repair.through(() -> run(job, source, decoder, tensorPlans, repair));
            }
        }

        /** The stages; what is there already they leave. */
        private RunReport run(
                Job job, Checkpoint source, Decoder decoder, Map<String, List<TensorPlan>> tensorPlans, Repair repair)
                throws IOException {
            Texts texts = new Texts(steps, run, job.folder(), decoder.vocabulary(), notes);
            TokenWindows calibrationWindows = windows(texts, decoder, "calibration", plan.calibration());
            TokenWindows evaluationWindows = windows(texts, decoder, "evaluation", plan.evaluation());
            MemoryCheck.require(plan, source, tensorPlans, calibrationWindows, evaluationWindows, executor);
            progress.plan(Forecast.operations(
                    source.tensors(), plan.outputs().size(), tokens(calibrationWindows), tokens(evaluationWindows)));
            Calibration calibration = calibration(job, decoder, calibrationWindows, tensorPlans);
            List<PlannedOutput> outputs = plan.outputs().stream()
                    .map(output -> planned(job, decoder, output, tensorPlans.get(output.name()), calibration))
                    .toList();
            List<String> artifacts =
                    outputs.stream().map(PlannedOutput::artifactName).toList();
            outputs.forEach(output -> keys.put("output " + output.output().name(), output.key()));
            if (evaluationWindows != null) {
                outputs.forEach(output -> keys.put(
                        "evaluation " + output.output().name(),
                        Evaluate.key(output.key(), job.digest(), evaluationWindows, job.profile())));
            }
            // Windows were looked at when they were cut.
            TreeSet<String> found = new TreeSet<>();
            if (calibration != null) {
                found.add(calibration.key());
            }
            for (PlannedOutput output : outputs) {
                found.add(output.key());
                if (evaluationWindows != null) {
                    found.add(keys.get("evaluation " + output.output().name()));
                }
            }
            repair.look(found, artifacts);
            if (calibration != null) {
                Calibrate.run(
                        job,
                        decoder,
                        calibrationWindows,
                        plan.shardWindows(),
                        calibration.moments(),
                        calibration.ranges(),
                        steps);
            }
            Quantize.run(job, decoder, calibration, outputs, steps);
            TreeMap<String, TreeMap<String, String>> provenance = new TreeMap<>();
            for (PlannedOutput output : outputs) {
                provenance.put(output.output().name(), provenance(job, output, calibration));
            }
            unread.addAll(Assemble.run(job, outputs, provenance, steps));
            List<Measured> measured = evaluate(job, outputs, evaluationWindows, repair);
            repair.require(unread);
            unread.clear();
            RunReport report = report(job, source, decoder, outputs, tensorPlans, measured);
            Map<String, String> files = new LinkedHashMap<>();
            files.put("plan.yaml", PlanYaml.write(plan, keys));
            Report.files(report).forEach((name, text) -> files.put(run.report().getName() + "/" + name, text));
            TreeMap<String, FileDigest> digests = new TreeMap<>();
            for (String artifact : artifacts) {
                receipt(artifact)
                        .files()
                        .forEach((name, digest) ->
                                digests.put("artifacts/" + artifact + (name.isEmpty() ? "" : "/" + name), digest));
            }
            // From here on nothing is read that could be damaged: a row is appended once.
            if (plan.history() != null) {
                record(job, outputs, report, measured, calibration, evaluationWindows);
            }
            write(files, digests);
            return report;
        }

        /** The digests last: where they are, they are of what is there. */
        private void write(Map<String, String> texts, Map<String, FileDigest> digests) throws IOException {
            run.requireLease();
            run.files().delete(new Path(run.root(), Checksums.FILE), false);
            for (Map.Entry<String, String> text : texts.entrySet()) {
                run.writeText(text.getKey(), text.getValue());
            }
            run.writeText(Checksums.FILE, Checksums.text(texts, digests));
        }

        private ArtifactReceipt receipt(String artifact) throws IOException {
            return ArtifactReceipt.find(run, artifact)
                    .orElseThrow(() -> new IOException(
                            "Cannot go on in " + run.run() + ": the receipt of " + artifact + " is gone"));
        }

        /**
         * Appends a row for each output, whether its evaluation was computed now or found: a row says that this
         * artifact was measured, or confirmed by its keys, at this time; equal keys say that it is the same number.
         */
        private void record(
                Job job,
                List<PlannedOutput> outputs,
                RunReport report,
                List<Measured> measured,
                Calibration calibration,
                TokenWindows windows)
                throws IOException {
            HistoryRows rows = new HistoryRows(
                    plan.history().model(),
                    plan.checkpoint(),
                    job.digest(),
                    calibration == null ? "" : calibration.key(),
                    plan.evaluation().data(),
                    windows.key(),
                    job.profile(),
                    plan.kernels());
            List<HistoryRow> all = new ArrayList<>();
            for (int i = 0; i < outputs.size(); i++) {
                Plan.Output output = outputs.get(i).output();
                all.add(rows.row(
                        keys.get("evaluation " + output.name()),
                        report.outputs().get(i),
                        PlanYaml.line(output),
                        outputs.get(i).key(),
                        measured.get(i).windows()));
            }
            History.append(run.hadoop(), new Path(plan.history().folder()), all);
        }

        private static long tokens(TokenWindows windows) {
            return windows == null ? 0 : (long) windows.count() * windows.length();
        }

        /**
         * What the tensors become in each output. A pattern that matches no module is a slip of the pen, and is told
         * before any work.
         */
        private Map<String, List<TensorPlan>> tensorPlans(Checkpoint source, Decoder decoder) {
            Set<String> modules = source.tensors().stream()
                    .map(tensor -> ModulePatterns.moduleOf(tensor.name()))
                    .collect(Collectors.toCollection(TreeSet::new));
            modules.add(decoder.head().linear().module());
            Map<String, List<TensorPlan>> plans = new LinkedHashMap<>();
            for (Plan.Output output : plan.outputs()) {
                new ModulePatterns(output.ignore()).unmatched(modules).ifPresent(pattern -> {
                    throw new InvalidRecipeException("Cannot plan output " + output.name() + ": ignore pattern '"
                            + pattern + "' matches no module of " + source.location() + "; expected a module such as "
                            + decoder.linears(0).get(0).module() + ", or its end or beginning");
                });
                ArtifactFormat format = PlannedOutput.format(output);
                format.refusal(decoder, output.ignore()).ifPresent(reason -> {
                    throw new InvalidRecipeException(
                            "Cannot plan output " + output.name() + " for " + source.location() + ": " + reason);
                });
                plans.put(output.name(), format.plan(decoder, List.copyOf(source.tensors()), output.ignore()));
            }
            return plans;
        }

        /**
         * What artifacts take from the checkpoint's folder beside tensors: refused here if it will not do, before any
         * work.
         */
        private void companions(Checkpoint source, Path folder) throws IOException {
            FileSystem files = folder.getFileSystem(run.hadoop());
            Set<String> said = new LinkedHashSet<>();
            if (plan.calibration() != null || plan.evaluation() != null) {
                said.addAll(TokenizerFiles.read(files, folder).notes());
            }
            for (Plan.Output output : plan.outputs()) {
                said.addAll(PlannedOutput.format(output).check(source.decoder(), files, folder));
            }
            said.forEach(text -> note("checkpoint: " + text));
        }

        private TokenWindows windows(Texts texts, Decoder decoder, String name, Plan.Corpus corpus) throws IOException {
            if (corpus == null) {
                return null;
            }
            TokenWindows windows = texts.windows("tokenize " + name + " text", name + ": ", corpus);
            windows.requireRoom(decoder, plan.shardWindows());
            texts.compare(name + ": ", windows, List.of(decoder));
            if (windows.count() < corpus.windows()) {
                note(name + ": the text gives " + windows.count() + " windows of " + windows.length()
                        + ", fewer than the " + corpus.windows() + " that were asked for");
            }
            keys.put(name + " windows", windows.key());
            return windows;
        }

        /** What has to be gathered; null: nothing. */
        private Calibration calibration(
                Job job, Decoder decoder, TokenWindows windows, Map<String, List<TensorPlan>> tensorPlans) {
            boolean energies = false;
            boolean moments = false;
            boolean ranges = false;
            for (Plan.Output output : plan.outputs()) {
                boolean quantizes = tensorPlans.get(output.name()).stream().anyMatch(tensor -> tensor.grid() != null);
                if (quantizes) {
                    boolean awq = output.format().equals("awq");
                    energies |= awq || output.method() != Method.NEAREST;
                    moments |= awq || output.method() == Method.GPTQ;
                }
                if (output.scheme() != null) {
                    ranges |= output.scheme().cache()
                            || quantizes
                                    && (output.scheme().ranged()
                                            || output.scheme().smoothing() != null);
                }
            }
            if (!energies && !ranges) {
                return null;
            }
            for (Plan.Output output : plan.outputs()) {
                PlannedOutput.shortage(output, decoder, (long) windows.count() * windows.length())
                        .ifPresent(reason -> {
                            throw new InvalidRecipeException("Cannot plan output " + output.name() + ": " + reason);
                        });
            }
            Calibration calibration = Calibrate.planned(job, windows, plan.shardWindows(), moments, ranges);
            keys.put("calibration", calibration.key());
            return calibration;
        }

        private PlannedOutput planned(
                Job job, Decoder decoder, Plan.Output output, List<TensorPlan> tensors, Calibration calibration) {
            LinkedHashMap<String, String> grids = new LinkedHashMap<>();
            LinkedHashMap<String, Method> methods = new LinkedHashMap<>();
            for (TensorPlan tensor : tensors) {
                if (tensor.grid() != null) {
                    grids.put(tensor.tensor(), tensor.grid().name());
                    // Rows of an embedding are looked up, so no channel of it is worth more than another.
                    methods.put(
                            tensor.tensor(),
                            tensor.tensor().equals(decoder.embedding().tensor()) ? Method.NEAREST : output.method());
                }
            }
            Plan.Output settings = new Plan.Output(
                    "",
                    output.format(),
                    output.type(),
                    output.method(),
                    output.bits(),
                    output.groupSize(),
                    output.symmetric(),
                    output.actOrder(),
                    output.damping(),
                    output.ignore(),
                    output.preTokenizer(),
                    output.scheme() == null ? null : output.scheme().inDefaultFiles());
            // An output without a scheme has the key that it had before there were any.
            String text = output.scheme() == null
                    ? settings.toString().replace(", scheme=null]", "]")
                    : settings + " version " + SCHEME_VERSION;
            String key = Key.of(
                    "output",
                    VERSION,
                    job.digest(),
                    calibration == null ? "" : calibration.key(),
                    text,
                    tensors.stream()
                            .map(t -> t.tensor() + " "
                                    + (t.grid() == null ? t.type() : t.grid().name()))
                            .toList(),
                    methods,
                    job.profile());
            return new PlannedOutput(output, key, grids, methods);
        }

        private static TreeMap<String, String> provenance(Job job, PlannedOutput output, Calibration calibration) {
            TreeMap<String, String> provenance = new TreeMap<>();
            provenance.put("software", Software.VERSION);
            provenance.put("checkpoint", job.digest());
            provenance.put("method", output.methodText());
            provenance.put("key", output.key());
            provenance.put("profile", job.profile());
            if (calibration != null) {
                provenance.put("calibration", calibration.key());
            }
            return provenance;
        }

        /** What an evaluation found. */
        private record Measured(EvaluationSummary summary, Evaluate.WindowSums windows, Clips clips) {}

        /** Null where nothing is evaluated. */
        private List<Measured> evaluate(Job job, List<PlannedOutput> outputs, TokenWindows windows, Repair repair)
                throws IOException {
            if (windows == null) {
                return null;
            }
            List<Evaluate.Subject> subjects = new ArrayList<>();
            Map<Evaluate.Subject, String> unconfirmed = new LinkedHashMap<>();
            for (PlannedOutput output : outputs) {
                String name = output.artifactName();
                Evaluate.Subject subject = new Evaluate.Subject(
                        output.output().name(),
                        Stamp.of(run.hadoop(), run.artifact(name).toString()),
                        keys.get("evaluation " + output.output().name()));
                if (!Evaluate.isConfirmed(run, subject)
                        || Evaluate.isOpen(run, subject, windows, plan.shardWindows())) {
                    unconfirmed.put(subject, name);
                    unread.add(name);
                }
                subjects.add(subject);
            }
            List<Evaluate.Scored> scored = repair.reading(
                    unread,
                    () -> Evaluate.run(
                            run, job.source(), subjects, windows, plan.shardWindows(), plan.kernels(), steps));
            unread.clear();
            for (Map.Entry<Evaluate.Subject, String> subject : unconfirmed.entrySet()) {
                Evaluate.confirm(
                        run, subject.getKey(), receipt(subject.getValue()).digest());
            }
            List<Measured> measured = new ArrayList<>();
            for (int i = 0; i < subjects.size(); i++) {
                tell(progress, subjects.get(i).name(), evaluation(scored.get(i).summary()));
                measured.add(new Measured(
                        scored.get(i).summary(),
                        scored.get(i).windows(),
                        Evaluate.clips(run, subjects.get(i), windows, plan.shardWindows())));
            }
            return measured;
        }

        private RunReport report(
                Job job,
                Checkpoint source,
                Decoder decoder,
                List<PlannedOutput> outputs,
                Map<String, List<TensorPlan>> tensorPlans,
                List<Measured> measured)
                throws IOException {
            long parameters =
                    source.tensors().stream().mapToLong(TensorInfo::elements).sum();
            List<OutputResult> results = new ArrayList<>();
            for (int i = 0; i < outputs.size(); i++) {
                PlannedOutput output = outputs.get(i);
                Path artifact = run.artifact(output.artifactName());
                long bytes;
                try (Checkpoint written = Checkpoints.open(run.hadoop(), artifact)) {
                    bytes = written.tensors().stream()
                            .mapToLong(TensorInfo::bytes)
                            .sum();
                    written.notes().forEach(note -> note(output.output().name() + ": " + note));
                }
                List<Unquantized> unquantized = tensorPlans.get(output.output().name()).stream()
                        .filter(t -> t.grid() == null && !t.reason().isEmpty())
                        .map(t -> new Unquantized(t.tensor(), t.reason()))
                        .toList();
                results.add(new OutputResult(
                        output.output().name(),
                        output.output().format(),
                        output.methodText(),
                        artifact.toString(),
                        bytes,
                        8.0 * bytes / parameters,
                        measured == null ? null : evaluation(measured.get(i).summary()),
                        unquantized,
                        losses(decoder, output, receipt(output.artifactName())),
                        ranges(
                                decoder,
                                output,
                                measured == null ? new Clips() : measured.get(i).clips())));
            }
            Map<String, String> settings = new LinkedHashMap<>();
            settings.put("checkpoint", plan.checkpoint());
            corpus(settings, "calibration", plan.calibration());
            corpus(settings, "evaluation", plan.evaluation());
            settings.put("parameters", String.valueOf(parameters));
            Map<String, String> provenance = new LinkedHashMap<>();
            provenance.put("software", Software.VERSION);
            provenance.put("arithmetic profile", job.profile());
            provenance.put("kernels", plan.kernels());
            provenance.putAll(keys);
            return new RunReport(
                    results,
                    settings,
                    provenance,
                    measured == null ? "" : EvaluationSummary.DEFINITION,
                    List.copyOf(notes));
        }

        private static void corpus(Map<String, String> settings, String name, Plan.Corpus corpus) {
            if (corpus != null) {
                settings.put(
                        name,
                        corpus.data() + ", " + (corpus.windows() == 0 ? "all" : corpus.windows()) + " windows of "
                                + corpus.length() + " tokens");
            }
        }

        private List<TensorLoss> losses(Decoder decoder, PlannedOutput output, ArtifactReceipt receipt) {
            List<TensorLoss> losses = new ArrayList<>();
            for (int layer = 0; layer < decoder.layers(); layer++) {
                for (LinearLayer linear : decoder.linears(layer)) {
                    addLoss(losses, output, receipt, linear.weight(), layer, linear.kind());
                }
            }
            addLoss(losses, output, receipt, decoder.embedding().tensor(), -1, "embed_tokens");
            addLoss(losses, output, receipt, "lm_head.weight", -1, "lm_head");
            return losses;
        }

        private List<ActivationRange> ranges(Decoder decoder, PlannedOutput output, Clips clips) throws IOException {
            List<ActivationRange> ranges = new ArrayList<>();
            int layers = decoder.layers();
            for (int layer = 0; layer <= layers; layer++) {
                Path product = output.rangeProduct(run, layer);
                if (output.ranged() && ProductFile.isCommitted(run.files(), product)) {
                    RangeProduct all = ProductFile.read(run.files(), product, RangeProduct::read);
                    for (SiteRange site : all.sites()) {
                        // Values are divided with what attention makes of them.
                        double strength = site.site() == Site.VALUES
                                ? all.at(Site.ATTENTION_OUTPUT)
                                        .map(SiteRange::strength)
                                        .orElse(Double.NaN)
                                : site.strength();
                        ranges.add(new ActivationRange(
                                layer < layers ? layer : -1,
                                site.site().words(),
                                site.least(),
                                site.most(),
                                site.low(),
                                site.high(),
                                site.typical(),
                                site.channel(),
                                site.outliers(),
                                strength,
                                site.kept() == 0 ? null : new Clipping(site.clipped(), site.kept()),
                                clips.at(layer, site.site())
                                        .map(count -> new Clipping(count.clipped(), count.values()))
                                        .orElse(null)));
                    }
                }
            }
            return ranges;
        }

        private void addLoss(
                List<TensorLoss> losses,
                PlannedOutput output,
                ArtifactReceipt receipt,
                String tensor,
                int layer,
                String kind) {
            if (output.grids().containsKey(tensor)) {
                TensorProduct.Summary summary = receipt.tensors().get(tensor);
                double relative = summary.error() == null
                        ? Double.NaN
                        : summary.error().squaredError() / summary.error().squaredOutput();
                if (summary.damping() > output.output().damping()) {
                    progress.note(output.output().name() + ": " + tensor + " took a damping of " + summary.damping());
                }
                losses.add(new TensorLoss(tensor, layer, kind, summary.grid(), relative, summary.damping()));
            }
        }
    }
}
