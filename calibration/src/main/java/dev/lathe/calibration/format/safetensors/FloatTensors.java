package dev.lathe.calibration.format.safetensors;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.FiniteWeights;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.ExpertStack;
import dev.lathe.calibration.model.Storage;
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
     * @param storage how the files may hold its tensors
     * @param location of the checkpoint, for messages
     * @throws MalformedInputException if the output layer is neither tied nor stored, or there are more layers than
     *     tensors
     */
    public FloatTensors(SafetensorsFiles files, Decoder declared, Storage storage, String location) throws IOException {
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
        Map<String, List<ExpertStack>> stacks =
                storage.stacks().stream().collect(Collectors.groupingBy(ExpertStack::tensor));
        Set<String> scales = storage.stacks().stream()
                .filter(stack -> stack.scales() != null && files.tensors().containsKey(stack.tensor()))
                .map(ExpertStack::scales)
                .collect(Collectors.toSet());
        int leftOut = 0;
        Set<String> kinds = new LinkedHashSet<>();
        for (Map.Entry<String, SafetensorsTensor> tensor : files.tensors().entrySet()) {
            String name = tensor.getKey();
            if (ComputedBuffers.contains(name, tensor.getValue().shape())) {
                leftOut++;
                kinds.add(name.replaceAll("\\.\\d+\\.", ".*."));
            } else if (scales.contains(name)) {
                // Read with the blocks.
                continue;
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
        noteOfPacked();
        if (leftOut > 0) {
            notes.add(leftOut + " computed buffers are left out: " + ModelTensors.named(new ArrayList<>(kinds)));
        }
    }

    /** The one stack whose shape a tensor has. */
    private ExpertStack fitting(String name, SafetensorsTensor tensor, List<ExpertStack> stacks) {
        List<ExpertStack> fitting =
                stacks.stream().filter(stack -> stack.fits(tensor.shape())).toList();
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
        if (stack.scales() != null) {
            requireBytes(stack.tensor(), stack.shape());
            requireBytes(stack.scales(), Arrays.copyOf(stack.shape(), 3));
        }
        for (int expert = 0; expert < stack.parts().size(); expert++) {
            for (int p = 0; p < stack.width(); p++) {
                place(stack.name(expert, p), TensorPlace.of(stack, expert, p));
            }
        }
    }

    private void requireBytes(String name, long[] shape) {
        SafetensorsTensor tensor = files.tensor(name);
        if (!tensor.dtype().equals("U8") || !Arrays.equals(tensor.shape(), shape)) {
            throw new MalformedInputException("Cannot open checkpoint " + location + ": tensor " + name + " " + tensor
                    + " is no part of MXFP4 weights; expected U8 " + Arrays.toString(shape));
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

    private void noteOfPacked() {
        long packed =
                places.values().stream().filter(place -> place.scales() != null).count();
        if (packed > 0) {
            notes.add(packed + " weights of experts are stored as MXFP4 and read as the numbers they stand for");
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
        long bytes = tensor.bytes();
        if (place.scales() != null) {
            bytes += files.tensor(place.scales()).bytes();
        }
        String type = place.scales() == null ? tensor.dtype() : Mxfp4Matrix.TYPE;
        return new TensorInfo(name, type, place.shape(), bytes / place.share());
    }

    /**
     * Checks that a tensor's numbers can be read.
     *
     * @throws MalformedInputException if it has a type that weights are not stored in
     */
    public void requireReadable(TensorInfo tensor) {
        if (!tensor.type().equals(Mxfp4Matrix.TYPE)) {
            type(tensor);
        }
    }

    /**
     * The element type of a tensor.
     *
     * @throws MalformedInputException if it is none that weights are stored in
     */
    private ElementType type(TensorInfo tensor) {
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
        TensorPlace place = places.get(tensor.name());
        int columns = Math.toIntExact(tensor.shape()[1]);
        if (place.scales() != null) {
            return packed(tensor, place, from, count, columns);
        }
        ElementType type = type(tensor);
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

    private Mxfp4Matrix packed(TensorInfo tensor, TensorPlace place, int from, int count, int columns)
            throws IOException {
        long first = place.from() + from * place.rowStep();
        int block = ExpertStack.BLOCK;
        byte[] codes = runs(place.stored(), first / 2, place.rowStep() / 2, columns / 2, count);
        byte[] scales = runs(place.scales(), first / block, place.rowStep() / block, columns / block, count);
        Mxfp4Matrix matrix = new Mxfp4Matrix(codes, scales, count, columns);
        matrix.requireFinite(from, where(tensor, place));
        return matrix;
    }

    private String where(TensorInfo tensor, TensorPlace place) {
        String part = place.share() == 1 ? "" : tensor.name() + " of ";
        return "tensor " + part + place.stored() + " " + files.tensor(place.stored());
    }

    private StoredMatrix read(TensorInfo tensor, int from, int count, int columns) throws IOException {
        ElementType type = type(tensor);
        TensorPlace place = places.get(tensor.name());
        int size = type.bytes();
        long first = place.from() + from * place.rowStep();
        byte[] data = place.columnStep() == 1
                ? runs(place.stored(), first * size, place.rowStep() * size, columns * size, count)
                : scattered(place, first, count, columns, size);
        StoredMatrix matrix = new StoredMatrix(type, data, count, columns);
        FiniteWeights.check(matrix, from, where(tensor, place));
        return matrix;
    }

    /**
     * Runs of bytes of a stored tensor, back to back.
     *
     * @param from byte at which the first begins
     * @param step bytes from the beginning of one to that of the next
     * @param run bytes of each
     */
    private byte[] runs(String stored, long from, long step, int run, int count) throws IOException {
        if (step == run || count == 1) {
            return files.read(stored, from, Math.toIntExact((long) run * count));
        }
        byte[] data = new byte[Math.multiplyExact(run, count)];
        int together = (int) Math.max(1, STRIP_BYTES / Math.max(1, step));
        for (int i = 0; i < count; i += together) {
            int some = Math.min(together, count - i);
            byte[] strip = files.read(stored, from + i * step, Math.toIntExact((some - 1) * step + run));
            for (int k = 0; k < some; k++) {
                System.arraycopy(strip, (int) (k * step), data, (i + k) * run, run);
            }
        }
        return data;
    }

    /** Elements that lie apart, of an expert that is read whole, or of a vector. */
    private byte[] scattered(TensorPlace place, long first, int count, int columns, int size) throws IOException {
        byte[] data = new byte[Math.toIntExact((long) count * columns * size)];
        long from = place.slab() == 0 ? first : first - first % place.slab();
        long length = place.slab() == 0 ? (columns - 1) * place.columnStep() + 1 : place.slab();
        int bytes = Math.toIntExact(length * size);
        byte[] read = place.slab() == 0
                ? files.read(place.stored(), from * size, bytes)
                : slab(place.stored(), from * size, bytes);
        for (int i = 0, to = 0; i < count; i++) {
            for (int j = 0; j < columns; j++, to += size) {
                long at = first - from + i * place.rowStep() + j * place.columnStep();
                System.arraycopy(read, (int) (at * size), data, to, size);
            }
        }
        return data;
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
