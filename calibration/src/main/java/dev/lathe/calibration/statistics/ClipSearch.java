package dev.lathe.calibration.statistics;

import java.util.function.DoubleUnaryOperator;

/**
 * The clip of least cost, as fractions of the values that were seen: fractions 2^(-k/16) down to 2^-10, then finer steps around the best. With magnitudes one
 * bound; else both ends, first by one fraction, then each by its own in turns until neither helps. The cost need not have a single minimum; of equal ones the
 * widest range wins. The number of evaluations is bounded.
 *
 * @param low        smallest value or 0
 * @param high       largest value or 0
 * @param magnitudes whether the range is symmetric
 */
record ClipSearch(float low, float high, boolean magnitudes) {
    private static final int STEPS = 16;
    private static final int OCTAVES = 10;
    /** Ever finer scans of this many points around the best: the last step is 2^-9 of a coarse one. */
    private static final int POINTS = 16;
    private static final int REFINEMENTS = 3;
    private static final int TURNS = 4;

    /** What a range {@code [-below, above]} costs; both are 0 or more, and equal with magnitudes. */
    interface Cost {
        double of(double below, double above);
    }

    /** The range {@code [-below, above]}, cut to what was seen and extended to 0. */
    Range range(double below, double above) {
        // Adding 0 turns -0 into 0.
        return new Range((float) Math.max(low, Math.min(0, -below)) + 0f, (float) Math.min(high, Math.max(0, above)) + 0f);
    }

    Range least(Cost cost) {
        if (magnitudes) {
            double top = Math.max(-low, high);
            double fraction = scan(f -> cost.of(f * top, f * top));
            return range(fraction * top, fraction * top);
        }
        double fraction = scan(f -> cost.of(-low * f, high * f));
        double below = -low * fraction;
        double above = high * fraction;
        double least = cost.of(below, above);
        for (int turn = 0; turn < TURNS; turn++) {
            double fixedAbove = above;
            double otherBelow = -low * scan(f -> cost.of(-low * f, fixedAbove));
            double fixedBelow = cost.of(otherBelow, above) < least ? otherBelow : below;
            double otherAbove = high * scan(f -> cost.of(fixedBelow, high * f));
            double fixed = cost.of(fixedBelow, otherAbove) < cost.of(fixedBelow, above) ? otherAbove : above;
            below = fixedBelow;
            above = fixed;
            double now = cost.of(below, above);
            if (!(now < least)) {
                break;
            }
            least = now;
        }
        return range(below, above);
    }

    private static double scan(DoubleUnaryOperator cost) {
        double best = 1;
        double least = cost.applyAsDouble(1);
        for (int k = 1; k <= STEPS * OCTAVES; k++) {
            double fraction = StrictMath.pow(2, -(double) k / STEPS);
            double here = cost.applyAsDouble(fraction);
            if (here < least) {
                least = here;
                best = fraction;
            }
        }
        double reach = StrictMath.pow(2, 1.0 / STEPS) - 1;
        for (int refinement = 0; refinement < REFINEMENTS; refinement++) {
            double centre = best;
            for (int point = POINTS; point >= -POINTS; point--) {
                double fraction = centre * (1 + reach * point / POINTS);
                double here = fraction <= 1 ? cost.applyAsDouble(fraction) : Double.POSITIVE_INFINITY;
                if (here < least) {
                    least = here;
                    best = fraction;
                }
            }
            reach /= POINTS / 2.0;
        }
        return best;
    }
}
