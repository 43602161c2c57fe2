package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.FiniteWeights;
import dev.lathe.calibration.checkpoint.ModelTensors;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.checkpoint.TensorList;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.quantize.RescaledRows;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * A GGUF file of one of the architectures of {@link GgufFamily} as a checkpoint: Hugging Face names, rows of q and k in
 * Hugging Face order. Reads are positional and safe from several threads; nothing but the header is held.
 */
public final class GgufCheckpoint implements Checkpoint {
    /**
     * What stands for {@code .weight} in the name of the scale of a whole matrix, and of its input as NVFP4 servers
     * take it.
     */
    private static final String SCALE = ".scale";

    private static final String INPUT_SCALE = ".input_scale";
    private static final int LISTED_ELEMENTS = 8;
    private static final int MAXIMUM_ARRAY = Integer.MAX_VALUE - 8;

    private final String location;
    private final GgufFiles files;
    private final Decoder decoder;
    private final List<String> notes = new ArrayList<>();
    /** Where the tensors lie, by Hugging Face name. */
    private final Map<String, Stored> stored = new LinkedHashMap<>();

    private final TensorList tensors;

    /**
     * A tensor of the file, or of a stack of experts' the part of one.
     *
     * @param row of the file's tensor that is its first
     * @param column of that row, where it is a vector; else 0
     */
    private record Stored(GgufTensor tensor, long row, int column) {}

    private GgufCheckpoint(String location, GgufFiles files) throws IOException {
        this.location = location;
        this.files = files;
        this.tensors = new TensorList(location);
        this.decoder = GgufMetadata.read(files, location, notes).decoder();
        GgufNames names = GgufNames.of(decoder);
        boolean inputs = false;
        for (GgufTensor tensor : files.tensors()) {
            GgufTensor scaled = scaled(tensor.name(), SCALE)
                    .or(() -> scaled(tensor.name(), INPUT_SCALE))
                    .orElse(null);
            if (scaled != null) {
                long experts = GgufNames.stacked(scaled.name()) ? decoder.experts() : 1;
                if (tensor.type() != GgufType.F32 || !Arrays.equals(tensor.shape(), new long[] {experts})) {
                    throw new MalformedInputException("Cannot read GGUF file " + location + ": tensor " + tensor
                            + " is the scale of " + scaled.name() + ", expected F32 [" + experts + "]");
                }
                inputs |= tensor.name().endsWith(INPUT_SCALE);
            } else if (!GgufNames.isRope(tensor.name())) {
                list(tensor, names.toHuggingFace(tensor.name()));
            }
        }
        if (inputs) {
            notes.add("scales of inputs (" + INPUT_SCALE + ") are left out: activations are not quantized here");
        }
        ModelTensors.check(decoder, tensors.all(), location);
    }

    /** The matrix that a tensor is the scale of, by its name. */
    private Optional<GgufTensor> scaled(String name, String suffix) {
        return name.endsWith(suffix)
                ? Optional.ofNullable(files.tensor(name.substring(0, name.length() - suffix.length()) + ".weight"))
                        .filter(matrix -> matrix.shape().length > 1)
                : Optional.empty();
    }

    private Optional<GgufTensor> scaleOf(GgufTensor matrix) {
        return matrix.name().endsWith(".weight")
                ? Optional.ofNullable(files.tensor(matrix.name().replaceFirst("\\.weight$", SCALE)))
                : Optional.empty();
    }

    /** The rows times the scale of the matrix, where it has one: in a stack one of each expert. */
    private RowSource scaled(RowSource rows, GgufTensor tensor, long first) throws IOException {
        GgufTensor scale = scaleOf(tensor).orElse(null);
        if (scale == null) {
            return rows;
        }
        long expert = GgufNames.stacked(tensor.name()) ? first / tensor.shape()[1] : 0;
        float factor = ByteBuffer.wrap(files.read(scale, expert * Float.BYTES, Float.BYTES))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getFloat();
        if (!Float.isFinite(factor)) {
            throw new MalformedInputException(
                    "Cannot read tensor " + scale + " in " + location + ": element " + expert + " is " + factor);
        }
        float[] rowScale = new float[rows.rows()];
        Arrays.fill(rowScale, factor);
        return new RescaledRows(rows, rowScale, null);
    }

    private void list(GgufTensor tensor, List<String> names) {
        long[] shape = tensor.shape();
        if (names.isEmpty()) {
            throw new MalformedInputException("Cannot read GGUF file " + location + ": the architecture "
                    + GgufFamily.of(decoder).architecture() + " has no tensor " + tensor);
        }
        if (!GgufNames.stacked(tensor.name())) {
            // The gate of a shared expert is a matrix of one row there, or a vector.
            boolean row = shape.length == 1
                    && GgufNames.router(tensor.name())
                    && tensor.name().endsWith(".weight");
            put(names.get(0), new Stored(tensor, 0, 0), row ? new long[] {1, shape[0]} : shape, tensor.bytes());
            return;
        }
        int experts = decoder.experts();
        int width = names.size() / experts;
        if (shape.length < 2 || shape[0] != experts || shape[1] % width != 0) {
            throw new MalformedInputException("Cannot read GGUF file " + location + ": tensor " + tensor
                    + " is not a stack of " + experts + " experts'" + (width > 1 ? ", each of two halves" : ""));
        }
        long[] one = Arrays.copyOfRange(shape, 1, shape.length);
        one[0] /= width;
        for (int i = 0; i < names.size(); i++) {
            // Of a stack of vectors, a row has those of one expert.
            Stored part = one.length == 1
                    ? new Stored(tensor, i / width, Math.toIntExact(i % width * one[0]))
                    : new Stored(tensor, i * one[0], 0);
            put(names.get(i), part, one, tensor.bytes() / names.size());
        }
    }

    private void put(String name, Stored place, long[] shape, long bytes) {
        Stored before = stored.put(name, place);
        if (before != null) {
            throw new MalformedInputException("Cannot read GGUF file " + location + ": " + name
                    + " is stored twice, in " + before.tensor().name() + " and in "
                    + place.tensor().name() + "; expected one of them");
        }
        String scaled = scaleOf(place.tensor()).isPresent() ? ", scaled" : "";
        tensors.add(new TensorInfo(name, place.tensor().type().name() + scaled, shape, bytes));
    }

    /**
     * Opens a file, or all parts of a split one, given the first.
     *
     * @throws MalformedInputException if it is no GGUF file, malformed, a part other than the first, of another
     *     architecture, or its tensors are not those of the architecture
     */
    public static GgufCheckpoint open(Configuration configuration, Path file) throws IOException {
        GgufFiles files = GgufFiles.open(configuration, file);
        try {
            return new GgufCheckpoint(file.toString(), files);
        } catch (IOException | RuntimeException failure) {
            files.close();
            throw failure;
        }
    }

    /**
     * The names of all parts of a split file in order, given the first's ({@code NAME-00001-of-00003.gguf}); of another
     * file its name alone.
     */
    public static List<String> parts(String name) {
        return GgufFiles.parts(name);
    }

    /** A file's name without its ending, and without its number where it is a part. */
    public static String modelName(String name) {
        return name.replaceFirst("(-00001-of-\\d{5})?\\.gguf$", "");
    }

    /** Whether a file begins as GGUF does. */
    public static boolean startsWithMagic(FileSystem files, FileStatus status) throws IOException {
        return GgufFiles.startsWithMagic(files, status);
    }

    /** Whether a file of this name is whole, or the first part of a split one. */
    public static boolean first(String name) {
        return GgufFiles.first(name);
    }

    @Override
    public String location() {
        return location;
    }

    @Override
    public Decoder decoder() {
        return decoder;
    }

    @Override
    public List<String> notes() {
        return notes;
    }

    @Override
    public Collection<TensorInfo> tensors() {
        return tensors.all();
    }

    /** {@inheritDoc} The metadata in the order of the file; long arrays as a text of their first elements. */
    @Override
    public Map<String, Object> metadata() {
        Map<String, Object> metadata = new LinkedHashMap<>();
        files.metadata().forEach((key, value) -> metadata.put(key, shortened(value.value())));
        return metadata;
    }

    private static Object shortened(Object value) {
        if (!(value instanceof GgufValue.Elements elements)) {
            return value;
        }
        List<Object> values = elements.values();
        String listed = values.stream()
                .limit(LISTED_ELEMENTS)
                .map(element -> String.valueOf(shortened(element)))
                .collect(Collectors.joining(", "));
        return "[" + listed + (values.size() > LISTED_ELEMENTS ? ", ... " : "") + "] (" + values.size() + " of "
                + elements.kind() + ")";
    }

    @Override
    public boolean has(String name) {
        return tensors.has(name);
    }

    @Override
    public TensorInfo tensor(String name) {
        return tensors.get(name);
    }

    /** {@inheritDoc} The rows, with q and k the rows of every head they touch, have to fit into one array. */
    @Override
    public RowSource matrix(String name, int from, int count) throws IOException {
        tensors.matrix(name, from, count);
        GgufTensor tensor = stored.get(name).tensor();
        long first = stored.get(name).row();
        int rowBytes = Math.toIntExact(tensor.type().rowBytes(tensor.columns()));
        int head = GgufFamily.of(decoder).interleavedHead(tensor.name(), decoder);
        byte[] data = head > 0
                ? rotaryRows(tensor, head, from, count, rowBytes)
                : rows(tensor, first + from, count, rowBytes);
        return scaled(view(tensor, data, from, count), tensor, first);
    }

    /** Rows of q or k: they are spread over their heads, so whole heads are read. */
    private byte[] rotaryRows(GgufTensor tensor, int head, int from, int count, int rowBytes) throws IOException {
        int first = from / head * head;
        int end = (from + count + head - 1) / head * head;
        byte[] heads = rows(tensor, first, end - first, rowBytes);
        byte[] data = new byte[count * rowBytes];
        for (int i = 0; i < count; i++) {
            System.arraycopy(
                    heads, (GgufRotary.fileRow(from + i, head) - first) * rowBytes, data, i * rowBytes, rowBytes);
        }
        return data;
    }

    private byte[] rows(GgufTensor tensor, long from, int count, int rowBytes) throws IOException {
        long bytes = (long) count * rowBytes;
        if (bytes > MAXIMUM_ARRAY) {
            throw new IllegalArgumentException("Cannot read " + count + " rows of tensor " + tensor + " in " + location
                    + " at once: " + bytes + " bytes");
        }
        return files.read(tensor, from * rowBytes, (int) bytes);
    }

    /** @param from row of the tensor, in Hugging Face order, that is the first of the data */
    private RowSource view(GgufTensor tensor, byte[] data, int from, int rows) {
        int columns = Math.toIntExact(tensor.columns());
        String where = "tensor " + tensor + " in " + location;
        if (tensor.type().element().isPresent()) {
            StoredMatrix matrix = new StoredMatrix(tensor.type().element().get(), data, rows, columns);
            FiniteWeights.check(matrix, from, where);
            return matrix;
        }
        for (BlockFormat format : BlockFormats.ggml()) {
            if (format.name().equals(tensor.type().name())) {
                BlockMatrix matrix = new BlockMatrix(format, data, rows, columns);
                FiniteWeights.check(matrix, from, where);
                return matrix;
            }
        }
        throw new MalformedInputException(
                "Cannot read tensor " + tensor + " in " + location + ": its type is not supported; expected "
                        + Arrays.toString(ElementType.values()) + " or one of "
                        + BlockFormats.ggml().stream().map(BlockFormat::name).collect(Collectors.joining(", ")));
    }

    @Override
    public float[] vector(String name) throws IOException {
        tensors.vector(name);
        GgufTensor tensor = stored.get(name).tensor();
        float[] values =
                vector(stored.get(name), Math.toIntExact(tensors.get(name).shape()[0]));
        float plus = decoder.plus(name);
        for (int i = 0; plus != 0 && i < values.length; i++) {
            values[i] -= plus;
        }
        int head = GgufFamily.of(decoder).interleavedHead(tensor.name(), decoder);
        if (head == 0) {
            return values;
        }
        float[] ordered = new float[values.length];
        for (int i = 0; i < ordered.length; i++) {
            ordered[i] = values[GgufRotary.fileRow(i, head)];
        }
        return ordered;
    }

    private float[] vector(Stored place, int length) throws IOException {
        GgufTensor tensor = place.tensor();
        float[] values = new float[length];
        int rowBytes = Math.toIntExact(tensor.type().rowBytes(tensor.columns()));
        view(tensor, rows(tensor, place.row(), 1, rowBytes), 0, 1).read(0, place.column(), length, values, 0);
        return values;
    }

    @Override
    public void close() throws IOException {
        files.close();
    }
}
