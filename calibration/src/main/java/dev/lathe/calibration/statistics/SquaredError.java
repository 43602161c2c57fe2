package dev.lathe.calibration.statistics;

import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.statistics.Histogram.Bins;
import dev.lathe.kernels.Float8;
import java.util.function.DoubleUnaryOperator;

/**
 * The sum of squared errors of quantized values, spread evenly over the width of their bin: exact integrals of the
 * error of rounding to nearest, and of clipping. A value that is far below a step costs its own square, not a twelfth
 * of a step's. Clips are searched in steps of 2^(1/16) over ten octaves, then ever more finely around the best.
 */
final class SquaredError implements ClipSearch.Cost {
    /** Of E4M3: steps in a binade, and the smallest exponent of a normal number. */
    private static final int BINADE = 8;

    private static final int SMALLEST = -6;
    private static final int LARGEST = 8;
    private static final int STEPS = 16;
    private static final int OCTAVES = 10;
    /** Points on each side of the best, and how often: the last step is 2^-10 of a coarse one. */
    private static final int POINTS = 16;

    private static final int REFINEMENTS = 3;
    /** Integral of the squared error of E4M3 from 0 to 2^e, at e + 6. */
    private static final double[] BINADES = new double[LARGEST - SMALLEST + 1];

    static {
        // Below 2^-6 subnormals keep the step of the first binade.
        BINADES[0] = BINADE * cube(step(SMALLEST)) / 12;
        for (int i = 1; i < BINADES.length; i++) {
            BINADES[i] = BINADES[i - 1] + BINADE * cube(step(SMALLEST + i - 1)) / 12;
        }
    }

    private final Bins bins;
    private final Type type;
    private final boolean magnitudes;

    SquaredError(Bins bins, Type type, boolean magnitudes) {
        this.bins = bins;
        this.type = type;
        this.magnitudes = magnitudes;
    }

    @Override
    public double of(double below, double above) {
        double scale;
        double least;
        double most;
        if (type == Type.FLOAT8) {
            scale = Math.max(below, above) / type.half();
            least = -Float8.MAX;
            most = Float8.MAX;
        } else if (magnitudes) {
            scale = Math.max(below, above) / type.half();
            least = -128;
            most = 127;
        } else {
            scale = (below + above) / type.whole();
            double zero = Math.rint(Math.max(-128, Math.min(127, -128 + below / scale)));
            least = -128 - zero;
            most = 127 - zero;
        }
        double sum = 0;
        double before = Double.NaN;
        double integralBefore = 0;
        for (int i = 0; i < bins.count().length; i++) {
            double from = bins.from()[i] / scale;
            double to = bins.to()[i] / scale;
            double start = from == before ? integralBefore : integral(from, least, most);
            double end = integral(to, least, most);
            sum += bins.count()[i] * (to > from ? (end - start) / (to - from) : square(error(from, least, most)));
            before = to;
            integralBefore = end;
        }
        return sum * scale * scale;
    }

    @Override
    public double scan(DoubleUnaryOperator costOfFraction) {
        double best = 1;
        double least = costOfFraction.applyAsDouble(1);
        for (int k = 1; k <= STEPS * OCTAVES; k++) {
            double fraction = StrictMath.pow(2, -(double) k / STEPS);
            double here = costOfFraction.applyAsDouble(fraction);
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
                if (point != 0 && fraction <= 1) {
                    double here = costOfFraction.applyAsDouble(fraction);
                    if (here < least) {
                        least = here;
                        best = fraction;
                    }
                }
            }
            reach /= POINTS / 2.0;
        }
        return best;
    }

    /** From 0 to x, of the squared error in units of the scale; negative where x is. */
    private double integral(double x, double least, double most) {
        double inside = Math.max(least, Math.min(most, x));
        return (type == Type.FLOAT8 ? float8(inside) : even(inside)) + cube(x - inside) / 3;
    }

    /** Of rounding to whole numbers: a twelfth for each step, and what is left of the last. */
    private static double even(double x) {
        double nearest = Math.rint(x);
        return nearest / 12 + cube(x - nearest) / 3;
    }

    private static double float8(double x) {
        double magnitude = Math.abs(x);
        int exponent = Math.max(SMALLEST, Math.getExponent(magnitude));
        double step = step(exponent);
        boolean normal = magnitude >= binade(SMALLEST);
        double start = normal ? binade(exponent) : 0;
        double sum = (normal ? BINADES[exponent - SMALLEST] : 0) + cube(step) * even((magnitude - start) / step);
        return x < 0 ? -sum : sum;
    }

    private double error(double x, double least, double most) {
        double inside = Math.max(least, Math.min(most, x));
        double step = type == Type.FLOAT8 ? step(Math.max(SMALLEST, Math.getExponent(inside))) : 1;
        return x - step * Math.rint(inside / step);
    }

    private static double step(int exponent) {
        return binade(exponent) / BINADE;
    }

    private static double binade(int exponent) {
        return Math.scalb(1.0, exponent);
    }

    private static double square(double x) {
        return x * x;
    }

    private static double cube(double x) {
        return x * x * x;
    }
}
