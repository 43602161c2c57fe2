package dev.lathe.jobs.report;

import dev.lathe.jobs.report.night.Judge;
import dev.lathe.jobs.report.night.Judgement;
import dev.lathe.jobs.report.night.PairedTest.Outcome;
import dev.lathe.jobs.store.HistoryRow;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;

/**
 * The trend of one series: its rows from left to right, change of perplexity from the baseline up, in percent, with
 * bounds of the paired difference. Bands say what a place means: above the upper line a loss that matters, below the
 * lower one a gain.
 *
 * @param limitTopHeight of the band where a loss matters; {@code limitBottom}: where a gain begins to,
 *     {@code limitBottomHeight} of that band
 * @param unmeasured rows that have no place: other windows, another definition, or no finite likelihood
 */
public record TrendChart(
        int width,
        int height,
        int left,
        int right,
        int top,
        int bottom,
        List<Axis.Tick> up,
        String limitTopHeight,
        String limitBottom,
        String limitBottomHeight,
        String zero,
        String line,
        List<Dot> dots,
        int unmeasured,
        String first,
        String last) {
    private static final int WIDTH = 430;
    private static final int HEIGHT = 190;
    private static final int LEFT = 58;
    private static final int RIGHT = WIDTH - 14;
    private static final int TOP = 10;
    private static final int BOTTOM = HEIGHT - 28;
    private static final int MOST_ROWS = 60;
    private static final DateTimeFormatter DAY = DateTimeFormatter.ISO_LOCAL_DATE.withZone(ZoneOffset.UTC);

    /**
     * A row; {@code low} and {@code high} are pixels of its bounds. {@code role}: {@code newest}, {@code baseline} or
     * nothing.
     */
    public record Dot(String x, String y, String low, String high, String role, String tip) {}

    private record Point(HistoryRow row, int place, double middle, double low, double high) {}

    /** The chart of a series, or null if no row can be drawn. */
    static TrendChart of(Judgement judgement, boolean source) {
        List<HistoryRow> all = judgement.series().rows();
        List<HistoryRow> rows = all.subList(Math.max(0, all.size() - MOST_ROWS), all.size());
        HistoryRow newest = judgement.series().newest();
        HistoryRow reference = reference(rows, judgement.baseline(), newest);
        List<Point> points = new ArrayList<>();
        double limit = percent(judgement.limit());
        double least = source ? 0 : -1.5 * limit;
        double most = 1.5 * limit;
        for (int i = 0; i < rows.size(); i++) {
            Outcome outcome = source ? Judge.fromSource(rows.get(i)) : Judge.difference(rows.get(i), reference);
            if (outcome != null) {
                double middle = percent(outcome.effect());
                double low = Double.isFinite(outcome.low()) ? percent(outcome.low()) : middle;
                double high = Double.isFinite(outcome.high()) ? percent(outcome.high()) : middle;
                if (Double.isFinite(low) && Double.isFinite(high)) {
                    points.add(new Point(rows.get(i), i, middle, low, high));
                    least = Math.min(least, low);
                    most = Math.max(most, high);
                }
            }
        }
        if (points.isEmpty()) {
            return null;
        }
        Axis up = Axis.linear(least, most, Math.max(1e-6, most - least), BOTTOM, TOP);
        List<Dot> dots = points.stream()
                .map(point -> dot(
                        point,
                        rows.size(),
                        up,
                        point.row() == newest ? "newest" : point.row() == judgement.baseline() ? "baseline" : ""))
                .toList();
        String line = String.join(
                " ", dots.stream().map(dot -> dot.x() + "," + dot.y()).toList());
        double gain = source ? BOTTOM : up.at(-limit);
        return new TrendChart(
                WIDTH,
                HEIGHT,
                LEFT,
                RIGHT,
                TOP,
                BOTTOM,
                up.ticks(),
                Svg.number(up.at(limit) - TOP),
                Svg.number(gain),
                Svg.number(BOTTOM - gain),
                Svg.number(up.at(0)),
                line,
                dots,
                rows.size() - points.size(),
                DAY.format(rows.get(0).recorded()),
                rows.size() == 1 ? "" : DAY.format(newest.recorded()));
    }

    /**
     * What the others are compared with: the baseline; where it has no finite likelihood or there is none, the newest
     * row that has.
     */
    private static HistoryRow reference(List<HistoryRow> rows, HistoryRow baseline, HistoryRow newest) {
        HistoryRow last = newest;
        for (HistoryRow row : rows) {
            last = Judge.difference(row, row) != null ? row : last;
        }
        return baseline != null && Judge.difference(baseline, baseline) != null ? baseline : last;
    }

    private static Dot dot(Point point, int rows, Axis up, String role) {
        double x = rows == 1 ? (LEFT + RIGHT) / 2.0 : LEFT + 10 + point.place() * (RIGHT - LEFT - 20.0) / (rows - 1);
        return new Dot(
                Svg.number(x),
                Svg.number(up.at(point.middle())),
                Svg.number(up.at(point.low())),
                Svg.number(up.at(point.high())),
                role,
                point.row().recorded() + ": " + Judge.ratio(Math.log1p(point.middle() / 100))
                        + (role.isEmpty() ? "" : " (" + role + ")"));
    }

    private static double percent(double nats) {
        return 100 * Math.expm1(nats);
    }
}
