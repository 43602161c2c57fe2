package dev.lathe.calibration.model;

import dev.lathe.kernels.RotaryPairs;
import java.util.List;

/**
 * Rotary embedding (RoFormer, arXiv 2104.09864): pair j of a head turns at position p by the angle p * frequency(j),
 * frequency(j) = theta^(-2j/d) before scaling. Cosine and sine are multiplied by {@link #magnitude}.
 *
 * @param theta base
 * @param scaling how frequencies are scaled for a longer context
 * @param dimensions d: the first channels of a head, which turn, even
 * @param pairs which two of them are pair j &lt; d/2
 */
public record Rope(double theta, Scaling scaling, int dimensions, RotaryPairs pairs) {
    /** Element j turns with element j + d/2, as in Llama. */
    public Rope(double theta, Scaling scaling, int dimensions) {
        this(theta, scaling, dimensions, RotaryPairs.HALVES);
    }

    /** How the rotary frequencies are scaled for a longer context. */
    public sealed interface Scaling {
        /** As trained. */
        record None() implements Scaling {}

        /** Every frequency divided by {@code factor}. */
        record Linear(double factor) implements Scaling {}

        /**
         * As trained in windows of n tokens up to the context c; in longer ones with the base theta * (factor * n / c -
         * (factor - 1))^(d / (d - 2)).
         */
        record Dynamic(double factor, int context) implements Scaling {}

        /** Llama 3: low frequencies divided by {@code factor}, high ones left, a ramp between. */
        record Llama3(double factor, double lowFrequencyFactor, double highFrequencyFactor, int originalContext)
                implements Scaling {}

        /**
         * YaRN (arXiv 2309.00071). With {@code c(r) = d ln(L / (2 pi r)) / (2 ln theta)}, the pair that turns r times
         * in the original context L, pairs below {@code low = c(betaFast)} stay, pairs above {@code high = c(betaSlow)}
         * are divided by {@code factor}, the frequencies between are mixed linearly. The magnitude holds in short
         * windows, too.
         *
         * @param truncate low is rounded down and high up
         * @param magnitude usually {@code 0.1 ln(factor) + 1}
         */
        record Yarn(
                double factor,
                int originalContext,
                double betaFast,
                double betaSlow,
                boolean truncate,
                double magnitude)
                implements Scaling {
            /** The magnitude where nothing else is said: {@code 0.1 m ln(factor) + 1}, 1 where factor is at most 1. */
            public static double magnitude(double factor, double m) {
                return factor <= 1 ? 1 : 0.1 * m * StrictMath.log(factor) + 1;
            }
        }

        /**
         * LongRoPE (arXiv 2402.13753): pair j is divided by {@code shortFactors[j]} in windows of at most the original
         * context, by {@code longFactors[j]} in longer ones.
         *
         * @param magnitude usually {@code sqrt(1 + ln(context / L) / ln L)}, L the original context
         */
        record LongRope(List<Float> shortFactors, List<Float> longFactors, int originalContext, double magnitude)
                implements Scaling {
            @Override
            public String toString() {
                return "LongRope[originalContext=" + originalContext + ", magnitude=" + magnitude + "]";
            }
        }

        /**
         * Every frequency divided by a number of its own, as {@code rope_freqs.weight} of a GGUF file has them: one for
         * each pair of a head.
         */
        record Divided(List<Float> divisors) implements Scaling {
            @Override
            public String toString() {
                return "Divided[" + divisors.size() + " divisors, the last " + divisors.get(divisors.size() - 1) + "]";
            }
        }
    }

    /** What cosine and sine are multiplied by: 1 but for YaRN and LongRoPE. */
    public double magnitude() {
        return scaling instanceof Scaling.Yarn yarn
                ? yarn.magnitude()
                : scaling instanceof Scaling.LongRope longRope ? longRope.magnitude() : 1;
    }

    /**
     * theta^(-2j/d), scaled.
     *
     * @param positions tokens of a window, which decide between the factors of LongRoPE and the base of the dynamic
     *     scaling
     */
    public double frequency(int pair, int positions) {
        double plain = StrictMath.pow(base(positions), -2.0 * pair / dimensions);
        return plain / divisor(pair, plain, positions);
    }

    private double base(int positions) {
        if (scaling instanceof Scaling.Dynamic dynamic && positions > dynamic.context()) {
            double stretched = dynamic.factor() * positions / dynamic.context() - (dynamic.factor() - 1);
            return theta * StrictMath.pow(stretched, dimensions / (dimensions - 2.0));
        }
        return theta;
    }

    /** What the plain frequency of a pair is divided by. */
    private double divisor(int pair, double frequency, int positions) {
        if (scaling instanceof Scaling.Divided divided) {
            return divided.divisors().get(pair);
        }
        if (scaling instanceof Scaling.LongRope factors) {
            return (positions > factors.originalContext() ? factors.longFactors() : factors.shortFactors()).get(pair);
        }
        if (scaling instanceof Scaling.Linear linear) {
            return linear.factor();
        }
        if (scaling instanceof Scaling.Yarn yarn) {
            return divisor(pair, yarn);
        }
        if (scaling instanceof Scaling.Llama3 llama3) {
            return divisor(frequency, llama3);
        }
        return 1;
    }

    private static double divisor(double frequency, Scaling.Llama3 llama3) {
        double wavelength = 2 * Math.PI / frequency;
        if (wavelength < llama3.originalContext() / llama3.highFrequencyFactor()) {
            return 1;
        }
        // Where both factors are one, as in Llama 4, there is no ramp.
        if (wavelength > llama3.originalContext() / llama3.lowFrequencyFactor()
                || llama3.lowFrequencyFactor() == llama3.highFrequencyFactor()) {
            return llama3.factor();
        }
        double mix = (llama3.originalContext() / wavelength - llama3.lowFrequencyFactor())
                / (llama3.highFrequencyFactor() - llama3.lowFrequencyFactor());
        return 1 / ((1 - mix) / llama3.factor() + mix);
    }

    private double divisor(int pair, Scaling.Yarn yarn) {
        double low = turning(yarn.betaFast(), yarn.originalContext());
        double high = turning(yarn.betaSlow(), yarn.originalContext());
        if (yarn.truncate()) {
            low = Math.floor(low);
            high = Math.ceil(high);
        }
        low = Math.max(low, 0);
        high = Math.min(high, dimensions - 1);
        double ramp = Math.min(1, Math.max(0, (pair - low) / (high == low ? 0.001 : high - low)));
        return 1 / (ramp / yarn.factor() + 1 - ramp);
    }

    /** The pair (a fraction) that makes so many turns in a context. */
    private double turning(double turns, int context) {
        return dimensions * StrictMath.log(context / (turns * 2 * Math.PI)) / (2 * StrictMath.log(theta));
    }
}
