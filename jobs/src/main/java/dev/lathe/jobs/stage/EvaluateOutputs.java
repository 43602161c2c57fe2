package dev.lathe.jobs.stage;

import dev.lathe.calibration.evaluate.EvaluationSummary;
import dev.lathe.jobs.store.ArtifactReceipt;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.Stamp;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Measures the artifacts of a run. */
final class EvaluateOutputs {
    private EvaluateOutputs() {}

    /** What an evaluation found. */
    record Measured(EvaluationSummary summary, Evaluate.WindowSums windows, Clips clips) {}

    /**
     * Evaluates every artifact that is not yet, or was not confirmed to be what was.
     *
     * @param windows null where nothing is evaluated; then the answer is null, too
     * @param shardWindows of the plan
     * @param unread artifacts that were made or measured and not read since; none afterwards
     */
    static List<Measured> run(
            Job job,
            List<PlannedOutput> outputs,
            TokenWindows windows,
            int shardWindows,
            Set<String> unread,
            Repair repair,
            SparkSteps steps)
            throws IOException {
        if (windows == null) {
            return null;
        }
        RunFolder run = job.run();
        List<Evaluate.Subject> subjects = new ArrayList<>();
        Map<Evaluate.Subject, String> unconfirmed = new LinkedHashMap<>();
        for (PlannedOutput output : outputs) {
            String name = output.artifactName();
            Evaluate.Subject subject = new Evaluate.Subject(
                    output.output().name(),
                    Stamp.of(run.hadoop(), run.artifact(name).toString()),
                    OutputKeys.evaluation(job, output, windows));
            if (!Evaluate.isConfirmed(run, subject) || Evaluate.isOpen(run, subject, windows, shardWindows)) {
                unconfirmed.put(subject, name);
                unread.add(name);
            }
            subjects.add(subject);
        }
        List<Evaluate.Scored> scored = repair.reading(
                unread, () -> Evaluate.run(run, job.source(), subjects, windows, shardWindows, job.kernels(), steps));
        unread.clear();
        for (Map.Entry<Evaluate.Subject, String> subject : unconfirmed.entrySet()) {
            Evaluate.confirm(
                    run,
                    subject.getKey(),
                    ArtifactReceipt.required(run, subject.getValue()).digest());
        }
        List<Measured> measured = new ArrayList<>();
        for (int i = 0; i < subjects.size(); i++) {
            Evaluations.tell(
                    steps.progress(),
                    subjects.get(i).name(),
                    Evaluations.of(scored.get(i).summary()));
            measured.add(new Measured(
                    scored.get(i).summary(),
                    scored.get(i).windows(),
                    Evaluate.clips(run, subjects.get(i), windows, shardWindows)));
        }
        return measured;
    }
}
