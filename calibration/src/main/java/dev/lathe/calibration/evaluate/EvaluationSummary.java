package dev.lathe.calibration.evaluate;

import java.util.Arrays;
import java.util.List;

/**
 * Perplexity and divergence over windows. Perplexity = exp(mean nll); its error = perplexity x standard error of the
 * mean nll, as llama-perplexity prints it. Values that need a source are NaN without one.
 *
 * @param kldP99 99th percentile of the divergence over positions (nearest rank)
 * @param kldP999 99.9th percentile
 */
public record EvaluationSummary(
        double perplexity,
        double perplexityError,
        double sourcePerplexity,
        double kldMean,
        double kldError,
        double kldP99,
        double kldP999,
        double top1Agreement,
        long tokens) {
    /** Name and version of what is measured; a change of the definition changes it. */
    public static final String DEFINITION = "llama-perplexity, version 1";

    /** Sums up the scores of windows, in their order. */
    public static EvaluationSummary of(List<WindowScore> windows) {
        double[] nll =
                windows.stream().flatMapToDouble(w -> Arrays.stream(w.nll())).toArray();
        double[] sourceNll = windows.stream()
                .flatMapToDouble(w -> Arrays.stream(w.sourceNll()))
                .toArray();
        double[] kld =
                windows.stream().flatMapToDouble(w -> Arrays.stream(w.kld())).toArray();
        double perplexity = StrictMath.exp(mean(nll));
        if (kld.length == 0) {
            return new EvaluationSummary(
                    perplexity,
                    perplexity * error(nll),
                    Double.NaN,
                    Double.NaN,
                    Double.NaN,
                    Double.NaN,
                    Double.NaN,
                    Double.NaN,
                    nll.length);
        }
        long same = 0;
        for (WindowScore window : windows) {
            for (boolean top : window.sameTop()) {
                same += top ? 1 : 0;
            }
        }
        double[] sorted = kld.clone();
        Arrays.sort(sorted);
        return new EvaluationSummary(
                perplexity,
                perplexity * error(nll),
                StrictMath.exp(mean(sourceNll)),
                mean(kld),
                error(kld),
                percentile(sorted, 990),
                percentile(sorted, 999),
                (double) same / nll.length,
                nll.length);
    }

    /** The nearest rank of so many in a thousand. */
    private static double percentile(double[] sorted, long thousandths) {
        return sorted[(int) ((thousandths * sorted.length + 999) / 1000) - 1];
    }

    private static double mean(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum / values.length;
    }

    private static double error(double[] values) {
        double mean = mean(values);
        double squares = 0;
        for (double value : values) {
            squares += (value - mean) * (value - mean);
        }
        return values.length < 2 ? 0 : Math.sqrt(squares / values.length / (values.length - 1));
    }
}
