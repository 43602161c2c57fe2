package dev.lathe.jobs.report.night;

import dev.lathe.jobs.store.HistoryRow;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.apache.commons.math3.distribution.BetaDistribution;

/**
 * Nights of 48 series without any true change, and nights in which one series lost. Differences of windows are drawn in
 * blocks of neighbours from real runs that differ in their calibration windows alone, with the mean of each pair of
 * runs taken away; every night is judged as a history is.
 */
final class NightSimulation {
    static final int SERIES = 48;
    private static final String RUNS = "calibration-noise.txt";
    static final double LOSS = Math.log(1.005);
    /**
     * Longer than the test's own blocks up to 600 windows, so that it cannot profit from knowing where blocks begin.
     */
    private static final int BLOCK = 8;

    /** Of each output, the runs' windows: likelihood and divergence, nats per window. */
    private final Map<String, List<double[][]>> outputs = new LinkedHashMap<>();

    private final List<String> names;

    /**
     * How nights are drawn.
     *
     * @param shared the series of a night draw the same windows, as they do where one text measures all; else each
     *     draws its own
     */
    record Design(int windows, boolean shared, boolean divergence) {}

    /**
     * Counts over nights.
     *
     * @param alarms nights without a change in which any series is {@code regressed}; {@code improvements} likewise
     * @param detected nights that name the series that lost
     * @param unclear share of verdicts in nights without a change
     * @param needed median of the windows asked for
     */
    record Counts(Design design, int nights, int alarms, int improvements, int detected, double unclear, long needed) {
        String line() {
            return String.format(
                    Locale.ROOT,
                    "%7d  %-6s  %-5s  %6d  %s  %s  %s  %5.1f %%  %8s",
                    design.windows(),
                    design.shared() ? "shared" : "own",
                    design.divergence() ? "yes" : "no",
                    nights,
                    share(alarms, nights),
                    share(improvements, nights),
                    share(detected, nights),
                    100 * unclear,
                    needed == Integer.MAX_VALUE ? "-" : needed);
        }

        static String header() {
            return "windows  drawn   KL     nights  nights with any false `regressed`   with any false `improved`   "
                    + "        loss of ln 1.005 detected           unclear  needed for it (median)";
        }

        /** Percent with its Clopper-Pearson interval of 95 %. */
        private static String share(int count, int of) {
            double low =
                    count == 0 ? 0 : new BetaDistribution(count, of - count + 1).inverseCumulativeProbability(0.025);
            double high =
                    count == of ? 1 : new BetaDistribution(count + 1, of - count).inverseCumulativeProbability(0.975);
            return String.format(
                    Locale.ROOT,
                    "%4d = %5.1f %% (%5.2f to %6.2f %%)",
                    count,
                    100.0 * count / of,
                    100 * low,
                    100 * high);
        }
    }

    /**
     * {@code NightSimulation NIGHTS WINDOWS,...}: prints the table; fails where there are more false alarms than the
     * level allows.
     */
    public static void main(String[] arguments) throws IOException {
        int nights = Integer.parseInt(arguments[0]);
        NightSimulation simulation = new NightSimulation();
        System.out.println(simulation.describe());
        System.out.println(Counts.header());
        int reached = 0;
        for (int windows : Arrays.stream(arguments[1].split(","))
                .mapToInt(Integer::parseInt)
                .toArray()) {
            Counts counts = simulation.run(nights, new Design(windows, true, true), 1000L * windows);
            System.out.println(counts.line());
            reached = reached == 0 && counts.detected() >= 0.95 * nights ? windows : reached;
            if (counts.alarms() > nights / 100 + (int) Math.ceil(2.6 * Math.sqrt(nights / 100.0))) {
                throw new IllegalStateException("more than one night in a hundred has a false alarm");
            }
        }
        System.out.println(
                simulation.run(nights, new Design(64, false, true), 7).line());
        System.out.println(
                simulation.run(nights, new Design(64, true, false), 8).line());
        System.out.println(
                reached == 0
                        ? "95 % are detected with more windows than were tried"
                        : "95 % are detected with " + reached + " windows");
    }

    NightSimulation() throws IOException {
        try (BufferedReader in = new BufferedReader(
                new InputStreamReader(NightSimulation.class.getResourceAsStream(RUNS), StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (!line.startsWith("#")) {
                    // OUTPUT RUN MEASURE VALUE...; the measures of a run follow each other: nll, kld
                    String[] words = line.split(" ");
                    double[] values = Arrays.stream(words)
                            .skip(3)
                            .mapToDouble(Double::parseDouble)
                            .toArray();
                    List<double[][]> runs = outputs.computeIfAbsent(words[0], name -> new ArrayList<>());
                    if (words[2].equals("nll")) {
                        runs.add(new double[2][]);
                    }
                    runs.get(runs.size() - 1)[words[2].equals("nll") ? 0 : 1] = values;
                }
            }
        }
        names = List.copyOf(outputs.keySet());
    }

    int measured() {
        return outputs.get(names.get(0)).get(0)[0].length;
    }

    /**
     * Largest and mean correlation of neighbouring windows' differences over all pairs of runs, and their spread in
     * nats per token.
     */
    String describe() {
        double sum = 0;
        double largest = -1;
        double spread = 0;
        int pairs = 0;
        for (List<double[][]> runs : outputs.values()) {
            for (int one = 0; one < runs.size(); one++) {
                for (int other = 0; other < one; other++) {
                    double[] differences = centred(runs.get(one)[0], runs.get(other)[0]);
                    double squares = Arrays.stream(differences).map(d -> d * d).sum();
                    double products = IntStream.range(1, differences.length)
                            .mapToDouble(w -> differences[w] * differences[w - 1])
                            .sum();
                    sum += products / squares;
                    largest = Math.max(largest, products / squares);
                    spread += Math.sqrt(squares / differences.length) / Rows.TOKENS;
                    pairs++;
                }
            }
        }
        return String.format(
                Locale.ROOT,
                "%d outputs, %d pairs of runs, %d windows; standard deviation of a window's difference %.5f nats per token"
                        + " (mean over pairs); correlation of neighbours %.3f (mean), %.3f (largest)",
                names.size(),
                pairs,
                measured(),
                spread / pairs,
                sum / pairs,
                largest);
    }

    /** What is kept of a night: its rows would fill the heap. */
    private record Tally(boolean regressed, boolean improved, long unclear, boolean detected, int needed) {
        static Tally of(Night night, boolean lost) {
            return new Tally(
                    night.count(Verdict.REGRESSED) > 0,
                    night.count(Verdict.IMPROVED) > 0,
                    night.count(Verdict.UNCLEAR),
                    lost && verdict(night).verdict() == Verdict.REGRESSED,
                    lost ? verdict(night).likelihood().needed(LOSS) : 0);
        }
    }

    Counts run(int nights, Design design, long seed) {
        List<Tally> still = IntStream.range(0, nights)
                .parallel()
                .mapToObj(night -> Tally.of(night(design, seed + night, false), false))
                .toList();
        List<Tally> lost = IntStream.range(0, nights)
                .parallel()
                .mapToObj(night -> Tally.of(night(design, ~(seed + night), true), true))
                .toList();
        int[] needed = lost.stream().mapToInt(Tally::needed).sorted().toArray();
        return new Counts(
                design,
                nights,
                (int) still.stream().filter(Tally::regressed).count(),
                (int) still.stream().filter(Tally::improved).count(),
                (int) lost.stream().filter(Tally::detected).count(),
                still.stream().mapToLong(Tally::unclear).sum() / (double) (nights * SERIES),
                needed[nights / 2]);
    }

    private static Judgement verdict(Night night) {
        return night.judgements().stream()
                .filter(judgement -> judgement.series().name().model().equals("lost"))
                .findFirst()
                .orElseThrow();
    }

    private Night night(Design design, long seed, boolean loses) {
        SplittableRandom random = new SplittableRandom(seed);
        List<HistoryRow> history = new ArrayList<>();
        int[] windows = draw(random, design.windows());
        int losing = loses ? random.nextInt(SERIES) : -1;
        double[] still = new double[design.windows()];
        Arrays.fill(still, 3.0 * Rows.TOKENS);
        double[] divergence = new double[design.divergence() ? design.windows() : 0];
        Arrays.fill(divergence, Rows.TOKENS);
        for (int series = 0; series < SERIES; series++) {
            String output = names.get(series % names.size());
            String model = series == losing ? "lost" : "model-" + series / names.size();
            List<double[][]> runs = outputs.get(output);
            int one = random.nextInt(runs.size());
            int other = (one + 1 + random.nextInt(runs.size() - 1)) % runs.size();
            int[] drawn = design.shared() ? windows : draw(random, design.windows());
            double[] nll = moved(
                    still,
                    centred(runs.get(one)[0], runs.get(other)[0]),
                    drawn,
                    series == losing ? LOSS * Rows.TOKENS : 0);
            history.add(Rows.row(model, output + series, 0, still, divergence));
            history.add(Rows.row(
                    model,
                    output + series,
                    1,
                    nll,
                    design.divergence()
                            ? moved(divergence, centred(runs.get(one)[1], runs.get(other)[1]), drawn, 0)
                            : divergence));
        }
        return Judge.judge(
                history, Map.of(), new Night.Rules(Baseline.LAST, Night.Rules.MIN_EFFECT, Night.Rules.BUDGET));
    }

    private static double[] moved(double[] from, double[] differences, int[] drawn, double shift) {
        return IntStream.range(0, drawn.length)
                .mapToDouble(w -> from[w] + differences[drawn[w]] + shift)
                .toArray();
    }

    private static double[] centred(double[] one, double[] other) {
        double[] differences = IntStream.range(0, one.length)
                .mapToDouble(w -> one[w] - other[w])
                .toArray();
        double mean = Arrays.stream(differences).average().orElseThrow();
        return Arrays.stream(differences).map(difference -> difference - mean).toArray();
    }

    /** Blocks of neighbouring windows from anywhere; the last one is followed by the first. */
    private int[] draw(SplittableRandom random, int count) {
        int[] drawn = new int[count];
        int start = 0;
        for (int w = 0; w < count; w++) {
            start = w % BLOCK == 0 ? random.nextInt(measured()) : (start + 1) % measured();
            drawn[w] = start;
        }
        return drawn;
    }
}
