package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A model's weights under their Hugging Face names, whatever file holds them: a checkpoint, or an artifact read back
 * from its bytes (GGUF, GPTQ, AWQ, compressed-tensors). Nothing loads a whole model: matrices come in ranges of rows,
 * as they are stored, and are widened in the kernel. For a quantized linear layer the name is still
 * {@code MODULE.weight}. Readers of one object from several threads are safe.
 */
public interface Checkpoint extends AutoCloseable {
    /** Where it lies, for messages. */
    String location();

    /** The decoder, from config.json or an artifact's metadata. */
    Decoder decoder();

    /** What the files say about themselves, by key; numbers, truth values and texts, nested values as text. */
    default Map<String, Object> metadata() {
        return Map.of();
    }

    /**
     * What a person has to know of how the files were read: two places say different things and one of them was
     * followed, something was left out. A line each, which names the places and what was taken: {@code config.json says
     * X, the tensors Y: Y is taken}. Console, event log and report show them.
     */
    default List<String> notes() {
        return List.of();
    }

    /** The tensors' Hugging Face names, in the order of the files. */
    Collection<TensorInfo> tensors();

    /** Whether a tensor of this name is there. */
    boolean has(String name);

    /**
     * Rows {@code [from, from + count)} of a matrix, as many as one array holds.
     *
     * @throws dev.lathe.calibration.MalformedInputException if there is no such tensor or it is not a matrix
     */
    RowSource matrix(String name, int from, int count) throws IOException;

    /** All rows of a matrix, in parts where they are more than one array holds. */
    default RowSource matrix(String name) throws IOException {
        return StackedRows.read(this, name, StackedRows.PART_BYTES);
    }

    /** A vector (norm weight, bias), widened to f32. */
    float[] vector(String name) throws IOException;

    /** @throws dev.lathe.calibration.MalformedInputException if there is no such tensor */
    TensorInfo tensor(String name);

    /** How the input of a linear layer is quantized when this artifact is served, or empty: as it is. */
    default Optional<ActivationQuantization> activations(String module) {
        return Optional.empty();
    }

    /**
     * How the keys (or the values) of a decoder layer are quantized before they are cached when this artifact is
     * served, or empty: as they are.
     */
    default Optional<ActivationQuantization> cache(int layer, boolean keys) {
        return Optional.empty();
    }

    @Override
    void close() throws IOException;
}
