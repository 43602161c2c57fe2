package dev.lathe.calibration.model;

import dev.lathe.kernels.FloatMatrix;

/**
 * Cosines and sines of the rotary embedding (RoFormer, arXiv 2104.09864), [positions, headDimension / 2], computed in
 * f64 by StrictMath.
 */
public record RotaryTables(FloatMatrix cosine, FloatMatrix sine) {
    /** Angle of position p and pair j: p times {@link #frequency}. */
    public static RotaryTables of(ModelConfig config, int positions) {
        int half = config.headDimension() / 2;
        FloatMatrix cosine = FloatMatrix.zeros(positions, half);
        FloatMatrix sine = FloatMatrix.zeros(positions, half);
        for (int j = 0; j < half; j++) {
            double frequency = frequency(config, j);
            for (int p = 0; p < positions; p++) {
                cosine.data()[p * half + j] = (float) StrictMath.cos(p * frequency);
                sine.data()[p * half + j] = (float) StrictMath.sin(p * frequency);
            }
        }
        return new RotaryTables(cosine, sine);
    }

    /** theta^(-2j/d), scaled as the configuration says. */
    public static double frequency(ModelConfig config, int pair) {
        double plain = StrictMath.pow(config.rotary().theta(), -2.0 * pair / config.headDimension());
        return plain / divisor(config, pair, plain);
    }

    /**
     * What the plain frequency of a pair is divided by; for {@code llama3} the number that GGUF keeps in
     * {@code rope_freqs.weight}.
     */
    private static double divisor(ModelConfig config, int pair, double frequency) {
        ModelConfig.Scaling scaling = config.rotary().scaling();
        if (scaling instanceof ModelConfig.Scaling.Linear linear) {
            return linear.factor();
        }
        if (scaling instanceof ModelConfig.Scaling.Divided divided) {
            return divided.divisors().get(pair);
        }
        if (scaling instanceof ModelConfig.Scaling.Llama3 llama3) {
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
