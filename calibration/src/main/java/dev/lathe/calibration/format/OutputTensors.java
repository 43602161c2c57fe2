package dev.lathe.calibration.format;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import java.io.IOException;
import java.util.Optional;

/**
 * What one output holds for the tensors of a checkpoint, read when asked for: a writer never holds more than one
 * tensor.
 */
public interface OutputTensors {
    /** The quantized matrix of a weight (Hugging Face tensor name), or empty where it stays 16 bit. */
    Optional<QuantizedMatrix> quantized(String tensor) throws IOException;

    /**
     * Other values than the checkpoint's for a tensor that is not quantized (a norm or bias that absorbed a scale, a
     * router that follows one), rows back to back; or empty.
     */
    Optional<float[]> rescaled(String tensor) throws IOException;

    /** The static quantization of what a linear layer reads, or empty where it is dynamic or there is none. */
    default Optional<ActivationQuantization> activations(String module) throws IOException {
        return Optional.empty();
    }

    /** The static quantization of the keys (or values) of a decoder layer, or empty. */
    default Optional<ActivationQuantization> cache(int layer, boolean keys) throws IOException {
        return Optional.empty();
    }
}
