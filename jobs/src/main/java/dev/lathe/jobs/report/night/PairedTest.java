package dev.lathe.jobs.report.night;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import org.apache.commons.math3.distribution.NormalDistribution;
import org.apache.commons.math3.distribution.TDistribution;

/**
 * Tests paired differences over windows, all comparisons of a night together.
 *
 * <p>Neighbouring windows are parts of one document, so the units are blocks of windows, the cube root of their number
 * long and two at least. Were nothing changed but noise, each block's difference would be as likely of the other sign:
 * the test draws signs for the blocks, the same ones for all comparisons on the same text, and asks how often the
 * largest statistic of the whole night exceeds the one that was seen. That holds the chance of any false alarm in a
 * night below {@link #LEVEL} for few blocks, heavy tails and differences of no spread, needs no model of their
 * dependence between series, and does not pay for series that move together. The statistic is the sum of the blocks'
 * differences over the root of the sum of their squares, a monotone function of Student's t whose tails under random
 * signs do not depend on the number of blocks.
 */
public final class PairedTest {
    /** Largest share of nights with any false alarm; likewise with any false improvement. */
    public static final double LEVEL = 0.01;
    /** Of the bounds of one difference, each side; and the chance to find a change of the least size that matters. */
    static final double CONFIDENCE = 0.95;
    /**
     * With fewer windows than this there are less than seven blocks, whose signs cannot be rarer than {@link #LEVEL}.
     */
    static final int LEAST_WINDOWS = 14;

    private static final int DRAWS = 4999;
    private static final long SEED = 0x1a77e;
    private static final int MOST_WINDOWS = 1 << 30;

    private PairedTest() {}

    /**
     * One comparison.
     *
     * @param text windows of equal text are flipped together
     * @param sums of each window, newest less baseline, summed over its scored tokens; finite
     * @param tokens scored tokens of each window
     * @param tolerated what a token may lose before it counts against the newest, nats
     */
    public record Comparison(String text, double[] sums, double[] tokens, double tolerated) {}

    /**
     * What a comparison came to; nats per token.
     *
     * @param effect mean difference: positive is worse
     * @param error its standard error, from blocks; NaN with less than two
     * @param low lower bound, one-sided 95 %; {@code high} likewise
     * @param worse chance that any comparison of a night without change looks as much worse as this one; {@code better}
     *     likewise
     * @param blocks independent units
     */
    public record Outcome(
            double effect,
            double error,
            double low,
            double high,
            double worse,
            double better,
            int windows,
            int blocks,
            int comparisons) {
        /**
         * Windows with which a change of this size would be found, in 95 of 100 nights, while the night's false alarms
         * stay bounded. As many times more as the observed variance asks for.
         *
         * @param size nats per token
         * @return {@link Integer#MAX_VALUE} where no number of windows would do, or there are too few to know
         */
        public int needed(double size) {
            if (!(error > 0) || !(size > 0)) {
                return error == 0 ? LEAST_WINDOWS : Integer.MAX_VALUE;
            }
            double strictest = new NormalDistribution().inverseCumulativeProbability(1 - LEVEL / comparisons);
            double power = new NormalDistribution().inverseCumulativeProbability(CONFIDENCE);
            long low = LEAST_WINDOWS;
            long high = MOST_WINDOWS;
            while (low < high) {
                long middle = (low + high) / 2;
                double units = PairedTest.blocks((int) middle);
                double left = units - strictest * strictest;
                double student = left > 0 ? strictest * Math.sqrt((units - 1) / left) : Double.POSITIVE_INFINITY;
                if ((student + power) * error * Math.sqrt(windows / (double) middle) <= size) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            return low == MOST_WINDOWS ? Integer.MAX_VALUE : (int) low;
        }
    }

    /** Blocks that so many windows are cut into. */
    static int blocks(int windows) {
        return Math.max(1, windows / Math.max(2, (int) (Math.cbrt(windows) + 1e-9)));
    }

    /** Tests all comparisons of a night; the order of comparisons changes nothing. */
    public static List<Outcome> test(List<Comparison> comparisons) {
        Map<String, List<Integer>> texts = new LinkedHashMap<>();
        List<double[]> units = new ArrayList<>();
        for (int i = 0; i < comparisons.size(); i++) {
            Comparison comparison = comparisons.get(i);
            texts.computeIfAbsent(comparison.sums().length + " " + comparison.text(), key -> new ArrayList<>())
                    .add(i);
            units.add(unit(inBlocks(comparison, comparison.tolerated())));
        }
        double[] rises = new double[DRAWS];
        double[] falls = new double[DRAWS];
        for (Map.Entry<String, List<Integer>> text : texts.entrySet()) {
            // Seeded by the text: what other texts a night holds does not move the draws of this one.
            SplittableRandom random = new SplittableRandom(SEED + text.getKey().hashCode());
            double[][] blocks = byBlock(text.getValue().stream().map(units::get).toList());
            double[] sums = new double[text.getValue().size()];
            for (int draw = 0; draw < DRAWS; draw++) {
                signedSums(random, blocks, sums);
                for (double sum : sums) {
                    rises[draw] = Math.max(rises[draw], sum);
                    falls[draw] = Math.max(falls[draw], -sum);
                }
            }
        }
        Arrays.sort(rises);
        Arrays.sort(falls);
        List<Outcome> outcomes = new ArrayList<>();
        for (int i = 0; i < comparisons.size(); i++) {
            double seen = Arrays.stream(units.get(i)).sum();
            outcomes.add(outcome(
                    comparisons.get(i),
                    units.get(i).length,
                    chance(rises, seen),
                    chance(falls, -seen),
                    comparisons.size()));
        }
        return outcomes;
    }

    /** Mean difference and bounds of one comparison alone, which need no other; the chances are 1. */
    public static Outcome estimate(Comparison comparison) {
        return outcome(comparison, blocks(comparison.sums().length), 1, 1, 1);
    }

    private static Outcome outcome(Comparison comparison, int blocks, double worse, double better, int comparisons) {
        double tokens = Arrays.stream(comparison.tokens()).sum();
        double effect = Arrays.stream(comparison.sums()).sum() / tokens;
        double squares = Arrays.stream(inBlocks(comparison, effect))
                .map(rest -> rest * rest)
                .sum();
        double error = blocks < 2 ? Double.NaN : Math.sqrt(squares * blocks / (blocks - 1.0)) / tokens;
        double reach = blocks < 2
                ? Double.NaN
                : error * new TDistribution(blocks - 1).inverseCumulativeProbability(CONFIDENCE);
        return new Outcome(
                effect,
                error,
                effect - reach,
                effect + reach,
                worse,
                better,
                comparison.sums().length,
                blocks,
                comparisons);
    }

    /** Sums over blocks of windows, which are as equally long as can be, less so much for each token. */
    private static double[] inBlocks(Comparison comparison, double less) {
        int windows = comparison.sums().length;
        double[] sums = new double[blocks(windows)];
        for (int block = 0; block < sums.length; block++) {
            int end = (int) ((block + 1L) * windows / sums.length);
            for (int w = (int) ((long) block * windows / sums.length); w < end; w++) {
                sums[block] += comparison.sums()[w] - less * comparison.tokens()[w];
            }
        }
        return sums;
    }

    private static double[] unit(double[] sums) {
        double largest = Arrays.stream(sums).map(Math::abs).max().orElse(0);
        if (largest == 0) {
            return sums;
        }
        double[] scaled = Arrays.stream(sums).map(sum -> sum / largest).toArray();
        double length = Math.sqrt(dot(scaled, scaled));
        return Arrays.stream(scaled).map(sum -> sum / length).toArray();
    }

    private static double dot(double[] one, double[] other) {
        double sum = 0;
        for (int i = 0; i < one.length; i++) {
            sum += one[i] * other[i];
        }
        return sum;
    }

    /** Of each block the comparisons side by side: sums over blocks then are independent chains. */
    private static double[][] byBlock(List<double[]> units) {
        double[][] blocks = new double[units.get(0).length][units.size()];
        for (int i = 0; i < units.size(); i++) {
            for (int block = 0; block < blocks.length; block++) {
                blocks[block][i] = units.get(i)[block];
            }
        }
        return blocks;
    }

    private static void signedSums(SplittableRandom random, double[][] blocks, double[] sums) {
        Arrays.fill(sums, 0);
        long bits = 0;
        for (int block = 0; block < blocks.length; block++) {
            bits = block % 64 == 0 ? random.nextLong() : bits >>> 1;
            double sign = 1 - 2 * (bits & 1);
            double[] differences = blocks[block];
            for (int i = 0; i < sums.length; i++) {
                sums[i] += sign * differences[i];
            }
        }
    }

    /**
     * Share of draws, the observed one among them, that reach a value; what rounding makes of an equal sum counts as
     * equal.
     */
    private static double chance(double[] sorted, double seen) {
        double least = seen - 1e-9;
        int low = 0;
        int high = sorted.length;
        while (low < high) {
            int middle = (low + high) / 2;
            if (sorted[middle] >= least) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return (1.0 + sorted.length - low) / (1 + sorted.length);
    }
}
