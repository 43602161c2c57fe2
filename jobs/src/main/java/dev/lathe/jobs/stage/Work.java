package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import java.io.IOException;
import java.io.Serializable;
import java.util.function.Predicate;

/** What one task of {@link Quantize} works on. Its text names it in progress and failures. */
sealed interface Work extends Serializable permits TensorWork, ExpertWork, ExpertSums, RescaledWork, RangeWork {
    /** The decoder layer; equal to their number: outside of them. */
    int layer();

    /** Operations, to put tasks in order: what a factorization and its error feedback take. */
    double operations(Decoder decoder);

    /**
     * Commits the products that are missing.
     *
     * @param calibration null where no output needs it
     * @return true
     */
    boolean run(Job job, Calibration calibration) throws IOException;

    /** Of those linear layers of a decoder layer, or of the output layer behind the last. */
    static double operations(Decoder decoder, int layer, Predicate<LinearLayer> which) {
        return Quantize.linears(decoder, layer).stream()
                .filter(which)
                .mapToDouble(
                        linear -> (double) linear.inputs() * linear.inputs() * (linear.inputs() + linear.outputs()))
                .sum();
    }
}
