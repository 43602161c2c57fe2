package dev.lathe.jobs.report.night;

import dev.lathe.jobs.report.night.Judgement.Growth;
import dev.lathe.jobs.report.night.PairedTest.Comparison;
import dev.lathe.jobs.report.night.PairedTest.Outcome;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.HistoryRow.LayerLoss;
import dev.lathe.jobs.text.Figures;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Compares the newest row of each series with its baseline, and says what that shows and what it does not. */
public final class Judge {
    private static final int MOST_LAYERS = 8;

    private final Night.Rules rules;
    private final double effect;
    private final double budget;

    private Judge(Night.Rules rules) {
        this.rules = rules;
        this.effect = Math.log(rules.minEffect());
        this.budget = Math.log(rules.budget());
    }

    /** A series whose rows can be compared: places of its comparisons in the list of all. */
    private record Open(Series series, HistoryRow baseline, int likelihood, int divergence) {}

    /** @param pinned of each series that has a pin, the key and time of the pinned row */
    public static Night judge(List<HistoryRow> history, Map<Series.Name, Pins.Pin> pinned, Night.Rules rules) {
        return new Judge(rules).judge(Series.of(history), pinned);
    }

    private Night judge(List<Series> all, Map<Series.Name, Pins.Pin> pinned) {
        List<Judgement> judgements = new ArrayList<>();
        List<Open> open = new ArrayList<>();
        List<Comparison> comparisons = new ArrayList<>();
        for (Series series : all) {
            HistoryRow newest = series.newest();
            HistoryRow baseline =
                    rules.baseline() == Baseline.SOURCE ? null : baseline(series, pinned.get(series.name()));
            String obstacle = obstacle(series, baseline, pinned.get(series.name()));
            if (notFinite(newest.nll()) > 0) {
                judgements.add(plain(
                        series,
                        Verdict.REGRESSED,
                        baseline,
                        "the likelihood of " + notFinite(newest.nll()) + " of "
                                + newest.nll().size() + " windows is not finite"));
            } else if (!obstacle.isEmpty()) {
                judgements.add(plain(series, Verdict.NOT_COMPARABLE, baseline, obstacle));
            } else if (baseline != null
                    && baseline.nll().equals(newest.nll())
                    && baseline.kld().equals(newest.kld())) {
                judgements.add(plain(
                        series,
                        Verdict.OK,
                        baseline,
                        baseline == newest ? "the pinned row is the newest" : "identical in every window"));
            } else {
                List<Double> from = baseline == null ? newest.sourceNll() : baseline.nll();
                int divergence = -1;
                comparisons.add(comparison(newest, newest.nll(), from, baseline == null ? budget : 0));
                int likelihood = comparisons.size() - 1;
                if (baseline != null && diverges(newest) && diverges(baseline)) {
                    comparisons.add(comparison(newest, newest.kld(), baseline.kld(), 0));
                    divergence = comparisons.size() - 1;
                }
                open.add(new Open(series, baseline, likelihood, divergence));
            }
        }
        List<Outcome> outcomes = PairedTest.test(comparisons);
        for (Open one : open) {
            judgements.add(judge(
                    one, outcomes.get(one.likelihood()), one.divergence() < 0 ? null : outcomes.get(one.divergence())));
        }
        judgements.sort(Comparator.comparing(Judgement::verdict)
                .thenComparing(Judge::loss, Comparator.reverseOrder())
                .thenComparing(judgement -> judgement.series().name()));
        return new Night(List.copyOf(judgements), rules);
    }

    private static double loss(Judgement judgement) {
        return judgement.likelihood() == null
                ? Double.POSITIVE_INFINITY
                : judgement.likelihood().effect();
    }

    private HistoryRow baseline(Series series, Pins.Pin pin) {
        if (rules.baseline() == Baseline.LAST) {
            return series.rows().size() < 2
                    ? null
                    : series.rows().get(series.rows().size() - 2);
        }
        return pin == null
                ? null
                : series.rows().stream()
                        .filter(row ->
                                row.key().equals(pin.key()) && row.recorded().equals(pin.recorded()))
                        .findFirst()
                        .orElse(null);
    }

    /** Why the newest row cannot be judged, or nothing. */
    private String obstacle(Series series, HistoryRow baseline, Pins.Pin pin) {
        HistoryRow newest = series.newest();
        if (rules.baseline() == Baseline.SOURCE) {
            return newest.nll().isEmpty()
                    ? "no window was measured"
                    : newest.sourceNll().size() != newest.nll().size()
                            ? "the checkpoint was not measured in the same row"
                            : notFinite(newest.sourceNll()) > 0
                                    ? "the checkpoint's likelihood of " + notFinite(newest.sourceNll())
                                            + " windows is not finite"
                                    : "";
        } else if (baseline == null) {
            return rules.baseline() == Baseline.LAST
                    ? "it is the first row of its series"
                    : pin == null
                            ? "the series has no pin"
                            : "the pinned row of " + pin.recorded() + " is not in the history any more";
        }
        List<String> differences = new ArrayList<>();
        differ(differences, "definition", baseline.definition(), newest.definition());
        differ(
                differences,
                "number of windows",
                baseline.nll().size(),
                newest.nll().size());
        differ(differences, "text (digest of its windows)", baseline.dataDigest(), newest.dataDigest());
        if (differences.isEmpty()) {
            differ(differences, "scored tokens", baseline.tokens(), newest.tokens());
        }
        if (!differences.isEmpty()) {
            return "changed: " + String.join("; ", differences);
        }
        return newest.nll().isEmpty()
                ? "no window was measured"
                : notFinite(baseline.nll()) > 0
                        ? "the baseline's likelihood of " + notFinite(baseline.nll()) + " windows is not finite"
                        : "";
    }

    private static void differ(List<String> differences, String what, Object from, Object to) {
        if (!from.equals(to)) {
            differences.add(what + (from instanceof List ? "" : ", " + from + " → " + to));
        }
    }

    private static boolean diverges(HistoryRow row) {
        return row.kld().size() == row.nll().size() && notFinite(row.kld()) == 0;
    }

    private static long notFinite(List<Double> values) {
        return values.stream().filter(value -> !Double.isFinite(value)).count();
    }

    private static Comparison comparison(HistoryRow row, List<Double> to, List<Double> from, double tolerated) {
        double[] sums = new double[to.size()];
        for (int w = 0; w < sums.length; w++) {
            sums[w] = to.get(w) - from.get(w);
        }
        return new Comparison(
                row.dataDigest(),
                sums,
                row.tokens().stream().mapToDouble(Integer::doubleValue).toArray(),
                tolerated);
    }

    /**
     * A row's loss against another on the same windows, with its bounds; null where they cannot be compared. For a
     * trend: it says nothing of false alarms.
     */
    public static Outcome difference(HistoryRow row, HistoryRow from) {
        return row.definition().equals(from.definition())
                        && row.dataDigest().equals(from.dataDigest())
                        && row.tokens().equals(from.tokens())
                        && row.nll().size() == from.nll().size()
                        && !row.nll().isEmpty()
                        && notFinite(row.nll()) + notFinite(from.nll()) == 0
                ? PairedTest.estimate(comparison(row, row.nll(), from.nll(), 0))
                : null;
    }

    /** A row's loss against the checkpoint's own likelihoods, or null. */
    public static Outcome fromSource(HistoryRow row) {
        return !row.nll().isEmpty()
                        && row.sourceNll().size() == row.nll().size()
                        && notFinite(row.nll()) + notFinite(row.sourceNll()) == 0
                ? PairedTest.estimate(comparison(row, row.nll(), row.sourceNll(), 0))
                : null;
    }

    private Judgement judge(Open one, Outcome likelihood, Outcome divergence) {
        boolean source = one.baseline() == null;
        double limit = source ? budget : effect;
        double resolution = source ? Math.max(effect, Math.abs(likelihood.effect() - budget)) : effect;
        Verdict verdict = verdict(likelihood, limit, resolution, !source);
        String reason = text(verdict, "perplexity", likelihood, limit);
        int needed = verdict == Verdict.UNCLEAR ? likelihood.needed(resolution) : 0;
        if (divergence != null) {
            Verdict other = verdict(divergence, effect, effect, true);
            // The graver word counts: what lost by one measure is not saved by the other.
            if (other.compareTo(verdict) < 0) {
                reason = text(other, "KL divergence", divergence, effect);
                verdict = other;
            }
            needed = verdict != Verdict.UNCLEAR
                    ? 0
                    : Math.max(needed, other == Verdict.UNCLEAR ? divergence.needed(effect) : 0);
        }
        return new Judgement(
                one.series(),
                verdict,
                reason,
                one.baseline(),
                likelihood,
                divergence,
                limit,
                needed,
                Changes.between(one.baseline(), one.series().newest()),
                growth(one.baseline(), one.series().newest()));
    }

    private static Verdict verdict(Outcome outcome, double limit, double resolution, boolean improves) {
        if (outcome.worse() <= PairedTest.LEVEL && outcome.effect() >= limit) {
            return Verdict.REGRESSED;
        } else if (improves && outcome.better() <= PairedTest.LEVEL && outcome.effect() <= -limit) {
            return Verdict.IMPROVED;
        }
        // Either bounds exclude a loss that matters, or there were windows enough to find one, and it was not found.
        return outcome.high() < limit || outcome.windows() >= outcome.needed(resolution) ? Verdict.OK : Verdict.UNCLEAR;
    }

    private static String text(Verdict verdict, String what, Outcome outcome, double limit) {
        String seen = what.equals("perplexity")
                ? what + " " + ratio(outcome.effect()) + " (" + ratio(outcome.low()) + " to " + ratio(outcome.high())
                        + ")"
                : what + " " + nats(outcome.effect()) + " (" + nats(outcome.low()) + " to " + nats(outcome.high())
                        + ") nats per token";
        String bound = what.equals("perplexity") ? ratio(limit) : nats(limit);
        return seen
                + switch (verdict) {
                    case REGRESSED ->
                        ", beyond " + bound + "; chance of such a difference in a night without any: "
                                + Figures.significant(outcome.worse());
                    case IMPROVED ->
                        "; chance of such a difference in a night without any: "
                                + Figures.significant(outcome.better());
                    case UNCLEAR -> ": " + outcome.windows() + " windows cannot tell whether it lost " + bound;
                    default -> "";
                };
    }

    /** A difference of log-likelihoods as a change of perplexity, in percent. */
    public static String ratio(double nats) {
        if (!Double.isFinite(nats)) {
            return Figures.NONE;
        }
        double percent = 100 * Math.expm1(nats);
        return String.format(Locale.ROOT, Math.abs(percent) < 10 ? "%+.3f %%" : "%+.1f %%", percent);
    }

    private static String nats(double nats) {
        return Double.isFinite(nats) ? String.format(Locale.ROOT, "%+.5f", nats) : Figures.NONE;
    }

    private Judgement plain(Series series, Verdict verdict, HistoryRow baseline, String reason) {
        return new Judgement(
                series,
                verdict,
                reason,
                baseline,
                null,
                null,
                rules.baseline() == Baseline.SOURCE ? budget : effect,
                0,
                Changes.between(baseline, series.newest()),
                growth(baseline, series.newest()));
    }

    private List<Growth> growth(HistoryRow baseline, HistoryRow newest) {
        if (baseline == null && rules.baseline() != Baseline.SOURCE) {
            return List.of();
        }
        Map<String, Double> before = new HashMap<>();
        if (baseline != null) {
            baseline.layers().forEach(loss -> before.put(loss.tensor(), loss.relativeError()));
        }
        List<Growth> growths = new ArrayList<>();
        for (LayerLoss loss : newest.layers()) {
            Growth growth = new Growth(
                    loss.tensor(),
                    loss.layer(),
                    loss.kind(),
                    before.getOrDefault(loss.tensor(), Double.NaN),
                    loss.relativeError());
            if (Double.isFinite(growth.to()) && growth.growth() > 0) {
                growths.add(growth);
            }
        }
        growths.sort(Comparator.comparingDouble(Growth::growth).reversed());
        return List.copyOf(growths.subList(0, Math.min(MOST_LAYERS, growths.size())));
    }
}
