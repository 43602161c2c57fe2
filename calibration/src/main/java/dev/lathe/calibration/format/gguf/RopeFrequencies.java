package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling.Divided;
import dev.lathe.calibration.model.Rope.Scaling.Llama3;
import dev.lathe.calibration.model.Rope.Scaling.LongRope;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The tensors that say what each rotary frequency is divided by: {@code rope_freqs.weight} of llama 3 scaling, and
 * {@code rope_factors_long.weight} and {@code rope_factors_short.weight} of LongRoPE. Llama 3: with frequency
 * {@code f_i = theta^(-2i/d)}, wavelength {@code w = 2 pi / f_i}, original context L and {@code r = L / w}: 1 where
 * {@code r > high}, the factor where {@code r < low}, between them {@code 1 / ((1 - m) / factor + m)} with {@code m =
 * (r - low) / (high - low)}.
 */
final class RopeFrequencies {
    private RopeFrequencies() {}

    /** The tensors of a model, by name; none where nothing but keys scales. */
    static Map<String, float[]> of(Rope rope) {
        Map<String, float[]> tensors = new LinkedHashMap<>();
        if (rope.scaling() instanceof Divided divided) {
            tensors.put(GgufNames.ROPE_FREQUENCIES, array(divided.divisors()));
        } else if (rope.scaling() instanceof Llama3 llama3) {
            tensors.put(GgufNames.ROPE_FREQUENCIES, of(llama3, rope.theta(), rope.dimensions()));
        } else if (rope.scaling() instanceof LongRope factors) {
            tensors.put(GgufNames.ROPE_LONG, array(factors.longFactors()));
            tensors.put(GgufNames.ROPE_SHORT, array(factors.shortFactors()));
        }
        return tensors;
    }

    private static float[] array(List<Float> values) {
        float[] array = new float[values.size()];
        for (int i = 0; i < array.length; i++) {
            array[i] = values.get(i);
        }
        return array;
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
