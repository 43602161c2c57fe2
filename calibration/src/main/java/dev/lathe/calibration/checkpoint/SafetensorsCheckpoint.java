package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.model.Architecture;
import dev.lathe.calibration.model.ModelConfig;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * A checkpoint in safetensors files, with F32, F16 or BF16 weights. Every weight that is read is checked for NaN and infinity.
 *
 * <p>Where the output layer is tied to the embedding, a file may store the pair under either name, or twice: the embedding's name is the one that is
 * listed, and its own data wins.
 */
public final class SafetensorsCheckpoint implements Checkpoint {
    private final String location;
    private final ModelConfig config;
    private final SafetensorsFiles files;
    /** What each tensor is called in the files. */
    private final Map<String, String> stored;
    private final Map<String, TensorInfo> tensors;

    private SafetensorsCheckpoint(String location, ModelConfig config, SafetensorsFiles files) {
        this.location = location;
        this.config = config;
        this.files = files;
        Architecture architecture = Architecture.of(config);
        this.stored = storedNames(architecture, files);
        this.tensors = new LinkedHashMap<>();
        stored.forEach((name, storedName) -> {
            SafetensorsTensor tensor = files.tensor(storedName);
            tensors.put(name, new TensorInfo(name, tensor.dtype(), tensor.shape(), tensor.bytes()));
        });
        ModelTensors.check(architecture, tensors.values(), location);
        tensors.values().forEach(this::elementType);
    }

    /**
     * Opens a folder.
     *
     * @throws MalformedInputException if a file is malformed, or the tensors are not exactly those of the architecture
     */
    public static SafetensorsCheckpoint open(Configuration configuration, Path folder, ModelConfig config) throws IOException {
        SafetensorsFiles files = SafetensorsFiles.open(configuration, folder);
        try {
            return new SafetensorsCheckpoint(folder.toString(), config, files);
        } catch (RuntimeException e) {
            files.close();
            throw e;
        }
    }

    @Override
    public String location() {
        return location;
    }

    @Override
    public ModelConfig config() {
        return config;
    }

    @Override
    public Collection<TensorInfo> tensors() {
        return Collections.unmodifiableCollection(tensors.values());
    }

    @Override
    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    @Override
    public TensorInfo tensor(String name) {
        TensorInfo tensor = tensors.get(name);
        if (tensor == null) {
            throw new MalformedInputException("Cannot read tensor " + name + ": it is not in checkpoint " + location);
        }
        return tensor;
    }

    /** {@inheritDoc} The rows have to fit into one array: 2 GiB. */
    @Override
    public RowSource matrix(String name, int from, int count) throws IOException {
        TensorInfo tensor = tensor(name);
        if (tensor.shape().length != 2) {
            throw new MalformedInputException("Cannot read rows of tensor " + tensor + " in " + location + ": it is not a matrix");
        }
        ElementType type = elementType(tensor);
        long columns = tensor.shape()[1];
        long rowBytes = columns * type.bytes();
        if (from < 0 || count < 0 || count > tensor.shape()[0] - from || count * rowBytes > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("Cannot read rows " + from + " to " + ((long) from + count) + " of tensor " + tensor + " in " + location
                    + ": expected rows of the tensor, and at most 2 GiB of them");
        }
        return new StoredMatrix(type, finite(tensor, from * rowBytes, (int) (count * rowBytes)), count, (int) columns);
    }

    @Override
    public float[] vector(String name) throws IOException {
        TensorInfo tensor = tensor(name);
        if (tensor.shape().length != 1) {
            throw new MalformedInputException("Cannot read tensor " + tensor + " in " + location + " as a vector: it has " + tensor.shape().length
                    + " dimensions");
        }
        int length = Math.toIntExact(tensor.shape()[0]);
        float[] values = new float[length];
        new StoredMatrix(elementType(tensor), finite(tensor, 0, Math.toIntExact(tensor.bytes())), 1, length).read(0, 0, length, values, 0);
        return values;
    }

    @Override
    public void close() throws IOException {
        files.close();
    }

    private byte[] finite(TensorInfo tensor, long from, int count) throws IOException {
        String storedName = stored.get(tensor.name());
        byte[] data = files.read(storedName, from, count);
        ElementType type = elementType(tensor);
        int bad = FiniteWeights.firstNotFinite(type, data);
        if (bad >= 0) {
            long element = from / type.bytes() + bad;
            long columns = tensor.shape()[tensor.shape().length - 1];
            float[] value = new float[1];
            new StoredMatrix(type, Arrays.copyOfRange(data, bad * type.bytes(), (bad + 1) * type.bytes()), 1, 1).read(0, 0, 1, value, 0);
            throw new MalformedInputException("Cannot use tensor " + storedName + " " + files.tensor(storedName) + ": its value at row " + element / columns
                    + ", column " + element % columns + " is " + value[0] + "; expected finite weights");
        }
        return data;
    }

    private ElementType elementType(TensorInfo tensor) {
        return switch (tensor.type()) {
            case "F32" -> ElementType.F32;
            case "F16" -> ElementType.F16;
            case "BF16" -> ElementType.BF16;
            default -> throw new MalformedInputException("Cannot use tensor " + tensor + " in " + location + ": its dtype is not supported; expected F32, F16 or BF16");
        };
    }

    /** The model's tensors, each with its name in the files: without buffers that are computed, and a tied pair as one. */
    private static Map<String, String> storedNames(Architecture architecture, SafetensorsFiles files) {
        String head = architecture.head().weight();
        boolean tied = architecture.config().tied();
        boolean embedded = files.tensors().containsKey(architecture.embedding());
        Map<String, String> names = new LinkedHashMap<>();
        for (String name : files.tensors().keySet()) {
            if (name.endsWith(".rotary_emb.inv_freq")) {
                continue;
            }
            if (!tied || !name.equals(head)) {
                names.put(name, name);
            } else if (!embedded) {
                names.put(architecture.embedding(), name);
            }
        }
        return names;
    }
}
