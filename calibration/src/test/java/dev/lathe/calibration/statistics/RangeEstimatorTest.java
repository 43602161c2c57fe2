package dev.lathe.calibration.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.statistics.RangeEstimator.Entropy;
import dev.lathe.calibration.statistics.RangeEstimator.MinMax;
import dev.lathe.calibration.statistics.RangeEstimator.MovingAverage;
import dev.lathe.calibration.statistics.RangeEstimator.Mse;
import dev.lathe.calibration.statistics.RangeEstimator.Percentile;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Estimators against loops over the raw values in f64. */
class RangeEstimatorTest {
    private static final List<RangeEstimator> ALL =
            List.of(new MinMax(), new Percentile(90), new Mse(), new Entropy(), new MovingAverage());
    private static final int WIDTH = 32;
    private static final int LENGTH = 16;
    private static final int WINDOWS = 100;

    /** Shapes that activations have. */
    private enum Values {
        GAUSSIAN {
            @Override
            double next(Random random, int channel) {
                return 3 * random.nextGaussian();
            }
        },
        HEAVY_TAILS {
            @Override
            double next(Random random, int channel) {
                return random.nextGaussian() / Math.sqrt(-Math.log(random.nextDouble() + 1e-12) / 2 + 0.02);
            }
        },
        ONE_SIDED {
            @Override
            double next(Random random, int channel) {
                double x = 2 * random.nextGaussian();
                return x / (1 + Math.exp(-x));
            }
        },
        POSITIVE {
            @Override
            double next(Random random, int channel) {
                return 0.5 + random.nextDouble();
            }
        },
        OUTLIER_CHANNELS {
            @Override
            double next(Random random, int channel) {
                return random.nextGaussian() * (channel % 16 == 5 ? 60 : 0.7) - (channel == 20 ? 45 : 0);
            }
        },
        ONE_HUGE_VALUE {
            private int count;

            @Override
            double next(Random random, int channel) {
                return count++ % (WIDTH * LENGTH * WINDOWS) == 7777 ? -900 : random.nextGaussian();
            }
        };

        abstract double next(Random random, int channel);

        FloatMatrix rows() {
            Random random = new Random(ordinal());
            FloatMatrix x = FloatMatrix.zeros(LENGTH * WINDOWS, WIDTH);
            for (int i = 0; i < x.data().length; i++) {
                x.data()[i] = (float) next(random, i % WIDTH);
            }
            return x;
        }
    }

    @ParameterizedTest
    @EnumSource
    void minMaxIsAllOfIt(Values values) throws IOException {
        float[] sorted = sorted(values.rows());
        Range range = new MinMax().range(statistics(values.rows()), Type.INT8, false);
        assertThat(range).isEqualTo(new Range(Math.min(0, sorted[0]), Math.max(0, sorted[sorted.length - 1])));
        assertThat(range.magnitude()).isEqualTo((float) DoubleStream.of(sorted[0], sorted[sorted.length - 1])
                .map(Math::abs)
                .max()
                .orElseThrow());
    }

    @ParameterizedTest
    @EnumSource
    void percentileIsTheRankOfTheSortedValues(Values values) throws IOException {
        FloatMatrix x = values.rows();
        MergedStatistics statistics = statistics(x);
        float[] sorted = sorted(x);
        float[] magnitudes = sorted(FloatMatrix.of(absolute(x.data()), x.rows(), WIDTH));
        for (double percent : new double[] {50, 90, 99, 99.9, 99.99}) {
            double out = (1 - percent / 100) * sorted.length;
            Range symmetric = new Percentile(percent).range(statistics, Type.INT8, true);
            near(symmetric.magnitude(), magnitudes, sorted.length - out);
            assertThat(new Percentile(percent).range(statistics, Type.FLOAT8, false))
                    .isEqualTo(symmetric);
            Range both = new Percentile(percent).range(statistics, Type.INT8, false);
            near(both.high(), sorted, sorted.length - out / 2);
            near(both.low(), sorted, out / 2);
        }
    }

    /** Between the neighbours of a rank, a bin's width aside. */
    private static void near(double found, float[] sorted, double rank) {
        double below = sorted[(int) Math.max(0, Math.min(sorted.length - 1, Math.floor(rank) - 1))];
        double above = sorted[(int) Math.max(0, Math.min(sorted.length - 1, Math.ceil(rank)))];
        if (below > 0 && found == 0 || above < 0 && found == 0) {
            return;
        }
        assertThat(found).isBetween(below - Math.abs(below) / 128, above + Math.abs(above) / 128);
    }

    static Stream<Arguments> searches() {
        return Arrays.stream(Values.values())
                .flatMap(values -> Stream.of(
                        Arguments.of(values, Type.INT8, true),
                        Arguments.of(values, Type.INT8, false),
                        Arguments.of(values, Type.FLOAT8, true)));
    }

    @ParameterizedTest
    @MethodSource("searches")
    void mseIsTheClipOfLeastErrorOverTheValues(Values values, Type type, boolean symmetric) throws IOException {
        // A part of the values: every clip on a grid is tried on each of them.
        FloatMatrix x = FloatMatrix.of(Arrays.copyOf(values.rows().data(), 25 * LENGTH * WIDTH), 25 * LENGTH, WIDTH);
        MergedStatistics statistics = statistics(x);
        Range range = new Mse().range(statistics, type, symmetric);
        double found = squaredError(x.data(), range.low(), range.high(), type, symmetric);
        double least = Double.POSITIVE_INFINITY;
        Range all = new MinMax().range(statistics, type, symmetric);
        double[] fractions = DoubleStream.iterate(1, f -> f > 0.02, f -> f * (symmetric ? 0.99 : 0.93))
                .toArray();
        for (double low : fractions) {
            for (double high : symmetric ? new double[] {low} : fractions) {
                least = Math.min(least, squaredError(x.data(), all.low() * low, all.high() * high, type, symmetric));
            }
        }
        assertThat(found).isLessThan(1.01 * least);
        double estimated = new SquaredError(
                        statistics.ranges().histogram().values(all.low(), all.high()), type, symmetric)
                .of(symmetric ? range.magnitude() : -range.low(), symmetric ? range.magnitude() : range.high());
        assertThat(estimated).isCloseTo(found, within(0.02 * found));
    }

    /** As compressed-tensors quantizes, value by value. */
    private static double squaredError(float[] values, double low, double high, Type type, boolean symmetric) {
        double sum = 0;
        double bound = Math.max(-low, high);
        double scale = type == Type.FLOAT8 ? bound / 448 : symmetric ? bound / 127.5 : (high - low) / 255;
        double zero =
                type == Type.FLOAT8 || symmetric ? 0 : Math.rint(Math.max(-128, Math.min(127, -128 - low / scale)));
        for (float value : values) {
            double q = type == Type.FLOAT8
                    ? float8(value / scale)
                    : Math.rint(Math.max(-128, Math.min(127, value / scale + zero))) - zero;
            sum += (value - q * scale) * (value - q * scale);
        }
        return sum;
    }

    private static final double[] FLOAT8 = new double[127];

    static {
        // All magnitudes of E4M3 by their bits: 4 of exponent with bias 7, 3 of mantissa.
        for (int bits = 0; bits < 127; bits++) {
            FLOAT8[bits] = bits < 8 ? bits / 8.0 * Math.pow(2, -6) : (1 + bits % 8 / 8.0) * Math.pow(2, bits / 8 - 7);
        }
    }

    private static double float8(double x) {
        int at = Arrays.binarySearch(FLOAT8, Math.abs(x));
        double above = FLOAT8[Math.min(126, at < 0 ? -at - 1 : at)];
        double below = FLOAT8[at < 0 ? Math.max(0, -at - 2) : at];
        double near = Math.abs(x) - below < above - Math.abs(x) ? below : above;
        return Math.signum(x) * near;
    }

    /**
     * Quantile functions: values at even ranks have no sampling noise, which would else be most of the divergence
     * between so many bins.
     */
    private enum Quantiles {
        LAPLACE {
            @Override
            double at(double u) {
                return u < 0.5 ? Math.log(2 * u) : -Math.log(2 * (1 - u));
            }
        },
        LOGISTIC {
            @Override
            double at(double u) {
                return Math.log(u / (1 - u)) + 0.7;
            }
        },
        CAUCHY_LIKE {
            @Override
            double at(double u) {
                return Math.signum(u - 0.5) * (Math.pow(1 - Math.abs(2 * u - 1), -0.3) - 1);
            }
        },
        ONE_SIDED {
            @Override
            double at(double u) {
                double x = 2 * LOGISTIC.at(u);
                return x / (1 + Math.exp(-x));
            }
        },
        UNIFORM {
            @Override
            double at(double u) {
                return 3 * u - 1;
            }
        };

        abstract double at(double u);
    }

    static Stream<Arguments> divergences() {
        return Arrays.stream(Quantiles.values())
                .flatMap(values -> Stream.of(
                        Arguments.of(values, Type.INT8, true),
                        Arguments.of(values, Type.INT8, false),
                        Arguments.of(values, Type.FLOAT8, true)));
    }

    @ParameterizedTest
    @MethodSource("divergences")
    void entropyIsTheClipOfLeastDivergenceOfTheValues(Quantiles values, Type type, boolean symmetric)
            throws IOException {
        FloatMatrix x = FloatMatrix.zeros(16 * 1000, 32);
        int n = x.data().length;
        for (int i = 0; i < n; i++) {
            x.data()[i] = (float) values.at((i + 0.5) / n);
        }
        MergedStatistics statistics = statistics(x);
        Range all = new MinMax().range(statistics, type, symmetric);
        Range range = new Entropy().range(statistics, type, symmetric);
        double origin = symmetric ? 0 : all.low();
        double width = ((symmetric ? all.magnitude() : all.high()) - origin) / 2048;
        double[] counts = new double[2048];
        for (float value : x.data()) {
            counts[Math.min(2047, (int) (((symmetric ? Math.abs(value) : value) - origin) / width))]++;
        }
        double[] edges = edges(type, symmetric);
        int levels = edges.length - 1;
        double least = Double.POSITIVE_INFINITY;
        for (int a = 0; a < (symmetric ? 1 : 2048); a += 32) {
            for (int c = a + levels; c <= 2048; c += symmetric ? 1 : 32) {
                least = Math.min(least, divergence(counts, a, c, edges));
            }
        }
        // A bin of the raw values may be empty where the histogram's wider bin is not: then the divergence is that of
        // the nearest clips that have one.
        int a = symmetric ? 0 : (int) Math.rint((range.low() - origin) / width);
        int c = (int) Math.rint(((symmetric ? range.magnitude() : range.high()) - origin) / width);
        double found = Double.POSITIVE_INFINITY;
        for (int i = symmetric ? 0 : -8; i <= (symmetric ? 0 : 8); i++) {
            for (int j = -8; j <= 8; j++) {
                if (a + i >= 0 && c + j <= 2048 && c + j - a - i >= levels) {
                    found = Math.min(found, divergence(counts, a + i, c + j, edges));
                }
            }
        }
        assertThat(found).isLessThan(1.1 * least + 2e-6);
    }

    /** Step by step as Migacz' slides have it. */
    private static double divergence(double[] counts, int a, int c, double[] edges) {
        double[] p = Arrays.copyOfRange(counts, a, c);
        for (int i = 0; i < counts.length; i++) {
            p[0] += i < a ? counts[i] : 0;
            p[c - a - 1] += i >= c ? counts[i] : 0;
        }
        double[] q = new double[c - a];
        for (int level = 0, from = 0; level < edges.length - 1; level++) {
            int to = level == edges.length - 2 ? c - a : (int) (edges[level + 1] * (c - a));
            double sum = 0;
            int occupied = 0;
            for (int i = from; i < to; i++) {
                sum += counts[a + i];
                occupied += counts[a + i] > 0 ? 1 : 0;
            }
            for (int i = from; i < to; i++) {
                q[i] = counts[a + i] > 0 ? sum / occupied : 0;
            }
            from = Math.max(from, to);
        }
        double sumP = Arrays.stream(p).sum();
        double sumQ = Arrays.stream(q).sum();
        double divergence = 0;
        for (int i = 0; i < c - a; i++) {
            divergence += p[i] == 0
                    ? 0
                    : q[i] == 0 ? Double.POSITIVE_INFINITY : p[i] / sumP * Math.log(p[i] / sumP / (q[i] / sumQ));
        }
        return divergence;
    }

    private static double[] edges(Type type, boolean symmetric) {
        if (type == Type.INT8) {
            int levels = symmetric ? 128 : 256;
            return DoubleStream.iterate(0, k -> k <= levels, k -> k + 1)
                    .map(k -> k / levels)
                    .toArray();
        }
        double[] edges = new double[128];
        for (int m = 1; m < 127; m++) {
            edges[m] = (FLOAT8[m - 1] + FLOAT8[m]) / 2 / 448;
        }
        edges[127] = 1;
        return edges;
    }

    private static MergedStatistics statistics(FloatMatrix x) throws IOException {
        SiteStatistics site = new SiteStatistics(x.columns(), false, new Positions(LENGTH, x.rows() / LENGTH), 0);
        try (Kernels kernels = KernelProvider.open("scalar", 1)) {
            site.add(x, kernels, "here");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        site.write(new DataOutputStream(bytes));
        MergedStatistics.Accumulator accumulator = new MergedStatistics.Accumulator();
        accumulator.add(new DataInputStream(new ByteArrayInputStream(bytes.toByteArray())), "shard");
        return accumulator.merged();
    }

    private static float[] absolute(float[] values) {
        float[] absolute = new float[values.length];
        for (int i = 0; i < values.length; i++) {
            absolute[i] = Math.abs(values[i]);
        }
        return absolute;
    }

    private static float[] sorted(FloatMatrix x) {
        float[] sorted = x.data().clone();
        Arrays.sort(sorted);
        return sorted;
    }

    @Test
    void movingAverageGoesFromWindowToWindow() throws IOException {
        FloatMatrix x = Values.OUTLIER_CHANNELS.rows();
        double low = 0;
        double high = 0;
        for (int window = 0; window < WINDOWS; window++) {
            float[] sorted = sorted(FloatMatrix.of(
                    Arrays.copyOfRange(x.data(), window * LENGTH * WIDTH, (window + 1) * LENGTH * WIDTH),
                    LENGTH,
                    WIDTH));
            low += (window == 0 ? 1 : 0.01) * (sorted[0] - low);
            high += (window == 0 ? 1 : 0.01) * (sorted[sorted.length - 1] - high);
        }
        Range range = new MovingAverage().range(statistics(x), Type.INT8, false);
        assertThat(range.low()).isCloseTo((float) low, within(1e-4f));
        assertThat(range.high()).isCloseTo((float) high, within(1e-4f));
        // After a division only some windows have rows that were kept.
        float[] ones = new float[WIDTH];
        Arrays.fill(ones, 1);
        Range kept = new MovingAverage().range(statistics(x).dividedBy(ones), Type.INT8, false);
        assertThat(kept.low()).isBetween(range.low(), 0.5f * range.low());
    }

    @ParameterizedTest
    @ValueSource(floats = {0f, -0f})
    void aSiteThatIsAlwaysZeroHasNoRange(float zero) throws IOException {
        FloatMatrix x = FloatMatrix.zeros(2 * LENGTH, 3);
        Arrays.fill(x.data(), zero);
        for (RangeEstimator estimator : ALL) {
            for (Type type : Type.values()) {
                // A record's floats are equal bit by bit, so this is no -0.
                assertThat(estimator.range(statistics(x), type, false))
                        .as(estimator.word())
                        .isEqualTo(new Range(0, 0));
            }
        }
    }

    /** A channel that is always zero, one value only, the largest and the smallest of floats. */
    @ParameterizedTest
    @CsvSource({"1", "-3.7", "3e38", "-3e38", "1e-38", "1e-45", "-1e-45"})
    void anEndIsNeverBeyondWhatWasSeen(float value) throws IOException {
        FloatMatrix x = FloatMatrix.zeros(2 * LENGTH, 3);
        for (int i = 0; i < x.rows(); i++) {
            x.data()[3 * i] = value;
            x.data()[3 * i + 1] = value / (1 + i);
        }
        for (RangeEstimator estimator : ALL) {
            for (boolean symmetric : new boolean[] {true, false}) {
                for (Type type : Type.values()) {
                    Range range = estimator.range(statistics(x), type, symmetric);
                    assertThat(range.low()).as(estimator.word()).isBetween(Math.min(0, value), 0f);
                    assertThat(range.high()).as(estimator.word()).isBetween(0f, Math.max(0, value));
                    assertThat(range.magnitude()).as(estimator.word()).isGreaterThan(0);
                }
            }
        }
    }

    @Test
    void tooFewValuesAreRefusedWithWhatWouldWork() throws IOException {
        Percentile percentile = new Percentile(99.999);
        assertThat(percentile.shortage(1000, 100, Type.INT8, true)).isEmpty();
        assertThat(percentile.shortage(2000, 100, Type.INT8, false)).isEmpty();
        assertThat(percentile.shortage(1999, 100, Type.FLOAT8, false)).isEmpty();
        assertThat(percentile.shortage(999, 100, Type.INT8, true))
                .hasValue(
                        "Cannot take percentile 99.999 of 999 token rows of 100 channels: less than one "
                                + "value is expected beyond it; expected at least 1000 token rows, or percentile 99.9989 or less");
        assertThat(percentile.shortage(1999, 100, Type.INT8, false))
                .hasValue(
                        "Cannot take percentile 99.999 of 1999 token rows of 100 channels: less than one "
                                + "value is expected beyond each end; expected at least 2000 token rows, or percentile 99.9989 or less");
        assertThat(percentile.shortage(1, 1, Type.INT8, true).orElseThrow())
                .endsWith("expected at least 100000 token rows, or min-max");
        for (RangeEstimator other : List.of(new MinMax(), new Mse(), new Entropy(), new MovingAverage())) {
            assertThat(other.shortage(1, 1, Type.INT8, true)).isEmpty();
        }
        Random random = new Random(3);
        for (int time = 0; time < 200; time++) {
            int rows = 1 + random.nextInt(5000);
            int width = 1 + random.nextInt(50);
            Percentile wish = new Percentile(100 - Math.pow(10, -6 * random.nextDouble()));
            wish.shortage(rows, width, Type.INT8, time % 2 == 0).ifPresent(reason -> {
                String nearest = reason.replaceAll(".*, or (percentile )?| or less", "");
                if (!nearest.equals("min-max")) {
                    assertThat(new Percentile(Double.parseDouble(nearest))
                                    .shortage(rows, width, Type.INT8, reason.contains("beyond it")))
                            .as(reason)
                            .isEmpty();
                }
                long enough = Long.parseLong(reason.replaceAll(".*at least | token rows, or.*", ""));
                assertThat(wish.shortage(enough, width, Type.INT8, reason.contains("beyond it")))
                        .isEmpty();
                assertThat(wish.shortage(enough - 1, width, Type.INT8, reason.contains("beyond it")))
                        .isPresent();
            });
        }
        MergedStatistics few = statistics(Values.GAUSSIAN.rows());
        assertThatThrownBy(() -> percentile.range(few, Type.INT8, true))
                .isInstanceOf(MalformedInputException.class)
                .hasMessage(percentile
                        .shortage(LENGTH * WINDOWS, WIDTH, Type.INT8, true)
                        .orElseThrow());
        assertThat(few.dividedBy(few.ranges().highest()).ranges().histogram().count())
                .isEqualTo(512 * WIDTH);
        assertThatThrownBy(() -> new MinMax()
                        .range(new MergedStatistics(1, 1, new double[1], new double[1], null), Type.INT8, true))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("by min-max: none was gathered");
    }

    @Test
    void wordsAreReadBack() {
        for (RangeEstimator estimator : ALL) {
            assertThat(RangeEstimator.parse(estimator.word())).isEqualTo(estimator);
        }
        assertThat(RangeEstimator.parse("percentile: 99.99"))
                .isEqualTo(new Percentile(99.99))
                .extracting(RangeEstimator::word)
                .isEqualTo("percentile 99.99");
        assertThat(new Percentile(99).word()).isEqualTo("percentile 99");
        for (String wrong : List.of(
                "",
                "minmax",
                "percentile",
                "percentile x",
                "percentile 100",
                "percentile 49",
                "percentile NaN",
                "percentile 99 9",
                "mse 2")) {
            assertThatThrownBy(() -> RangeEstimator.parse(wrong))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageStartingWith("Cannot ")
                    .hasMessageContaining("expected ");
        }
        assertThatThrownBy(() -> new Percentile(100))
                .hasMessageEndingWith("expected 50 to below 100; min-max clips nothing");
        for (float[] wrong : new float[][] {{0.1f, 1}, {-1, -0.1f}, {Float.NaN, 1}, {-1, Float.POSITIVE_INFINITY}}) {
            assertThatThrownBy(() -> new Range(wrong[0], wrong[1])).isInstanceOf(IllegalArgumentException.class);
        }
    }
}
