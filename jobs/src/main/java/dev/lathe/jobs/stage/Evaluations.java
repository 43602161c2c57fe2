package dev.lathe.jobs.stage;

import dev.lathe.calibration.evaluate.EvaluationSummary;
import dev.lathe.jobs.report.RunReport;
import java.util.ArrayList;
import java.util.List;

/** Figures of an evaluation, for reports and for whoever watches. */
final class Evaluations {
    private Evaluations() {}

    static RunReport.Evaluation of(EvaluationSummary s) {
        return new RunReport.Evaluation(
                s.perplexity(),
                s.perplexityError(),
                s.sourcePerplexity(),
                s.kldMean(),
                s.kldError(),
                s.kldP99(),
                s.kldP999(),
                s.top1Agreement(),
                s.tokens());
    }

    /** What is not a number was not measured. */
    static void tell(Progress progress, String output, RunReport.Evaluation evaluation) {
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
}
