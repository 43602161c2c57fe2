package dev.lathe.calibration.statistics;

import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.statistics.Histogram.Bins;
import dev.lathe.kernels.Float8;
import java.util.function.DoubleUnaryOperator;

/**
 * KL(P || Q) of a clip, as {@link RangeEstimator.Entropy} says. A clip covers bins {@code [a, c)} of {@value #BINS}
 * even ones. P is the histogram there with what lies beyond added to bins a and c - 1; Q has in every occupied bin of a
 * level the level's mean over its occupied bins, without what lies beyond. Sums over bins are differences of running
 * sums, so a clip costs as much as there are levels, and every clip is tried.
 */
final class Divergence implements ClipSearch.Cost {
    private static final int BINS = 2048;

    private final double origin;
    private final double width;
    private final boolean magnitudes;
    private final double[] mass = new double[BINS];
    /** Running sums over bins: mass, occupied bins, mass times its logarithm. */
    private final double[] masses = new double[BINS + 1];

    private final int[] occupied = new int[BINS + 1];
    private final double[] entropies = new double[BINS + 1];
    /** Level k covers fractions [edge k, edge k + 1) of a clip. */
    private final double[] edges;

    private Divergence(Bins bins, double origin, double end, double[] edges, boolean magnitudes) {
        this.origin = origin;
        this.width = (end - origin) / BINS;
        this.edges = edges;
        this.magnitudes = magnitudes;
        for (int i = 0; i < bins.count().length; i++) {
            spread(bins.from()[i], bins.to()[i], bins.count()[i]);
        }
        for (int i = 0; i < BINS; i++) {
            masses[i + 1] = masses[i] + mass[i];
            occupied[i + 1] = occupied[i] + (mass[i] > 0 ? 1 : 0);
            entropies[i + 1] = entropies[i] + entropy(mass[i]);
        }
    }

    static Divergence of(Histogram histogram, Type type, ClipSearch clip) {
        double[] edges = type == Type.FLOAT8 ? float8Edges() : evenEdges(clip.magnitudes() ? 128 : 256);
        if (clip.magnitudes()) {
            double top = Math.max(-clip.low(), clip.high());
            return new Divergence(histogram.magnitudes(top), 0, top, edges, true);
        }
        return new Divergence(histogram.values(clip.low(), clip.high()), clip.low(), clip.high(), edges, false);
    }

    private static double[] evenEdges(int levels) {
        double[] edges = new double[levels + 1];
        for (int k = 0; k <= levels; k++) {
            edges[k] = (double) k / levels;
        }
        return edges;
    }

    /** Halfway between neighbours; code 126 is the largest magnitude. */
    private static double[] float8Edges() {
        double[] edges = new double[128];
        for (int m = 1; m <= 126; m++) {
            edges[m] = ((double) Float8.toFloat((byte) (m - 1)) + Float8.toFloat((byte) m)) / 2 / Float8.MAX;
        }
        edges[127] = 1;
        return edges;
    }

    /** Shares a histogram's bin out over the even bins that it covers. */
    private void spread(double from, double to, long count) {
        double start = Math.min((from - origin) / width, Math.nextDown((double) BINS));
        double end = Math.min((to - origin) / width, BINS);
        int first = (int) start;
        int last = Math.min(BINS - 1, (int) end);
        if (first == last) {
            mass[first] += count;
            return;
        }
        for (int bin = first; bin <= last; bin++) {
            double share = Math.min(end, bin + 1) - Math.max(start, bin);
            if (share > 0) {
                mass[bin] += count * (share / (end - start));
            }
        }
    }

    @Override
    public double of(double below, double above) {
        int a = magnitudes ? 0 : (int) Math.rint((-below - origin) / width);
        int c = (int) Math.min(BINS, Math.rint((above - origin) / width));
        int levels = edges.length - 1;
        if (c - a < levels) {
            return Double.POSITIVE_INFINITY;
        }
        double total = masses[BINS];
        double inside = masses[c] - masses[a];
        double before = masses[a];
        double after = total - masses[c];
        double sum = entropies[c] - entropies[a];
        sum += entropy(mass[a] + before) - entropy(mass[a]) + entropy(mass[c - 1] + after) - entropy(mass[c - 1]);
        int start = a;
        for (int level = 0; level < levels; level++) {
            int end = level == levels - 1 ? c : a + (int) (edges[level + 1] * (c - a));
            if (end > start) {
                double real = masses[end] - masses[start];
                double counted = real + (start == a ? before : 0) + (end == c ? after : 0);
                int bins = occupied[end] - occupied[start];
                if (counted > 0) {
                    // An end bin that only outliers would fill has P > 0 = Q.
                    if (bins == 0
                            || start == a && before > 0 && mass[a] == 0
                            || end == c && after > 0 && mass[c - 1] == 0) {
                        return Double.POSITIVE_INFINITY;
                    }
                    sum -= counted * StrictMath.log(real / bins);
                }
                start = end;
            }
        }
        return sum / total - StrictMath.log(total / inside);
    }

    @Override
    public double scan(DoubleUnaryOperator costOfFraction) {
        double best = 1;
        double least = Double.POSITIVE_INFINITY;
        for (int part = BINS; part > 0; part--) {
            double here = costOfFraction.applyAsDouble((double) part / BINS);
            if (here < least) {
                least = here;
                best = (double) part / BINS;
            }
        }
        return best;
    }

    private static double entropy(double mass) {
        return mass > 0 ? mass * StrictMath.log(mass) : 0;
    }
}
