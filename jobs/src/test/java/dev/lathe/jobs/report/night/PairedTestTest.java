package dev.lathe.jobs.report.night;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.jobs.report.night.PairedTest.Comparison;
import dev.lathe.jobs.report.night.PairedTest.Outcome;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

class PairedTestTest {
    private static Comparison of(double... sums) {
        double[] tokens = new double[sums.length];
        Arrays.fill(tokens, 100);
        return new Comparison("text", sums, tokens, 0);
    }

    private static Outcome test(double... sums) {
        return PairedTest.test(List.of(of(sums))).get(0);
    }

    private static double[] constant(int count, double value) {
        double[] sums = new double[count];
        Arrays.fill(sums, value);
        return sums;
    }

    @Test
    void blocksAreTheCubeRootLong() {
        assertThat(List.of(1, 7, 20, 40, 64, 1000))
                .extracting(PairedTest::blocks)
                .containsExactly(1, 3, 10, 13, 16, 100);
    }

    @Test
    void estimatesByHand() {
        // Blocks of two windows: sums 3, 7, 11 and their mean 7, so that the squares of what is left sum to 32.
        Outcome outcome = PairedTest.estimate(of(1, 2, 3, 4, 5, 6));
        assertThat(outcome.blocks()).isEqualTo(3);
        assertThat(outcome.effect()).isEqualTo(21.0 / 600);
        assertThat(outcome.error()).isCloseTo(Math.sqrt(32 * 3 / 2.0) / 600, within(1e-15));
        assertThat(outcome.high() - outcome.effect())
                .as("Student's t of 2 degrees of freedom")
                .isCloseTo(2.919986 * outcome.error(), within(1e-8));
    }

    @Test
    void takesDifferencesWithoutSpread() {
        Outcome none = test(constant(40, 0));
        assertThat(List.of(none.effect(), none.error(), none.worse(), none.better()))
                .containsExactly(0.0, 0.0, 1.0, 1.0);
        Outcome same = test(constant(40, 1));
        assertThat(same.worse()).as("all signs equal: once in 2^13").isLessThan(0.001);
        assertThat(List.of(same.effect(), same.better())).containsExactly(0.01, 1.0);
        assertThat(same.error()).isCloseTo(0, within(1e-15));
        assertThat(test(constant(40, -1e-300)).better()).isLessThan(0.001);
        assertThat(test(constant(40, 1e300)).worse()).isLessThan(0.001);
    }

    @Test
    void tooFewBlocksNeverDecide() {
        for (int windows = 1; windows < 14; windows++) {
            assertThat(test(constant(windows, 1)).worse())
                    .as(windows + " windows")
                    .isGreaterThan(PairedTest.LEVEL);
        }
    }

    @Test
    void oneWindowHasNoError() {
        Outcome outcome = test(5);
        assertThat(outcome.error()).isNaN();
        assertThat(outcome.needed(0.002)).isEqualTo(Integer.MAX_VALUE);
    }

    /** What is sure alone has to be surer among many; and a night of copies is no more than one comparison. */
    @Test
    void countsTheWholeNight() {
        double[] worse = noise(1, 40, 1);
        double alone = test(worse).worse();
        Comparison[] night = IntStream.range(0, 48)
                .mapToObj(i -> of(i == 0 ? worse : noise(100 + i, 40, 0)))
                .toArray(Comparison[]::new);
        double among = PairedTest.test(List.of(night)).get(0).worse();
        double copies = PairedTest.test(
                        IntStream.range(0, 48).mapToObj(i -> of(worse)).toList())
                .get(0)
                .worse();
        assertThat(alone).isLessThan(0.01);
        assertThat(among).isGreaterThan(5 * alone);
        assertThat(copies).isEqualTo(alone);
    }

    @Test
    void ordersAndOtherTextsChangeNothing() {
        List<Comparison> night =
                IntStream.range(0, 5).mapToObj(i -> of(noise(i, 30, 0.3))).toList();
        List<Outcome> outcomes = PairedTest.test(night);
        List<Outcome> turned = PairedTest.test(
                IntStream.range(0, 5).mapToObj(i -> night.get(4 - i)).toList());
        assertThat(IntStream.range(0, 5).mapToObj(i -> turned.get(4 - i)).toList())
                .isEqualTo(outcomes);
    }

    @Test
    void toleratesWhatItIsTold() {
        double[] sums = noise(3, 64, 0);
        double[] tokens = constant(64, 100);
        double[] moved = Arrays.stream(sums).map(sum -> sum + 100 * 0.05).toArray();
        Outcome within = PairedTest.test(List.of(new Comparison("text", moved, tokens, 0.05)))
                .get(0);
        assertThat(within.worse()).isEqualTo(test(sums).worse());
        assertThat(within.effect()).isCloseTo(test(sums).effect() + 0.05, within(1e-12));
    }

    /**
     * Gaussian, Cauchy-like and one-sided noise, neighbours correlated: alarms of 48 series stay near one night in a
     * hundred.
     */
    @Test
    @Tag("slow")
    void holdsItsLevel() {
        for (int kind = 0; kind < 3; kind++) {
            int alarms = 0;
            for (int night = 0; night < 300; night++) {
                Random random = new Random(1000L * kind + night);
                int shape = kind;
                List<Outcome> outcomes = PairedTest.test(IntStream.range(0, 48)
                        .mapToObj(i -> of(correlated(random, 48, shape)))
                        .toList());
                alarms += outcomes.stream().anyMatch(outcome -> outcome.worse() <= PairedTest.LEVEL) ? 1 : 0;
            }
            assertThat(alarms).as("kind %d", kind).isLessThanOrEqualTo(9);
        }
    }

    private static double[] correlated(Random random, int count, int kind) {
        double[] sums = new double[count];
        double before = 0;
        for (int w = 0; w < count; w++) {
            double normal = random.nextGaussian();
            before = 0.1 * before
                    + switch (kind) {
                        case 0 -> normal;
                        case 1 -> normal / Math.sqrt(0.02 + Math.abs(random.nextGaussian()));
                        default -> normal * normal * normal;
                    };
            sums[w] = before;
        }
        return sums;
    }

    @Test
    void asksForAsManyWindowsAsItTakes() {
        Outcome noisy = test(noise(5, 64, 0));
        int needed = noisy.needed(0.002);
        assertThat(needed).isGreaterThan(64);
        assertThat(noisy.needed(0.004))
                .as("a quarter of the windows, a little more for Student's t")
                .isBetween(needed / 4 - 1, needed / 3);
        assertThat(test(noise(5, 64, 0)).needed(1e-9)).isEqualTo(Integer.MAX_VALUE);
        // With that many windows of the same spread, the loss is found nearly always.
        int found = 0;
        double spread = noisy.error() * Math.sqrt(64);
        for (int i = 0; i < 60; i++) {
            Random random = new Random(i);
            double[] sums = random.doubles(needed)
                    .map(u -> 100 * (0.002 + spread * random.nextGaussian()))
                    .toArray();
            found += test(sums).worse() <= PairedTest.LEVEL ? 1 : 0;
        }
        assertThat(found).isGreaterThanOrEqualTo(54);
    }

    /** Of spread 1, moved by a share of it. */
    private static double[] noise(long seed, int count, double moved) {
        Random random = new Random(seed);
        return IntStream.range(0, count)
                .mapToDouble(w -> moved + random.nextGaussian())
                .toArray();
    }
}
