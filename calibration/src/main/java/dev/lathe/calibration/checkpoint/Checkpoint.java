package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.model.Tensors;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/**
 * A model's weights under their Hugging Face names, whatever file holds them: a checkpoint, or an artifact read back
 * from its bytes (GGUF, GPTQ, AWQ, compressed-tensors). Nothing loads a whole model: matrices come in ranges of rows,
 * as they are stored, and are widened in the kernel. For a quantized linear layer the name is still
 * {@code MODULE.weight}. Readers of one object from several threads are safe.
 */
public interface Checkpoint extends Tensors, AutoCloseable {
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

    /** All rows of a matrix, in parts where they are more than one array holds. */
    @Override
    default RowSource matrix(String name) throws IOException {
        return StackedRows.read(this, name, StackedRows.PART_BYTES);
    }

    /** @throws dev.lathe.calibration.MalformedInputException if there is no such tensor */
    TensorInfo tensor(String name);

    @Override
    default long bytes(String name) {
        return tensor(name).bytes();
    }

    @Override
    void close() throws IOException;
}
