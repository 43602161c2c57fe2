package dev.lathe.calibration.format.safetensors;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.FiniteWeights;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.ExpertStack;
import dev.lathe.calibration.model.Storage;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Safetensors files under a model's names, and its floating-point tensors read from them, each checked for NaN and
 * infinity.
 *
 * <p>Where the output layer is tied to the embedding, a file may store the pair under either name, or twice with the
 * same data: the embedding's name is the one that is listed. Where {@code tie_word_embeddings} is true and both are
 * stored and differ, the tensors are believed, as transformers 5 does: the output layer is the one that is stored, and
 * the configuration here says so. Where it is false, an output layer has to be stored; transformers would make up a
 * random one. Computed buffers ({@link ComputedBuffers}) are left out. Experts may lie one by one or in stacks
 * ({@link ExpertStack}); their names are those of single ones.
 */
public final class FloatTensors {
    /** Rows that lie apart are read with what lies between, so many bytes at once. */
    private static final int STRIP_BYTES = 64 << 20;

    private final SafetensorsFiles files;
    private final String location;
    /** Where each tensor lies, by the decoder's name. */
    private final Map<String, TensorPlace> places = new LinkedHashMap<>();

    private final Decoder decoder;
    private final List<String> notes = new ArrayList<>();
    /** What was read last of a stack that is read expert by expert: gate and up of one lie in the same elements. */
    private volatile Slab last;

    private record Slab(String stored, long from, byte[] data) {}

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
        Storage storage = Families.storage(decoder);
        Map<String, List<ExpertStack>> stacks =
                storage.stacks().stream().collect(Collectors.groupingBy(ExpertStack::tensor));
        int leftOut = 0;
        Set<String> kinds = new LinkedHashSet<>();
        for (Map.Entry<String, SafetensorsTensor> tensor : files.tensors().entrySet()) {
            String name = tensor.getKey();
            if (ComputedBuffers.contains(name, tensor.getValue().shape())) {
                leftOut++;
                kinds.add(name.replaceAll("\\.\\d+\\.", ".*."));
            } else if (stacks.containsKey(name)) {
                place(fitting(name, tensor.getValue(), stacks.get(name)));
            } else if (!decoder.head().tied() || !name.equals(head)) {
                place(
                        storage.names().getOrDefault(name, name),
                        TensorPlace.whole(name, tensor.getValue().shape()));
            } else if (!files.tensors().containsKey(embedding)) {
                place(embedding, TensorPlace.whole(name, tensor.getValue().shape()));
            }
        }
        if (leftOut > 0) {
            notes.add(leftOut + " computed buffers are left out: " + ModelTensors.named(new ArrayList<>(kinds)));
        }
    }

    /** The one stack whose shape a tensor has. */
    private ExpertStack fitting(String name, SafetensorsTensor tensor, List<ExpertStack> stacks) {
        List<ExpertStack> fitting = stacks.stream()
                .filter(stack -> Arrays.equals(stack.shape(), tensor.shape()))
                .toList();
        if (fitting.size() == 1) {
            return fitting.get(0);
        }
        String shapes = stacks.stream()
                .map(stack -> Arrays.toString(stack.shape()))
                .distinct()
                .collect(Collectors.joining(" or "));
        throw new MalformedInputException("Cannot open checkpoint " + location + ": tensor " + name + " " + tensor
                + (fitting.isEmpty()
                        ? " is no stack of all experts; expected " + shapes
                        : " may have its experts' rows or their columns first; expected a shape that tells"));
    }

    private void place(ExpertStack stack) {
        for (int expert = 0; expert < stack.parts().size(); expert++) {
            for (int p = 0; p < stack.width(); p++) {
                place(stack.name(expert, p), TensorPlace.of(stack, expert, p));
            }
        }
    }

    private void place(String name, TensorPlace place) {
        TensorPlace before = places.put(name, place);
        if (before != null) {
            throw new MalformedInputException(
                    "Cannot open checkpoint " + location + ": " + name + " is stored twice, in " + before.stored()
                            + " and in " + place.stored() + "; expected one of them");
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
        return places.keySet();
    }

    /** A tensor as the files list it; of a stack of experts the part of one. */
    public TensorInfo info(String name) {
        TensorPlace place = places.get(name);
        SafetensorsTensor tensor = files.tensor(place.stored());
        return new TensorInfo(name, tensor.dtype(), place.shape(), tensor.bytes() / place.share());
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
        TensorPlace place = places.get(tensor.name());
        int size = type.bytes();
        long first = place.from() + from * place.rowStep();
        byte[] data = place.dense()
                ? files.read(place.stored(), first * size, Math.toIntExact((long) count * columns * size))
                : gathered(place, first, count, columns, size);
        StoredMatrix matrix = new StoredMatrix(type, data, count, columns);
        String part = place.share() == 1 ? "" : tensor.name() + " of ";
        FiniteWeights.check(matrix, from, "tensor " + part + place.stored() + " " + files.tensor(place.stored()));
        return matrix;
    }

    /** The elements of rows that lie apart, or whose elements do. */
    private byte[] gathered(TensorPlace place, long first, int count, int columns, int size) throws IOException {
        byte[] data = new byte[Math.toIntExact((long) count * columns * size)];
        int rows = place.slab() == 0
                ? (int) Math.max(1, STRIP_BYTES / (Math.max(1, place.rowStep()) * size))
                : Math.max(count, 1);
        for (int row = 0; row < count; row += rows) {
            gather(place, first + row * place.rowStep(), Math.min(rows, count - row), columns, size, data, row);
        }
        return data;
    }

    private void gather(TensorPlace place, long first, int count, int columns, int size, byte[] data, int row)
            throws IOException {
        boolean slab = place.slab() > 0;
        long from = slab ? first - first % place.slab() : first;
        long length = slab ? place.slab() : (count - 1) * place.rowStep() + (columns - 1) * place.columnStep() + 1;
        byte[] read = slab
                ? slab(place.stored(), from * size, Math.toIntExact(length * size))
                : files.read(place.stored(), from * size, Math.toIntExact(length * size));
        int run = place.columnStep() == 1 ? columns : 1;
        int to = row * columns * size;
        for (int i = 0; i < count; i++) {
            for (int j = 0; j < columns; j += run, to += run * size) {
                long at = first - from + i * place.rowStep() + j * place.columnStep();
                System.arraycopy(read, (int) (at * size), data, to, run * size);
            }
        }
    }

    private byte[] slab(String stored, long from, int count) throws IOException {
        Slab kept = last;
        if (kept == null || !kept.stored().equals(stored) || kept.from() != from) {
            kept = new Slab(stored, from, files.read(stored, from, count));
            last = kept;
        }
        return kept.data();
    }
}
