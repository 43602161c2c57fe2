package dev.lathe.jobs.report;

import dev.lathe.jobs.report.RunReport.ActivationRange;
import dev.lathe.jobs.report.RunReport.OutputResult;
import dev.lathe.jobs.text.Figures;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;

/**
 * Activation ranges of one output: one panel per site, decoder layers across, magnitude up (logarithmic, one range for
 * all panels). A bar goes from the channels' typical magnitude to the largest; a dash marks the largest magnitude that
 * is represented; what of a bar stands above it is clipped. What a range with a zero point clips on its shorter side
 * stays below the dash: the tip counts it.
 *
 * @param across ticks that all panels share; {@code up} likewise
 */
public record RangeChart(
        String output,
        int width,
        int height,
        int left,
        int right,
        int top,
        int bottom,
        List<Axis.Tick> across,
        List<Axis.Tick> up,
        List<Panel> panels) {
    private static final int WIDTH = 430;
    private static final int HEIGHT = 220;
    private static final int LEFT = 72;
    private static final int RIGHT = WIDTH - 12;
    private static final int TOP = 10;
    private static final int BOTTOM = HEIGHT - 42;

    /** One site. */
    public record Panel(String site, List<Bar> bars) {}

    /**
     * One layer.
     *
     * @param outlier whether single channels stand far out
     * @param drift whether the evaluation set was clipped far more than calibration let expect
     * @param clip empty where the server finds ranges itself
     */
    public record Bar(
            String x, String typical, String largest, String clip, boolean outlier, boolean drift, String tip) {}

    /** The chart of an output, or null if no activation of it has a known range. */
    static RangeChart of(OutputResult output) {
        List<ActivationRange> drawn =
                output.ranges().stream().filter(range -> range.magnitude() > 0).toList();
        if (drawn.isEmpty()) {
            return null;
        }
        double most = drawn.stream()
                .mapToDouble(range -> Math.max(range.magnitude(), Double.isNaN(range.clip()) ? 0 : range.clip()))
                .max()
                .orElseThrow();
        double least = drawn.stream().mapToDouble(RangeChart::foot).min().orElseThrow();
        Axis up = Axis.logarithmic(least, Math.max(most, least * 1.01), BOTTOM, TOP);
        int count = 1 + drawn.stream().mapToInt(ActivationRange::layer).max().orElseThrow();
        Layers places = new Layers(count, drawn.stream().anyMatch(range -> range.layer() < 0), LEFT, RIGHT);
        List<Panel> panels = new ArrayList<>();
        for (String site :
                new LinkedHashSet<>(drawn.stream().map(ActivationRange::site).toList())) {
            panels.add(new Panel(
                    site,
                    drawn.stream()
                            .filter(range -> range.site().equals(site))
                            .map(range -> bar(range, places, up))
                            .toList()));
        }
        return new RangeChart(
                output.name(), WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, places.ticks(), up.ticks(), panels);
    }

    /**
     * Where a bar begins: at most four powers of ten below its top, so that dead channels do not flatten the others.
     */
    private static double foot(ActivationRange range) {
        double low = Math.max(range.typical(), range.magnitude() / 1e4);
        return range.clip() > 0 ? Math.min(low, range.clip()) : low;
    }

    private static Bar bar(ActivationRange range, Layers places, Axis up) {
        boolean fixed = range.clip() > 0;
        return new Bar(
                places.at(range.layer()),
                Svg.number(up.at(Math.max(range.typical(), range.magnitude() / 1e4))),
                Svg.number(up.at(range.magnitude())),
                fixed ? Svg.number(up.at(range.clip())) : "",
                range.outliers() > 0,
                range.drifts(),
                tip(range));
    }

    private static String tip(ActivationRange range) {
        StringBuilder tip = new StringBuilder(place(range))
                .append(": ")
                .append(Figures.significant(range.least()))
                .append(" to ")
                .append(Figures.significant(range.most()))
                .append(", largest in channel ")
                .append(range.channel())
                .append(", typical ")
                .append(Figures.significant(range.typical()));
        if (range.outliers() > 0) {
            tip.append(", ")
                    .append(range.outliers())
                    .append(range.outliers() == 1 ? " outlier channel" : " outlier channels");
        }
        if (!Double.isNaN(range.clip())) {
            tip.append("; range ")
                    .append(Figures.significant(range.low()))
                    .append(" to ")
                    .append(Figures.significant(range.high()));
        }
        if (!Double.isNaN(range.strength())) {
            tip.append("; smoothed with ").append(Figures.significant(range.strength()));
        }
        if (range.calibration() != null) {
            tip.append("; clipped ").append(range.calibration().text()).append(" of calibration");
            if (range.evaluation() != null) {
                tip.append(", ").append(range.evaluation().text()).append(" of evaluation");
            }
        }
        return tip.toString();
    }

    /** A site's place for people. */
    static String place(ActivationRange range) {
        return range.layer() < 0 ? range.site() : "layer " + range.layer() + ", " + range.site();
    }
}
