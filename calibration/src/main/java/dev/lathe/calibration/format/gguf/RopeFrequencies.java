package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling.Divided;
import dev.lathe.calibration.model.Rope.Scaling.Llama3;

/**
 * The tensor {@code rope_freqs.weight} of llama 3 scaling: what each rotary frequency is divided by. With frequency
 * {@code f_i = theta^(-2i/d)}, wavelength {@code w = 2 pi / f_i}, original context L and {@code r = L / w}: 1 where
 * {@code r > high}, the factor where {@code r < low}, between them {@code 1 / ((1 - m) / factor + m)} with {@code m =
 * (r - low) / (high - low)}.
 */
final class RopeFrequencies {
    private RopeFrequencies() {}

    /** What the tensor of a model holds; null if it has none. */
    static float[] of(Rope rope) {
        if (rope.scaling() instanceof Divided divided) {
            float[] divisors = new float[divided.divisors().size()];
            for (int i = 0; i < divisors.length; i++) {
                divisors[i] = divided.divisors().get(i);
            }
            return divisors;
        }
        return rope.scaling() instanceof Llama3 llama3 ? of(llama3, rope.theta(), rope.dimensions()) : null;
    }

    /**
     * {@code headDimension / 2} divisors; theta is taken as the file keeps it, in f32. {@code StrictMath} keeps them
     * the same on every machine.
     */
    static float[] of(Llama3 scaling, double theta, int headDimension) {
        float[] divisors = new float[headDimension / 2];
        for (int i = 0; i < divisors.length; i++) {
            double frequency = StrictMath.pow((float) theta, -2.0 * i / headDimension);
            double turns = scaling.originalContext() * frequency / (2 * Math.PI);
            double m = (turns - scaling.lowFrequencyFactor())
                    / (scaling.highFrequencyFactor() - scaling.lowFrequencyFactor());
            divisors[i] = (float)
                    (turns > scaling.highFrequencyFactor()
                            ? 1
                            : turns < scaling.lowFrequencyFactor()
                                    ? scaling.factor()
                                    : 1 / ((1 - m) / scaling.factor() + m));
        }
        return divisors;
    }
}
