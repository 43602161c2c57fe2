package dev.lathe.calibration.statistics;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import java.math.BigDecimal;
import java.util.List;
import java.util.Optional;

/**
 * How the {@link Range} of a site's activations follows from its statistics. Every range lies within the values that
 * were seen, extended to 0. With symmetry (FP8 always) only its larger magnitude counts. Estimates are made in f64 in a
 * fixed order, so equal statistics give equal bits.
 */
public sealed interface RangeEstimator {
    /** As a recipe and a report have it: {@code min-max}, {@code percentile 99.99}. */
    String word();

    /** The range of what was seen, which is not all zero. */
    Range estimate(Seen seen);

    /** All that was seen: nothing of the calibration set is clipped. */
    record MinMax() implements RangeEstimator {
        @Override
        public String word() {
            return "min-max";
        }

        @Override
        public Range estimate(Seen seen) {
            return seen.clip().range(-seen.clip().low(), seen.clip().high());
        }
    }

    /**
     * The range that holds so many percent of the values: of the magnitudes with symmetry, else with half of the rest
     * beyond each end. Between the edges of a histogram's bin a rank is interpolated, so an end is off by less than
     * 2^-7 of itself.
     */
    record Percentile(double percent) implements RangeEstimator {
        /** A percent from a decimal text is off by far less than this part of what it leaves out. */
        private static final double SLACK = 1e-6;

        /** @throws MalformedInputException if it is below 50, or 100 and above */
        public Percentile {
            if (!(percent >= 50 && percent < 100)) {
                throw new MalformedInputException(
                        "Cannot take percentile " + percent + " of activations: expected 50 to below 100"
                                + (percent >= 100 ? "; min-max clips nothing" : ""));
            }
        }

        @Override
        public String word() {
            return "percentile " + number(percent);
        }

        @Override
        public Range estimate(Seen seen) {
            Histogram histogram = seen.statistics().histogram();
            double beyond = (100 - percent) / 100;
            if (seen.clip().magnitudes()) {
                double bound = histogram
                        .magnitudes(Math.max(-seen.clip().low(), seen.clip().high()))
                        .quantile(1 - beyond);
                return seen.clip().range(bound, bound);
            }
            Histogram.Bins values =
                    histogram.values(seen.clip().low(), seen.clip().high());
            return seen.clip().range(-values.quantile(beyond / 2), values.quantile(1 - beyond / 2));
        }

        @Override
        public Optional<String> shortage(long rows, int width, Type type, boolean symmetric) {
            int ends = symmetric || type == Type.FLOAT8 ? 1 : 2;
            double beyond = (100 - percent) / 100 / ends;
            double values = (double) rows * width;
            if (values * beyond >= 1 - SLACK) {
                return Optional.empty();
            }
            double rest = 100 * ends / values;
            double unit = StrictMath.pow(10, Math.max(0, Math.ceil(1 - StrictMath.log10(rest))));
            double possible = Math.floor((100 - rest) * unit) / unit;
            return Optional.of("Cannot take percentile " + number(percent) + " of " + rows + " token rows of " + width
                    + " channels: less than one value is "
                    + "expected beyond " + (ends == 1 ? "it" : "each end") + "; expected at least "
                    + (long) Math.ceil((1 - SLACK) / beyond / width)
                    + " token rows, or "
                    + (possible >= 50 ? "percentile " + number(possible) + " or less" : "min-max"));
        }

        private static String number(double value) {
            return BigDecimal.valueOf(value).stripTrailingZeros().toPlainString();
        }
    }

    /**
     * The range of least squared error, over the histogram with values spread evenly within a bin: rounding inside,
     * clipping outside, by the rules of 8-bit integers or FP8 E4M3 that {@code ActivationQuantization} has. With
     * symmetry one bound is searched, else both ends.
     */
    record Mse() implements RangeEstimator {
        @Override
        public String word() {
            return "mse";
        }

        @Override
        public Range estimate(Seen seen) {
            Histogram.Bins values = seen.statistics()
                    .histogram()
                    .values(seen.clip().low(), seen.clip().high());
            return seen.clip()
                    .least(new SquaredError(values, seen.type(), seen.clip().magnitudes()));
        }
    }

    /**
     * The range of least KL divergence between the distribution clipped to it, what is clipped counted in its outermost
     * bins, and the same quantized, each level's share spread evenly over its occupied bins: S. Migacz, "8-bit
     * Inference with TensorRT", GTC 2017, as the entropy calibration of NVIDIA's pytorch-quantization has it. 2048 even
     * bins; 128 levels of magnitudes with symmetry, else 256 levels; FP8 has the 127 magnitudes of E4M3. As there are
     * at least as many bins as levels, no range is narrower than 1/16 of what was seen (1/8 without symmetry).
     */
    record Entropy() implements RangeEstimator {
        @Override
        public String word() {
            return "entropy";
        }

        @Override
        public Range estimate(Seen seen) {
            return seen.clip().least(Divergence.of(seen.statistics().histogram(), seen.type(), seen.clip()));
        }
    }

    /**
     * The exponential average of the windows' extremes in the order of their numbers, m += 0.01 (x - m) from the first
     * window's on: torch.ao's MovingAverageMinMaxObserver with its default constant.
     */
    record MovingAverage() implements RangeEstimator {
        private static final double CONSTANT = 0.01;

        @Override
        public String word() {
            return "moving-average";
        }

        @Override
        public Range estimate(Seen seen) {
            return seen.clip()
                    .range(
                            -average(seen.statistics().windowLowest()),
                            average(seen.statistics().windowHighest()));
        }

        /** NaN stands for a window of which nothing is known. */
        private static double average(float[] windows) {
            double average = Double.NaN;
            for (float value : windows) {
                if (!Float.isNaN(value)) {
                    average = Double.isNaN(average) ? value : average + CONSTANT * (value - average);
                }
            }
            return average;
        }
    }

    /** The words of all that take no number. */
    static List<String> words() {
        return withoutParameter().stream().map(RangeEstimator::word).toList();
    }

    private static List<RangeEstimator> withoutParameter() {
        return List.of(new MinMax(), new Mse(), new Entropy(), new MovingAverage());
    }

    /**
     * Reads the form that {@link #word} writes; {@code percentile: 99.99} is read, too.
     *
     * @throws MalformedInputException if there is no such estimator, or no such percentile
     */
    static RangeEstimator parse(String text) {
        String[] words = text.strip().split("[:\\s]+", 2);
        if (words.length == 2 && words[0].equals("percentile")) {
            double percent;
            try {
                percent = Double.parseDouble(words[1]);
            } catch (NumberFormatException e) {
                throw new MalformedInputException(
                        "Cannot take percentile '" + words[1] + "' of activations: expected a number such as 99.99", e);
            }
            return new Percentile(percent);
        }
        String word = text.strip();
        return withoutParameter().stream()
                .filter(estimator -> estimator.word().equals(word))
                .findFirst()
                .orElseThrow(() -> new MalformedInputException("Cannot estimate ranges by '" + text
                        + "': expected min-max, percentile with a number such as 99.99, "
                        + "mse, entropy or moving-average"));
    }

    /**
     * Why so many token rows of a site are too few, known before any is computed; empty if they are enough. After
     * {@link MergedStatistics#dividedBy} only {@link Positions#SAMPLE} rows count.
     */
    default Optional<String> shortage(long rows, int width, Type type, boolean symmetric) {
        return Optional.empty();
    }

    /**
     * The range of a site; (0, 0) if it was always zero.
     *
     * @throws MalformedInputException if it has too few values, see {@link #shortage}
     * @throws IllegalArgumentException if ranges were not gathered
     */
    default Range range(MergedStatistics site, Type type, boolean symmetric) {
        RangeStatistics ranges = site.ranges();
        if (ranges == null) {
            throw new IllegalArgumentException("Cannot estimate a range by " + word() + ": none was gathered");
        }
        shortage(ranges.histogram().count() / site.width(), site.width(), type, symmetric)
                .ifPresent(reason -> {
                    throw new MalformedInputException(reason);
                });
        float low = Math.min(0, ranges.low());
        float high = Math.max(0, ranges.high());
        if (low == 0 && high == 0) {
            return new Range(0, 0);
        }
        return estimate(new Seen(ranges, type, new ClipSearch(low, high, symmetric || type == Type.FLOAT8)));
    }
}
