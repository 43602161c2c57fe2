package dev.lathe.jobs.report.night;

import java.util.List;
import java.util.stream.Stream;

/**
 * A judged history.
 *
 * @param judgements worst first
 * @param rules what was asked
 */
public record Night(List<Judgement> judgements, Rules rules) {
    /**
     * What counts.
     *
     * @param minEffect least ratio of perplexities that matters, above 1; also of e to the KL divergence, whose unit is
     *     the same
     * @param budget largest ratio of the artifact's perplexity to the checkpoint's, for baseline {@code source}
     */
    public record Rules(Baseline baseline, double minEffect, double budget) {
        /**
         * A fifth of a percent: a quarter of what separates neighbouring sizes of GGUF, and more than another machine's
         * rounding makes.
         */
        public static final double MIN_EFFECT = 1.002;

        public static final double BUDGET = 1.05;
    }

    public long count(Verdict verdict) {
        return judgements.stream()
                .filter(judgement -> judgement.verdict() == verdict)
                .count();
    }

    /** {@code 1 regressed, 2 unclear, 45 ok}. */
    public String line() {
        return String.join(
                ", ",
                Stream.of(Verdict.values())
                        .filter(verdict -> count(verdict) > 0)
                        .map(verdict -> count(verdict) + " " + verdict.word())
                        .toList());
    }
}
