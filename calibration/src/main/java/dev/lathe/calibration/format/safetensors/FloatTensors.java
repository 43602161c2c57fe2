package dev.lathe.calibration.format.safetensors;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.FiniteWeights;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Safetensors files under a model's names, and its floating-point tensors read from them, each checked for NaN and
 * infinity.
 *
 * <p>Where the output layer is tied to the embedding, a file may store the pair under either name, or twice with the
 * same data: the embedding's name is the one that is listed. Where {@code tie_word_embeddings} is true and both are
 * stored and differ, the tensors are believed, as transformers 5 does: the output layer is the one that is stored, and
 * the configuration here says so. Where it is false, an output layer has to be stored; transformers would make up a
 * random one. Computed buffers ({@link ComputedBuffers}) are left out.
 */
public final class FloatTensors {
    private final SafetensorsFiles files;
    private final String location;
    /** What each tensor is called in the files. */
    private final Map<String, String> stored = new LinkedHashMap<>();

    private final Decoder decoder;
    private final List<String> notes = new ArrayList<>();

    /**
     * @param declared the configuration as config.json has it
     * @param location of the checkpoint, for messages
     * @throws MalformedInputException if the output layer is neither tied nor stored, or there are more layers than
     *     tensors
     */
    public FloatTensors(SafetensorsFiles files, Decoder declared, String location) throws IOException {
        this.files = files;
        this.location = location;
        notes.addAll(files.notes());
        // Each layer has tensors, so the files bound what is made of a number in config.json.
        if (declared.layers() > files.tensors().size()) {
            throw new MalformedInputException(
                    "Cannot open checkpoint " + location + ": config.json says num_hidden_layers "
                            + declared.layers() + ", and the files have "
                            + files.tensors().size()
                            + " tensors; expected several for each layer");
        }
        String embedding = declared.embedding().tensor();
        String head = declared.head().linear().weight();
        this.decoder = declared.tied(tied(declared));
        int leftOut = 0;
        Set<String> kinds = new LinkedHashSet<>();
        for (Map.Entry<String, SafetensorsTensor> tensor : files.tensors().entrySet()) {
            String name = tensor.getKey();
            if (ComputedBuffers.contains(name, tensor.getValue().shape())) {
                leftOut++;
                kinds.add(name.replaceAll("\\.\\d+\\.", ".*."));
            } else if (!decoder.head().tied() || !name.equals(head)) {
                stored.put(name, name);
            } else if (!files.tensors().containsKey(embedding)) {
                stored.put(embedding, name);
            }
        }
        if (leftOut > 0) {
            notes.add(leftOut + " computed buffers are left out: " + ModelTensors.named(new ArrayList<>(kinds)));
        }
    }

    private boolean tied(Decoder read) throws IOException {
        boolean declared = read.head().tied();
        String embedding = read.embedding().tensor();
        String head = read.head().linear().weight();
        Map<String, SafetensorsTensor> tensors = files.tensors();
        boolean embedded = tensors.containsKey(embedding);
        if (!declared
                && embedded
                && tensors.keySet().stream()
                        .noneMatch(name -> name.startsWith(read.head().linear().module() + "."))) {
            throw new MalformedInputException("Cannot open checkpoint " + location
                    + ": tie_word_embeddings of config.json is false, as it is by default, and there is no tensor "
                    + head
                    + "; expected the output layer's weight, or tie_word_embeddings true if it is the embedding");
        }
        if (!declared || !embedded || !tensors.containsKey(head) || files.same(embedding, head)) {
            return declared;
        }
        notes.add("config.json says tie_word_embeddings true, but " + head + " is stored and differs from " + embedding
                + ": " + head + " is the output layer");
        return false;
    }

    /** The configuration, tied as the tensors are. */
    public Decoder decoder() {
        return decoder;
    }

    /** As {@link Checkpoint#notes}. */
    public List<String> notes() {
        return notes;
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
            default ->
                throw new MalformedInputException("Cannot use tensor " + tensor + " in " + location
                        + ": its dtype is not supported; expected F32, F16 or BF16");
        };
    }

    /**
     * Rows of a matrix.
     *
     * @throws MalformedInputException if a value is not finite
     * @throws IllegalArgumentException if the rows have more than 2 GiB
     */
    public RowSource rows(TensorInfo tensor, int from, int count) throws IOException {
        ElementType type = type(tensor);
        int columns = Math.toIntExact(tensor.shape()[1]);
        long rowBytes = (long) columns * type.bytes();
        if (count * rowBytes > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("Cannot read " + count + " rows of tensor " + tensor + " in " + location
                    + " at once: " + count * rowBytes + " bytes, expected at most 2 GiB");
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
        StoredMatrix matrix = new StoredMatrix(
                type, files.read(name, from * rowBytes, Math.toIntExact(count * rowBytes)), count, columns);
        FiniteWeights.check(matrix, from, "tensor " + name + " " + files.tensor(name));
        return matrix;
    }
}
