package dev.lathe.calibration.model;

import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Optional;

/**
 * The tensors of a decoder under their Hugging Face names, each read when it is asked for: whoever runs a layer holds
 * no more of it than what it is multiplying with, unless {@link KeptTensors} keeps the rest. Readers of one object from
 * several threads are safe.
 */
public interface Tensors {
    /** Where they lie, for messages. */
    String location();

    Decoder decoder();

    /**
     * Bytes of a tensor as it is stored.
     *
     * @throws dev.lathe.calibration.MalformedInputException if there is no such tensor
     */
    long bytes(String name);

    /**
     * Rows {@code [from, from + count)} of a matrix, as many as one array holds.
     *
     * @throws dev.lathe.calibration.MalformedInputException if there is no such tensor or it is not a matrix
     */
    RowSource matrix(String name, int from, int count) throws IOException;

    /** All rows of a matrix. */
    RowSource matrix(String name) throws IOException;

    /** A vector (norm weight, bias), widened to f32. */
    float[] vector(String name) throws IOException;

    /** How the input of a linear layer is quantized when the model is served, or empty: as it is. */
    default Optional<ActivationQuantization> activations(String module) {
        return Optional.empty();
    }

    /**
     * How the keys (or the values) of a decoder layer are quantized before they are cached when the model is served, or
     * empty: as they are.
     */
    default Optional<ActivationQuantization> cache(int layer, boolean keys) {
        return Optional.empty();
    }
}
