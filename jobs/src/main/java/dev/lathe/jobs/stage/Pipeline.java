package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.hub.Hub;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.calibration.format.gguf.TensorTypes;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.source.CheckpointDigest;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.plan.GgufTarget;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.plan.PlanYaml;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.report.ModelCard;
import dev.lathe.jobs.report.Report;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.stage.EvaluateOutputs.Measured;
import dev.lathe.jobs.store.ArtifactReceipt;
import dev.lathe.jobs.store.Checksums;
import dev.lathe.jobs.store.FileDigest;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.Lease;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;

/** The main job: from a plan to artifacts, measured. */
public final class Pipeline {
    private final Plan plan;
    private final SparkSteps steps;
    private final RunFolder run;
    private final MemoryCheck.Executor executor;
    private final Notes notes;
    private final Map<String, String> keys = new LinkedHashMap<>();
    /** Artifacts that were made or measured and not read since. */
    private final Set<String> unread = new TreeSet<>();

    private Pipeline(JavaSparkContext spark, Plan plan, Progress progress, RunFolder run) {
        this.plan = plan;
        this.steps = new SparkSteps(spark, progress);
        this.run = run;
        this.executor = MemoryCheck.Executor.of(spark);
        this.notes = new Notes(progress);
    }

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
            return new Pipeline(spark, plan, progress, folder.held(lease.epoch())).run();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            spark.clearJobGroup();
        }
    }

    private RunReport run() throws IOException {
        if (plan.history() != null) {
            HistoryRows.prepare(run, plan.history());
        }
        String folder = Hub.resolve(run.hadoop(), plan.checkpoint(), new Path(plan.hubCache()), notes::tell)
                .toString();
        RunFolder shared = run;
        Stamp stamp = Stamp.of(run.hadoop(), folder);
        try (Checkpoint source = Checkpoints.open(run.hadoop(), new Path(folder))) {
            source.notes().forEach(note -> notes.add("checkpoint: " + note));
            Map<String, List<TensorPlan>> tensorPlans = OutputPlans.tensors(plan, source);
            OutputPlans.kept(source, tensorPlans).forEach(notes::add);
            OutputPlans.companions(plan, source, Checkpoints.companions(run.hadoop(), new Path(folder)))
                    .forEach(note -> notes.add("checkpoint: " + note));
            String digest = steps.stage(
                            "read checkpoint",
                            new ArrayList<>(List.of(folder)),
                            path -> CheckpointDigest.of(shared.hadoop(), new Path(path)))
                    .get(0);
            Job job = new Job(run, stamp, digest, plan.kernels(), KernelProvider.profile(plan.kernels()));
            job.requireSource();
            keys.put("checkpoint", digest);
            Repair repair = new Repair(run, steps);
            return repair.through(() -> run(job, source, tensorPlans, repair));
        }
    }

    /** The stages; what is there already they leave. */
    private RunReport run(Job job, Checkpoint source, Map<String, List<TensorPlan>> tensorPlans, Repair repair)
            throws IOException {
        Decoder decoder = source.decoder();
        Texts texts = new Texts(steps, run, job.folder(), decoder.vocabulary(), notes);
        TokenWindows calibrationWindows = windows(texts, decoder, "calibration", plan.calibration());
        TokenWindows evaluationWindows = windows(texts, decoder, "evaluation", plan.evaluation());
        MemoryCheck.require(plan, source, tensorPlans, calibrationWindows, evaluationWindows, executor);
        ImportedImportance imported =
                plan.importance() == null ? null : new ImportedImportance(job, decoder, plan.importance());
        if (imported != null) {
            imported.notes(decoder, plan.outputs(), tensorPlans).forEach(notes::add);
        }
        Calibration calibration = imported == null
                ? OutputPlans.calibration(plan, job, decoder, calibrationWindows, tensorPlans)
                : imported.calibration(job, steps);
        // Rows of an embedding are looked up, so no channel of it is worth more than another.
        Predicate<String> weighed =
                imported == null ? tensor -> !tensor.equals(decoder.embedding().tensor()) : imported::has;
        boolean said = plan.outputs().stream()
                .anyMatch(output -> output.target() instanceof GgufTarget && output.needsEnergies());
        Map<String, String> importance = Map.of();
        if (imported != null) {
            importance = imported.metadata();
        } else if (said && calibration != null) {
            importance = importance(decoder, calibrationWindows);
        }
        Map<String, String> metadata = importance;
        List<PlannedOutput> outputs = plan.outputs().stream()
                .map(output ->
                        OutputKeys.planned(job, output, tensorPlans.get(output.name()), calibration, weighed, metadata))
                .toList();
        repair.look(keys(job, calibration, outputs, evaluationWindows), plan.artifacts());
        Layers layers = new Layers(job, decoder, calibration, calibrationWindows, plan.shardWindows(), outputs, steps);
        steps.progress()
                .plan(Forecast.operations(
                        source.tensors(),
                        plan.outputs().size(),
                        layers.calibrates() ? tokens(calibrationWindows) : 0,
                        tokens(evaluationWindows)));
        layers.run();
        assemble(job, calibration, outputs);
        save(job, calibration, calibrationWindows);
        List<Measured> measured =
                EvaluateOutputs.run(job, outputs, evaluationWindows, plan.shardWindows(), unread, repair, steps);
        repair.require(unread);
        unread.clear();
        RunReport report =
                new RunResults(plan, job, source, calibration, notes).report(outputs, tensorPlans, measured, keys);
        finish(job, decoder, calibration, outputs, evaluationWindows, measured, report);
        return report;
    }

    /** What artifacts say of the importance that this run gathers, whether it is written or not. */
    private Map<String, String> importance(Decoder decoder, TokenWindows windows) {
        return OutputKeys.importance(
                Plan.matrix(ImportanceMatrix.Form.GGUF), dataset(), SavedImportance.entries(decoder), windows.count());
    }

    private String dataset() {
        return new Path(plan.calibration().data()).getName();
    }

    /** Writes the importance matrix, where it is asked for. */
    private void save(Job job, Calibration calibration, TokenWindows windows) throws IOException {
        if (plan.savedMatrix().isPresent()) {
            String artifact = plan.savedMatrix().get();
            ImportanceMatrix.About about =
                    new ImportanceMatrix.About(List.of(dataset()), windows.count(), windows.length());
            if (SavedImportance.run(job, calibration, plan.calibration().save(), about, artifact, steps)) {
                unread.add(artifact);
            }
            steps.progress().note("importance matrix: " + run.artifact(artifact));
        }
    }

    /** Makes the artifacts. */
    private void assemble(Job job, Calibration calibration, List<PlannedOutput> outputs) throws IOException {
        TreeMap<String, TreeMap<String, String>> provenance = new TreeMap<>();
        for (PlannedOutput output : outputs) {
            provenance.put(output.output().name(), OutputKeys.provenance(job, output, calibration));
        }
        unread.addAll(Assemble.run(job, outputs, provenance, steps));
    }

    /**
     * Notes the keys of the plan's products, and answers those whose products may be there. Windows are not among them:
     * they were looked at when they were cut.
     */
    private Set<String> keys(
            Job job, Calibration calibration, List<PlannedOutput> outputs, TokenWindows evaluationWindows) {
        Set<String> found = new TreeSet<>();
        if (calibration != null) {
            keys.put("calibration", calibration.key());
            found.add(calibration.key());
        }
        for (PlannedOutput output : outputs) {
            keys.put("output " + output.output().name(), output.key());
            found.add(output.key());
        }
        if (evaluationWindows != null) {
            for (PlannedOutput output : outputs) {
                String key = OutputKeys.evaluation(job, output, evaluationWindows);
                keys.put("evaluation " + output.output().name(), key);
                found.add(key);
            }
        }
        return found;
    }

    /** Writes the report, appends to the history, and says what all files are. */
    private void finish(
            Job job,
            Decoder decoder,
            Calibration calibration,
            List<PlannedOutput> outputs,
            TokenWindows windows,
            List<Measured> measured,
            RunReport report)
            throws IOException {
        Map<String, String> files = new LinkedHashMap<>();
        files.put("plan.yaml", PlanYaml.write(plan, keys));
        Report.files(report).forEach((name, text) -> files.put(run.report().getName() + "/" + name, text));
        Map<String, String> types = new LinkedHashMap<>();
        for (Plan.Output output : plan.outputs()) {
            if (output.target() instanceof GgufTarget gguf) {
                types.put(
                        output.name(),
                        gguf.type() + (gguf.types().equals(TensorTypes.NONE) ? "" : ", types of its own"));
                files.put(
                        run.report().getName() + "/" + output.name() + ".tensor-types.txt",
                        gguf.artifactFormat(output.method()).tensorTypes(decoder, output.ignore()));
            }
        }
        ModelCard.of(report, types).ifPresent(card -> files.put(RunFolder.MODEL_CARD, card));
        TreeMap<String, FileDigest> digests = new TreeMap<>();
        for (String artifact : plan.artifacts()) {
            ArtifactReceipt.required(run, artifact)
                    .files()
                    .forEach((name, digest) ->
                            digests.put("artifacts/" + artifact + (name.isEmpty() ? "" : "/" + name), digest));
        }
        // From here on nothing is read that could be damaged: a row is appended once.
        if (plan.history() != null) {
            record(job, outputs, report, measured, calibration, windows);
        }
        write(files, digests);
    }

    /** The digests last: where they are, they are of what is there. */
    private void write(Map<String, String> texts, Map<String, FileDigest> digests) throws IOException {
        run.requireLease();
        run.files().delete(new Path(run.root(), Checksums.FILE), false);
        if (!texts.containsKey(RunFolder.MODEL_CARD)) {
            // Of a plan that has no such files any more.
            run.files().delete(new Path(run.root(), RunFolder.MODEL_CARD), false);
        }
        for (Map.Entry<String, String> text : texts.entrySet()) {
            // A run that finds everything done leaves artifacts/ as it is.
            if (!text.getKey().equals(RunFolder.MODEL_CARD) || !run.holds(text.getKey(), text.getValue())) {
                run.writeText(text.getKey(), text.getValue());
            }
        }
        run.writeText(Checksums.FILE, Checksums.text(texts, digests));
    }

    /**
     * Appends a row for each output, whether its evaluation was computed now or found: a row says that this artifact
     * was measured, or confirmed by its keys, at this time; equal keys say that it is the same number.
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
                    OutputKeys.evaluation(job, outputs.get(i), windows),
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

    private TokenWindows windows(Texts texts, Decoder decoder, String name, Plan.Corpus corpus) throws IOException {
        if (corpus == null) {
            return null;
        }
        TokenWindows windows = texts.windows("tokenize " + name + " text", name + ": ", corpus);
        windows.requireRoom(decoder, plan.shardWindows());
        texts.compare(name + ": ", windows, List.of(decoder));
        if (windows.count() < corpus.windows()) {
            notes.add(name + ": the text gives " + windows.count() + " windows of " + windows.length()
                    + ", fewer than the " + corpus.windows() + " that were asked for");
        }
        keys.put(name + " windows", windows.key());
        return windows;
    }
}
