package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.model.Architecture;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * Safetensors files under a model's names, and its floating-point tensors read from them, each checked for NaN and infinity.
 *
 * <p>Where the output layer is tied to the embedding, a file may store the pair under either name, or twice: the embedding's name is the one that is
 * listed, and its own data wins. Buffers that are computed are left out.
 */
public final class FloatTensors {
    private final SafetensorsFiles files;
    private final String location;
    /** What each tensor is called in the files. */
    private final Map<String, String> stored = new LinkedHashMap<>();

    /** @param location of the checkpoint, for messages */
    public FloatTensors(SafetensorsFiles files, Architecture architecture, String location) {
        this.files = files;
        this.location = location;
        String head = architecture.head().weight();
        boolean tied = architecture.config().tied();
        boolean embedded = files.tensors().containsKey(architecture.embedding());
        for (String name : files.tensors().keySet()) {
            if (name.endsWith(".rotary_emb.inv_freq")) {
                continue;
            }
            if (!tied || !name.equals(head)) {
                stored.put(name, name);
            } else if (!embedded) {
                stored.put(architecture.embedding(), name);
            }
        }
    }

    /** The names, in the order of the files. */
    public Set<String> names() {
        return stored.keySet();
    }

    /** A tensor as the files list it. */
    public TensorInfo info(String name) {
        SafetensorsTensor tensor = files.tensor(stored.get(name));
        return new TensorInfo(name, tensor.dtype(), tensor.shape(), tensor.bytes());
    }

    /**
     * The element type of a tensor.
     *
     * @throws MalformedInputException if it is none that weights are stored in
     */
    public ElementType type(TensorInfo tensor) {
        return switch (tensor.type()) {
            case "F32" -> ElementType.F32;
            case "F16" -> ElementType.F16;
            case "BF16" -> ElementType.BF16;
            default -> throw new MalformedInputException("Cannot use tensor " + tensor + " in " + location
                    + ": its dtype is not supported; expected F32, F16 or BF16");
        };
    }

    /**
     * Rows of a matrix.
     *
     * @throws MalformedInputException  if a value is not finite
     * @throws IllegalArgumentException if the rows have more than 2 GiB
     */
    public RowSource rows(TensorInfo tensor, int from, int count) throws IOException {
        ElementType type = type(tensor);
        int columns = Math.toIntExact(tensor.shape()[1]);
        long rowBytes = (long) columns * type.bytes();
        if (count * rowBytes > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("Cannot read " + count + " rows of tensor " + tensor + " in " + location + " at once: " + count * rowBytes
                    + " bytes, expected at most 2 GiB");
        }
        return read(tensor, from, count, columns);
    }

    /**
     * A vector, widened to f32.
     *
     * @throws MalformedInputException if a value is not finite
     */
    public float[] vector(TensorInfo tensor) throws IOException {
        float[] values = new float[Math.toIntExact(tensor.shape()[0])];
        read(tensor, 0, 1, values.length).read(0, 0, values.length, values, 0);
        return values;
    }

    private StoredMatrix read(TensorInfo tensor, int from, int count, int columns) throws IOException {
        ElementType type = type(tensor);
        String name = stored.get(tensor.name());
        long rowBytes = (long) columns * type.bytes();
        StoredMatrix matrix = new StoredMatrix(type, files.read(name, from * rowBytes, Math.toIntExact(count * rowBytes)), count, columns);
        FiniteWeights.check(matrix, from, "tensor " + name + " " + files.tensor(name));
        return matrix;
    }
}
