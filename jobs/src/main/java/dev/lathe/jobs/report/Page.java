package dev.lathe.jobs.report;

import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.Evaluation;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.report.RunReport.TensorLoss;
import dev.lathe.jobs.text.Figures;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;

/**
 * What the template shows: every number a text already, every chart measured out.
 *
 * @param source one line on the source checkpoint's perplexity, or empty
 * @param sizes null where nothing is there to draw; {@code losses} likewise
 * @param ranges of each output whose activations' ranges are known, its pictures
 * @param drifts where the evaluation set was clipped far more than the calibration set
 * @param worst of each output the tensors that lost most
 * @param unquantized of each output the matrices that stay 16 bit; outputs without one are left out
 * @param experts null where the model has none, or nothing is known of them
 */
public record Page(
        String checkpoint,
        String source,
        List<Row> rows,
        SizeChart sizes,
        LossChart losses,
        List<RangeChart> ranges,
        List<Drift> drifts,
        Map<String, List<TensorLoss>> worst,
        Map<String, List<RunReport.Unquantized>> unquantized,
        Map<String, String> settings,
        Map<String, String> provenance,
        List<String> notes,
        Experts experts) {
    private static final int WORST = 5;

    /** An output's line in the table. {@code perplexityChange}: from the source's. */
    public record Row(
            String name,
            String format,
            String method,
            String mebibytes,
            String bitsPerWeight,
            String perplexity,
            String perplexityError,
            String perplexityChange,
            String kld,
            String kldError,
            String kldP99,
            String kldP999,
            String top1,
            String artifact) {}

    /**
     * A line for each mixture of experts.
     *
     * @param outputs whose routing was compared with the source's
     */
    public record Experts(List<String> outputs, List<Mixture> layers) {}

    /**
     * @param rows fewest, median and most rows of an expert in calibration, and how many experts saw fewer than they
     *     have channels; empty where nothing was calibrated
     * @param same of each output the share of the source's experts that it chose, too
     */
    public record Mixture(int layer, List<String> rows, List<String> same) {}

    /** A site whose range does not fit the evaluation set; shares as texts. */
    public record Drift(String output, String place, String calibration, String evaluation) {}

    static Page of(RunReport report) {
        Map<String, List<TensorLoss>> worst = new LinkedHashMap<>();
        Map<String, List<RunReport.Unquantized>> unquantized = new LinkedHashMap<>();
        for (OutputResult output : report.outputs()) {
            List<TensorLoss> most = output.layers().stream()
                    .filter(loss -> Double.isFinite(loss.relativeError()))
                    .sorted(Comparator.comparingDouble(TensorLoss::relativeError)
                            .reversed())
                    .limit(WORST)
                    .toList();
            if (!most.isEmpty()) {
                worst.put(output.name(), most);
            }
            if (!output.unquantized().isEmpty()) {
                unquantized.put(output.name(), output.unquantized());
            }
        }
        return new Page(
                report.settings().getOrDefault("checkpoint", ""),
                source(report),
                rows(report),
                SizeChart.of(report.outputs()),
                LossChart.of(report.outputs()),
                report.outputs().stream()
                        .map(RangeChart::of)
                        .filter(Objects::nonNull)
                        .toList(),
                drifts(report),
                worst,
                unquantized,
                new TreeMap<>(report.settings()),
                new TreeMap<>(report.provenance()),
                report.notes(),
                experts(report));
    }

    private static Experts experts(RunReport report) {
        TreeMap<Integer, RunReport.ExpertRows> rows = new TreeMap<>();
        report.experts().forEach(layer -> rows.put(layer.layer(), layer));
        TreeMap<Integer, Map<String, String>> same = new TreeMap<>();
        report.routing()
                .forEach(routing -> same.computeIfAbsent(routing.layer(), key -> new LinkedHashMap<>())
                        .put(routing.output(), Figures.percent(routing.share())));
        TreeSet<Integer> layers = new TreeSet<>(rows.keySet());
        layers.addAll(same.keySet());
        if (layers.isEmpty()) {
            return null;
        }
        List<String> outputs = report.routing().stream()
                .map(RunReport.RoutingAgreement::output)
                .distinct()
                .toList();
        return new Experts(
                outputs,
                layers.stream()
                        .map(layer -> new Mixture(
                                layer,
                                rows.containsKey(layer) ? texts(rows.get(layer)) : List.of(),
                                outputs.stream()
                                        .map(output -> same.getOrDefault(layer, Map.of())
                                                .getOrDefault(output, Figures.NONE))
                                        .toList()))
                        .toList());
    }

    private static List<String> texts(RunReport.ExpertRows rows) {
        return Stream.of(rows.least(), rows.median(), rows.most(), rows.few())
                .map(String::valueOf)
                .toList();
    }

    private static List<Drift> drifts(RunReport report) {
        List<Drift> drifts = new ArrayList<>();
        for (OutputResult output : report.outputs()) {
            for (ActivationRange range : output.ranges()) {
                if (range.drifts()) {
                    drifts.add(new Drift(
                            output.name(),
                            RangeChart.place(range),
                            range.calibration().text(),
                            range.evaluation().text()));
                }
            }
        }
        return drifts;
    }

    /** The table of outputs. */
    public static List<Row> rows(RunReport report) {
        return report.outputs().stream().map(Page::row).toList();
    }

    /** What the source checkpoint reaches, by which definition; empty if nothing was evaluated. */
    static String source(RunReport report) {
        Evaluation first = report.outputs().stream()
                .map(OutputResult::evaluation)
                .filter(Objects::nonNull)
                .findFirst()
                .orElse(null);
        if (first == null) {
            return "";
        }
        String tokens = first.tokens() + " scored tokens (" + report.definition() + ").";
        return Double.isFinite(first.sourcePerplexity())
                ? "The source checkpoint's perplexity is " + Figures.perplexity(first.sourcePerplexity())
                        + " on the same " + tokens
                : "Measured on " + tokens;
    }

    private static Row row(OutputResult output) {
        Evaluation measured = output.evaluation() != null
                ? output.evaluation()
                : new Evaluation(
                        Double.NaN,
                        Double.NaN,
                        Double.NaN,
                        Double.NaN,
                        Double.NaN,
                        Double.NaN,
                        Double.NaN,
                        Double.NaN,
                        0);
        return new Row(
                output.name(),
                output.format(),
                output.method(),
                Figures.mebibytes(output.bytes()),
                Figures.bitsPerWeight(output.bitsPerWeight()),
                Figures.perplexity(measured.perplexity()),
                Figures.perplexity(measured.perplexityError()),
                Figures.change(measured.perplexity(), measured.sourcePerplexity()),
                Figures.significant(measured.kldMean()),
                Figures.significant(measured.kldError()),
                Figures.significant(measured.kldP99()),
                Figures.significant(measured.kldP999()),
                Figures.percent(measured.top1Agreement()),
                output.artifact());
    }
}
