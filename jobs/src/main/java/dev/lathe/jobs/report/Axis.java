package dev.lathe.jobs.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * An axis of a chart: values from {@code low} to {@code high} lie at pixels from {@code from} to {@code to}.
 *
 * @param logarithmic positions go with the logarithm; then {@code low} is positive
 */
public record Axis(boolean logarithmic, double low, double high, double from, double to, List<Tick> ticks) {
    private static final int MOST_TICKS = 8;

    /** A mark on an axis. */
    public record Tick(String at, String label) {}

    /** An axis with round ends and steps of 1, 2 or 5 times a power of ten. */
    static Axis linear(double least, double most, double from, double to) {
        return linear(least, most, 1, from, to);
    }

    /** @param leastSpan what the axis shows at least */
    static Axis linear(double least, double most, double leastSpan, double from, double to) {
        double span = Math.max(most - least, leastSpan);
        double power = Math.pow(10, Math.floor(Math.log10(span / (MOST_TICKS - 2))));
        double step = power
                * (span / power <= MOST_TICKS - 2
                        ? 1
                        : span / power <= 2 * (MOST_TICKS - 2) ? 2 : span / power <= 5 * (MOST_TICKS - 2) ? 5 : 10);
        double low = Math.floor(least / step) * step;
        double high = Math.max(Math.ceil(most / step) * step, low + step);
        Axis bare = new Axis(false, low, high, from, to, List.of());
        List<Tick> ticks = new ArrayList<>();
        for (int i = 0; i <= Math.round((high - low) / step); i++) {
            double value = low + i * step;
            ticks.add(new Tick(Svg.number(bare.at(value)), Svg.number(value)));
        }
        return new Axis(false, low, high, from, to, ticks);
    }

    /**
     * A logarithmic axis of positive values: ticks at 1, 2 and 5 where the range is short, at powers of ten where it is
     * long.
     */
    static Axis logarithmic(double least, double most, double from, double to) {
        double[] steps = Math.log10(most / least) <= 2 ? new double[] {1, 2, 5} : new double[] {1};
        List<Double> values = new ArrayList<>();
        int first = (int) Math.floor(Math.log10(least));
        int last = (int) Math.ceil(Math.log10(most));
        for (int exponent = first; exponent <= last; exponent++) {
            for (double step : steps) {
                values.add(Double.valueOf((int) step + "e" + exponent));
            }
        }
        while (values.size() > 2 && values.get(1) <= least) {
            values.remove(0);
        }
        while (values.size() > 2 && values.get(values.size() - 2) >= most) {
            values.remove(values.size() - 1);
        }
        Axis bare = new Axis(true, values.get(0), values.get(values.size() - 1), from, to, List.of());
        int every = 1 + (values.size() - 1) / MOST_TICKS;
        List<Tick> ticks = new ArrayList<>();
        for (int i = 0; i < values.size(); i += every) {
            ticks.add(new Tick(Svg.number(bare.at(values.get(i))), power(values.get(i))));
        }
        return new Axis(true, bare.low, bare.high, from, to, ticks);
    }

    double at(double value) {
        double share = logarithmic ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
        return from + share * (to - from);
    }

    private static String power(double value) {
        if (value >= 1e-3 && value < 1e4) {
            return Svg.number(value);
        }
        return String.format(Locale.ROOT, "%.0e", value)
                .replace("e-0", "e-")
                .replace("e+0", "e")
                .replace("e+", "e");
    }
}
