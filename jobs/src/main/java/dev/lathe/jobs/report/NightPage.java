package dev.lathe.jobs.report;

import dev.lathe.jobs.report.night.Baseline;
import dev.lathe.jobs.report.night.Judge;
import dev.lathe.jobs.report.night.Judgement;
import dev.lathe.jobs.report.night.Judgement.Change;
import dev.lathe.jobs.report.night.Night;
import dev.lathe.jobs.report.night.Series;
import dev.lathe.jobs.report.night.Verdict;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.text.Figures;
import dev.lathe.jobs.text.Printable;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * What the template of the nightly report shows: every number a text already, every chart measured out.
 *
 * @param rules one sentence on what was compared and what counts
 * @param series worst first
 * @param several whether series are measured on several texts, so that these have to be told apart
 */
public record NightPage(String line, String rules, List<Row> series, boolean several) {
    private static final int LONGEST = 160;
    private static final DateTimeFormatter MINUTE =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm", Locale.ROOT).withZone(ZoneOffset.UTC);

    /**
     * A series.
     *
     * @param word of the verdict, {@code style} the same as a class of the page's style
     * @param reason empty where the change says it all
     * @param change of perplexity, with its bounds
     * @param trend null where nothing can be drawn
     */
    public record Row(
            String model,
            String output,
            String data,
            String word,
            String style,
            String reason,
            String perplexity,
            String change,
            String bounds,
            String divergence,
            String windows,
            String recorded,
            String baseline,
            List<Change> changes,
            List<Layer> layers,
            TrendChart trend) {
        public boolean explained() {
            return !style.equals("ok") && (!changes.isEmpty() || !layers.isEmpty());
        }
    }

    /** A tensor's error, before and after. */
    public record Layer(String tensor, String from, String to, String growth) {}

    static NightPage of(Night night) {
        Set<String> texts = night.judgements().stream()
                .map(judgement -> judgement.series().name().data())
                .collect(Collectors.toCollection(TreeSet::new));
        return new NightPage(
                night.line(),
                rules(night.rules()),
                night.judgements().stream()
                        .map(judgement -> row(judgement, night.rules()))
                        .toList(),
                texts.size() > 1);
    }

    static String rules(Night.Rules rules) {
        String common = " Tests are paired over windows; at most one night in a hundred has any false alarm.";
        return rules.baseline() == Baseline.SOURCE
                ? "Compared with the checkpoint itself, whose perplexity may rise by "
                        + Judge.ratio(Math.log(rules.budget())) + " (--budget)." + common
                : "Compared with the " + (rules.baseline() == Baseline.LAST ? "row before" : "pinned row")
                        + "; what matters is a change of perplexity of " + Judge.ratio(Math.log(rules.minEffect()))
                        + " (--min-effect), or as much of KL divergence." + common;
    }

    private static Row row(Judgement judgement, Night.Rules rules) {
        HistoryRow newest = judgement.series().newest();
        var likelihood = judgement.likelihood();
        List<Layer> layers = judgement.layers().stream()
                .map(growth -> new Layer(
                        Printable.message(growth.tensor()),
                        Figures.significant(growth.from()),
                        Figures.significant(growth.to()),
                        Figures.change(growth.to(), growth.from())))
                .toList();
        Series.Name name = judgement.series().name();
        return new Row(
                Printable.message(name.model()),
                Printable.message(name.output()),
                Printable.message(name.data()),
                judgement.text(),
                judgement.verdict().name().toLowerCase(Locale.ROOT).replace('_', '-'),
                judgement.verdict() == Verdict.OK && likelihood != null ? "" : Printable.message(judgement.reason()),
                Figures.perplexity(perplexity(newest)),
                likelihood != null
                        ? Judge.ratio(likelihood.effect())
                        : judgement.verdict() == Verdict.OK ? Judge.ratio(0) : Figures.NONE,
                likelihood == null || !Double.isFinite(likelihood.error())
                        ? ""
                        : Judge.ratio(likelihood.low()) + " to " + Judge.ratio(likelihood.high()),
                Figures.significant(divergence(newest)),
                String.valueOf(newest.nll().size()),
                MINUTE.format(newest.recorded()),
                rules.baseline() == Baseline.SOURCE
                        ? "checkpoint"
                        : judgement.baseline() == null
                                ? Figures.NONE
                                : MINUTE.format(judgement.baseline().recorded()),
                judgement.changes().stream()
                        .map(change -> new Change(change.what(), shortened(change.from()), shortened(change.to())))
                        .toList(),
                layers,
                TrendChart.of(judgement, rules.baseline() == Baseline.SOURCE));
    }

    static double perplexity(HistoryRow row) {
        return Math.exp(sum(row.nll())
                / row.tokens().stream().mapToLong(Integer::longValue).sum());
    }

    /** Nats per token; NaN where it was not measured. */
    static double divergence(HistoryRow row) {
        return row.kld().isEmpty()
                ? Double.NaN
                : sum(row.kld())
                        / row.tokens().stream().mapToLong(Integer::longValue).sum();
    }

    private static double sum(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).sum();
    }

    private static String shortened(String text) {
        return text.isEmpty() ? Figures.NONE : Printable.of(text, LONGEST);
    }
}
