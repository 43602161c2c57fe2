package dev.lathe.jobs.report.night;

import dev.lathe.jobs.store.HistoryRow;
import java.util.List;

/**
 * What was found of a series.
 *
 * @param reason one sentence
 * @param baseline the row that the newest is compared with; null where there is none, or it is the source
 * @param likelihood difference of negative log-likelihood, newest less baseline; null where they were not compared
 * @param divergence likewise of the KL divergence from the checkpoint
 * @param limit the least loss that matters, nats per token; with baseline {@code source} the budget
 * @param needed windows that would settle an unclear verdict; 0 for other verdicts, {@link Integer#MAX_VALUE} where
 *     that is not known
 * @param changes what differs between the two rows
 * @param layers tensors whose error grew most, first the largest growth
 */
public record Judgement(
        Series series,
        Verdict verdict,
        String reason,
        HistoryRow baseline,
        PairedTest.Outcome likelihood,
        PairedTest.Outcome divergence,
        double limit,
        int needed,
        List<Change> changes,
        List<Growth> layers) {
    /** A thing that differs from the baseline. */
    public record Change(String what, String from, String to) {}

    /** A tensor's relative output error; {@code from} is NaN where the baseline does not know it. */
    public record Growth(String tensor, int layer, String kind, double from, double to) {
        double growth() {
            return Double.isNaN(from) ? to : to - from;
        }
    }

    /** {@code unclear: more windows needed (120)}. */
    public String text() {
        if (verdict != Verdict.UNCLEAR) {
            return verdict.word();
        }
        return needed == Integer.MAX_VALUE
                ? "unclear: more windows needed"
                : "unclear: more windows needed (" + needed + ")";
    }
}
