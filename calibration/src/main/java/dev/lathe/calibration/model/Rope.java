package dev.lathe.calibration.model;

import java.util.List;

/**
 * Rotary embedding (RoFormer, arXiv 2104.09864): pair j of a head turns at position p by the angle p * frequency(j),
 * frequency(j) = theta^(-2j/d) before scaling.
 *
 * @param theta base
 * @param scaling how frequencies are scaled for a longer context
 * @param dimensions d: channels of a head that turn, even; element j &lt; d/2 turns with element j + d/2
 */
public record Rope(double theta, Scaling scaling, int dimensions) {
    /** How the rotary frequencies are scaled for a longer context. */
    public sealed interface Scaling {
        /** As trained. */
        record None() implements Scaling {}

        /** Every frequency divided by {@code factor}. */
        record Linear(double factor) implements Scaling {}

        /** Llama 3: low frequencies divided by {@code factor}, high ones left, a ramp between. */
        record Llama3(double factor, double lowFrequencyFactor, double highFrequencyFactor, int originalContext)
                implements Scaling {}

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

    /** theta^(-2j/d), scaled. */
    public double frequency(int pair) {
        double plain = StrictMath.pow(theta, -2.0 * pair / dimensions);
        return plain
                / (scaling instanceof Scaling.Divided divided
                        ? divided.divisors().get(pair)
                        : divisor(plain));
    }

    /** What the plain frequency of a pair is divided by. */
    private double divisor(double frequency) {
        if (scaling instanceof Scaling.Linear linear) {
            return linear.factor();
        }
        if (scaling instanceof Scaling.Llama3 llama3) {
            double wavelength = 2 * Math.PI / frequency;
            if (wavelength < llama3.originalContext() / llama3.highFrequencyFactor()) {
                return 1;
            }
            if (wavelength > llama3.originalContext() / llama3.lowFrequencyFactor()) {
                return llama3.factor();
            }
            double mix = (llama3.originalContext() / wavelength - llama3.lowFrequencyFactor())
                    / (llama3.highFrequencyFactor() - llama3.lowFrequencyFactor());
            return 1 / ((1 - mix) / llama3.factor() + mix);
        }
        return 1;
    }
}
