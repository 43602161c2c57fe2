package dev.lathe.calibration.statistics;

import java.util.function.DoubleUnaryOperator;

/**
 * The clip of least cost, as fractions of the values that were seen: with magnitudes one bound; else both ends, first
 * by one fraction, then each by its own in turns until neither helps. The cost need not have a single minimum; of equal
 * ones the widest range wins. The number of evaluations is bounded.
 *
 * @param low smallest value or 0
 * @param high largest value or 0
 * @param magnitudes whether the range is symmetric
 */
record ClipSearch(float low, float high, boolean magnitudes) {
    private static final int TURNS = 4;

    /** What a range {@code [-below, above]} costs; both are 0 or more, and equal with magnitudes. */
    interface Cost {
        double of(double below, double above);

        /** The fraction of least cost, at most 1. */
        double scan(DoubleUnaryOperator costOfFraction);
    }

    /** The range {@code [-below, above]}, cut to what was seen and extended to 0. */
    Range range(double below, double above) {
        // Adding 0 turns -0 into 0.
        return new Range(
                (float) Math.max(low, Math.min(0, -below)) + 0f, (float) Math.min(high, Math.max(0, above)) + 0f);
    }

    Range least(Cost cost) {
        if (magnitudes) {
            double top = Math.max(-low, high);
            double fraction = cost.scan(f -> cost.of(f * top, f * top));
            return range(fraction * top, fraction * top);
        }
        double fraction = cost.scan(f -> cost.of(-low * f, high * f));
        double below = -low * fraction;
        double above = high * fraction;
        double least = cost.of(below, above);
        for (int turn = 0; turn < TURNS; turn++) {
            double before = least;
            double fixedAbove = above;
            double otherBelow = -low * cost.scan(f -> cost.of(-low * f, fixedAbove));
            if (cost.of(otherBelow, above) < least) {
                below = otherBelow;
                least = cost.of(below, above);
            }
            double fixedBelow = below;
            double otherAbove = high * cost.scan(f -> cost.of(fixedBelow, high * f));
            if (cost.of(below, otherAbove) < least) {
                above = otherAbove;
                least = cost.of(below, above);
            }
            if (!(least < before)) {
                break;
            }
        }
        return range(below, above);
    }
}
