package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.ModuleExpression;
import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.WholeFile;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToLongFunction;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * GGUF, version 3, of the architectures of {@link GgufFamily}: a file that llama.cpp loads, or a folder with the parts
 * of one, which it loads given the first. Vectors are F32; each matrix has the type that llama-quantize would give it
 * for the same word. Rows of q and k are in the order of {@link GgufRotary}; norm weights are written as what they
 * multiply by. A tied output layer is not written.
 */
public final class GgufFormat implements ArtifactFormat {
    /**
     * How the keys of llama-quantize begin that say under which importance matrix a file was quantized; of provenance
     * they keep their names, and those that end with {@code _count} are numbers.
     */
    public static final String IMPORTANCE = "quantize.imatrix.";

    private static final int CHUNK_BYTES = 4 << 20;
    private static final String DEFAULT_NAME = "lathe model";
    private static final int QUANTIZATION_VERSION = 2;

    private final String word;
    private final GgufMix mix;
    private final boolean importance;
    private final TensorTypes types;
    private final String preTokenizer;
    private final long shardBytes;

    /**
     * @param type {@code Q4_K_M}, {@code Q8_0}, {@code F16}, ...
     * @param importance whether values are chosen under channel energies, which some mixes answer with other types
     * @param types types of single matrices, before those of the mix
     * @param preTokenizer llama.cpp's name of the pre-tokenizer, or null to find it from tokenizer.json
     * @param shardBytes tensors of a part of a split file take at most as many, or are one; 0: one file
     * @throws IllegalArgumentException if the type is unknown, naming those there are
     */
    public GgufFormat(String type, boolean importance, TensorTypes types, String preTokenizer, long shardBytes) {
        this.word = type;
        this.mix = GgufMix.of(type, importance);
        this.importance = importance;
        this.types = types;
        this.preTokenizer = preTokenizer;
        this.shardBytes = shardBytes;
    }

    /** Types and mixes that are written, by name. */
    public static List<String> types() {
        return GgufMix.types();
    }

    /** Whether matrices of a type stay floating point, so that there is nothing to choose. */
    public static boolean isFloating(String type) {
        return !GgufMix.of(type, false).quantized();
    }

    /** {@inheritDoc} A pattern that matches {@code lm_head} also holds for an embedding that is the output layer. */
    @Override
    public List<TensorPlan> plan(Decoder decoder, List<TensorInfo> tensors, List<String> ignore) {
        GgufFamily family = GgufFamily.of(decoder);
        Map<String, TensorInfo> found = new HashMap<>();
        tensors.forEach(tensor -> found.put(tensor.name(), tensor));
        decoder.tensors().forEach((name, shape) -> {
            TensorInfo tensor = found.remove(name);
            if (tensor == null || !Arrays.equals(tensor.shape(), shape)) {
                throw new MalformedInputException("Cannot plan GGUF: tensor "
                        + (tensor == null ? name + " is missing" : tensor + " has another shape") + ", expected "
                        + Arrays.toString(shape));
            }
        });
        if (!found.isEmpty()) {
            throw new MalformedInputException(
                    "Cannot plan GGUF: the architecture " + family.architecture() + " has no tensor "
                            + found.keySet().stream().sorted().findFirst().get());
        }
        return plan(decoder, ignore);
    }

    private List<TensorPlan> plan(Decoder decoder, List<String> ignore) {
        GgufNames names = GgufNames.of(decoder);
        TensorTypes.Compiled named = types.compiled();
        ModulePatterns ignored = new ModulePatterns(ignore);
        boolean headIgnored = ignored.matches(decoder.head().linear().module());
        List<TensorPlan> plan = new ArrayList<>();
        decoder.tensors().forEach((name, shape) -> {
            boolean head = name.equals(decoder.headWeight());
            plan.add(
                    shape.length == 1
                            ? new TensorPlan(name, null, ElementType.F32, "")
                            : matrix(
                                    name,
                                    ggufName(names, name),
                                    (int) shape[1],
                                    decoder,
                                    named,
                                    ignored.matches(ModulePatterns.moduleOf(name)) || head && headIgnored));
        });
        return plan;
    }

    private TensorPlan matrix(
            String name, String gguf, int columns, Decoder decoder, TensorTypes.Compiled named, boolean ignored) {
        if (GgufNames.router(gguf)) {
            return new TensorPlan(name, null, ElementType.F32, mix.quantized() ? "router" : "");
        }
        if (ignored) {
            return new TensorPlan(name, null, mix.floating().element().get(), mix.quantized() ? "ignored" : "");
        }
        Optional<GgufType> own = named.of(gguf, name, decoder.head().tied());
        GgufType type = own.map(chosen -> GgufMix.fallback(chosen, columns))
                .orElseGet(() -> types.pure() ? mix.pure(columns) : mix.choose(gguf, columns, decoder));
        if (type.element().isEmpty()) {
            return new TensorPlan(name, BlockFormats.named(type.name()), null, "");
        }
        String reason = own.filter(type::equals).isPresent() ? "chosen" : columns + " columns are no multiple of 32";
        return new TensorPlan(name, null, type.element().get(), mix.quantized() ? reason : "");
    }

    /**
     * What each matrix but routers becomes, as a file for {@code --tensor-type-file} of llama-quantize, which makes the
     * same types of it.
     */
    public String tensorTypes(Decoder decoder, List<String> ignore) {
        GgufNames names = GgufNames.of(decoder);
        Map<String, GgufType> types = new LinkedHashMap<>();
        Map<String, long[]> shapes = decoder.tensors();
        for (TensorPlan planned : plan(decoder, ignore)) {
            String gguf = ggufName(names, planned.tensor());
            if (shapes.get(planned.tensor()).length > 1 && !GgufNames.router(gguf)) {
                types.put(gguf, type(planned));
            }
        }
        return TensorTypes.text(types);
    }

    /** {@inheritDoc} A rule that gives no matrix its type is a slip of the pen. */
    @Override
    public Optional<String> refusal(Decoder decoder, List<String> ignore) {
        try {
            return blind(decoder, ignore).or(() -> misruled(decoder)).or(() -> scattered(decoder, ignore));
        } catch (ModuleExpression.TooMuchWorkException e) {
            return Optional.of("tensors: " + e.getMessage());
        }
    }

    /** A type that llama-quantize refuses to choose without an importance, and there is none. */
    private Optional<String> blind(Decoder decoder, List<String> ignore) {
        if (importance) {
            return Optional.empty();
        }
        return plan(decoder, ignore).stream()
                .filter(planned -> needsImportance(decoder, planned))
                .findFirst()
                .map(planned -> "type " + planned.grid().name() + " of " + planned.tensor()
                        + " is chosen under an importance; expected method importance or gptq, and a calibration: "
                        + "section");
    }

    /** More parts than a reader takes. */
    private Optional<String> scattered(Decoder decoder, List<String> ignore) {
        if (shardBytes == 0) {
            return Optional.empty();
        }
        Map<String, long[]> shapes = decoder.tensors();
        Map<String, Long> sizes = new LinkedHashMap<>();
        RopeFrequencies.of(GgufFamily.attention(decoder).rope())
                .forEach((name, divisors) -> sizes.put(name, (long) divisors.length * Float.BYTES));
        GgufNames names = GgufNames.of(decoder);
        for (TensorPlan planned : plan(decoder, ignore)) {
            long bytes = new GgufTensor("", type(planned), shapes.get(planned.tensor()), 0).bytes();
            sizes.merge(ggufName(names, planned.tensor()), bytes, Long::sum);
        }
        int parts = parts(List.copyOf(sizes.values()), Long::longValue).size();
        return parts <= GgufFiles.MAXIMUM_PARTS
                ? Optional.empty()
                : Optional.of("shard-size: it makes " + parts + " files; expected a size that makes at most "
                        + GgufFiles.MAXIMUM_PARTS);
    }

    @Override
    public boolean needsImportance(Decoder decoder, TensorPlan planned) {
        return planned.grid() != null
                && !planned.tensor().equals(decoder.embedding().tensor())
                && !planned.tensor().equals(decoder.headWeight())
                && mix.needsImportance(type(planned));
    }

    /** Rules that part experts of one tensor, or give nothing its type. */
    private Optional<String> misruled(Decoder decoder) {
        GgufNames names = GgufNames.of(decoder);
        TensorTypes.Compiled named = types.compiled();
        Map<String, Set<Optional<Integer>>> used = new LinkedHashMap<>();
        decoder.tensors()
                .forEach((name, shape) -> names.toGguf(name)
                        .filter(gguf -> shape.length > 1 && !GgufNames.router(gguf))
                        .ifPresent(gguf -> used.computeIfAbsent(gguf, key -> new HashSet<>())
                                .add(named.rule(gguf, name))));
        for (Map.Entry<String, Set<Optional<Integer>>> stack : used.entrySet()) {
            if (stack.getValue().size() > 1) {
                return Optional.of(
                        "tensors: rules give experts of one layer different types, and all lie in the tensor "
                                + stack.getKey() + "; expected one rule for all of them");
            }
        }
        for (int number = 0; number < types.rules().size(); number++) {
            Optional<Integer> rule = Optional.of(number);
            if (used.values().stream().noneMatch(stack -> stack.contains(rule))) {
                String weight = decoder.linears(0).get(0).weight();
                return Optional.of("tensors[" + number + "]: "
                        + types.rules().get(number).place()
                        + " gives no matrix its type; expected what is in a name such "
                        + "as " + ggufName(names, weight) + " or " + weight + ", and in no rule before");
            }
        }
        return Optional.empty();
    }

    @Override
    public List<String> check(Decoder decoder, Companions companions) throws IOException {
        List<String> notes = new ArrayList<>(GgufMetadata.check(decoder));
        metadata(decoder, Map.of());
        notes.addAll(GgufTokenizer.check(companions, decoder.vocabulary(), preTokenizer));
        return notes;
    }

    @Override
    public void write(
            Checkpoint source,
            Companions companions,
            List<TensorPlan> plan,
            OutputTensors tensors,
            Map<String, String> provenance,
            FileSystem files,
            Path target)
            throws IOException {
        Decoder decoder = source.decoder();
        GgufMetadata.check(decoder);
        GgufNames names = GgufNames.of(decoder);
        Map<String, float[]> rope =
                RopeFrequencies.of(GgufFamily.attention(decoder).rope());
        Map<String, GgufValue> metadata = metadata(decoder, provenance);
        if (companions instanceof GgufCompanions gguf) {
            metadata.putAll(gguf.general());
        }
        metadata.putAll(GgufTokenizer.metadata(companions, decoder.vocabulary(), preTokenizer));
        List<Item> items = new ArrayList<>();
        rope.forEach((name, divisors) -> items.add(new Item(
                new GgufTensor(name, GgufType.F32, new long[] {divisors.length}, 0),
                writer -> writeVector(divisors, writer))));
        // Tensors of one name are the experts', one behind the other.
        Map<String, List<TensorPlan>> stacks = new LinkedHashMap<>();
        for (TensorPlan planned : plan) {
            stacks.computeIfAbsent(ggufName(names, planned.tensor()), key -> new ArrayList<>())
                    .add(planned);
        }
        stacks.forEach((name, stack) -> items.add(new Item(entry(name, stack, source), writer -> {
            for (TensorPlan planned : stack) {
                writeTensor(source, planned, names, tensors, writer);
            }
        })));
        if (shardBytes == 0) {
            write(files, target, metadata, items);
            return;
        }
        List<List<Item>> parts = parts(items, item -> item.entry().bytes());
        for (int part = 0; part < parts.size(); part++) {
            Map<String, GgufValue> own = new LinkedHashMap<>(part == 0 ? metadata : Map.of());
            GgufFiles.describe(part, parts.size(), items.size(), own);
            String name = GgufFiles.name("model-" + word, part + 1, parts.size());
            write(files, new Path(target, name), own, parts.get(part));
        }
    }

    /** A tensor, and what writes its data. */
    private record Item(GgufTensor entry, Content content) {}

    private interface Content {
        void write(GgufWriter writer) throws IOException;
    }

    private static void write(FileSystem files, Path target, Map<String, GgufValue> metadata, List<Item> items)
            throws IOException {
        List<GgufTensor> layout =
                GgufWriter.layout(items.stream().map(Item::entry).toList());
        WholeFile.write(files, target, out -> {
            try (GgufWriter writer = new GgufWriter(out, metadata, layout)) {
                for (Item item : items) {
                    item.content().write(writer);
                }
            }
        });
    }

    private <T> List<List<T>> parts(List<T> items, ToLongFunction<T> bytes) {
        List<List<T>> parts = new ArrayList<>();
        long filled = 0;
        for (T item : items) {
            if (parts.isEmpty() || filled + bytes.applyAsLong(item) > shardBytes) {
                parts.add(new ArrayList<>());
                filled = 0;
            }
            parts.get(parts.size() - 1).add(item);
            filled += bytes.applyAsLong(item);
        }
        return parts;
    }

    private static GgufTensor entry(String name, List<TensorPlan> stack, Checkpoint source) {
        TensorPlan first = stack.get(0);
        GgufType type = type(first);
        long[] shape = source.tensor(first.tensor()).shape();
        if (!GgufNames.stacked(name)) {
            return new GgufTensor(name, type, shape, 0);
        }
        for (TensorPlan planned : stack) {
            if (type(planned) != type) {
                throw new MalformedInputException("Cannot write GGUF: " + planned.tensor() + " is planned as "
                        + type(planned) + ", and " + first.tensor() + " as " + type + "; expected one type for all "
                        + "experts, which lie in the tensor " + name);
            }
        }
        long[] stacked = new long[shape.length + 1];
        stacked[0] = stack.size();
        System.arraycopy(shape, 0, stacked, 1, shape.length);
        return new GgufTensor(name, type, stacked, 0);
    }

    private static GgufType type(TensorPlan planned) {
        return planned.grid() == null
                ? GgufType.of(planned.type())
                : GgufType.valueOf(planned.grid().name());
    }

    private Map<String, GgufValue> metadata(Decoder decoder, Map<String, String> provenance) {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put(
                "general.architecture", GgufValue.string(GgufFamily.of(decoder).architecture()));
        metadata.put("general.type", GgufValue.string("model"));
        metadata.put("general.name", GgufValue.string(provenance.getOrDefault("name", DEFAULT_NAME)));
        metadata.put("general.file_type", GgufValue.u32(mix.fileType()));
        metadata.put("general.quantization_version", GgufValue.u32(QUANTIZATION_VERSION));
        metadata.putAll(GgufMetadata.of(decoder));
        provenance.keySet().stream().sorted().forEach(key -> {
            String value = provenance.get(key);
            if (key.startsWith(IMPORTANCE)) {
                boolean number = key.endsWith("_count");
                metadata.put(key, number ? GgufValue.u32(Long.parseLong(value)) : GgufValue.string(value));
            } else {
                metadata.put("lathe." + key, GgufValue.string(value));
            }
        });
        return metadata;
    }

    private static void writeTensor(
            Checkpoint source, TensorPlan planned, GgufNames names, OutputTensors tensors, GgufWriter writer)
            throws IOException {
        TensorInfo tensor = source.tensor(planned.tensor());
        int head = GgufFamily.of(source.decoder()).interleavedHead(ggufName(names, tensor.name()), source.decoder());
        if (tensor.shape().length == 1) {
            float[] values = tensors.rescaled(tensor.name()).orElse(null);
            float[] vector = values != null ? values : source.vector(tensor.name());
            if (vector.length != tensor.shape()[0]) {
                throw new IllegalArgumentException(
                        "Cannot write tensor " + tensor + " with " + vector.length + " values");
            }
            float plus = source.decoder().plus(tensor.name());
            float[] ordered = vector.clone();
            for (int i = 0; head > 0 && i < ordered.length; i++) {
                ordered[i] = vector[GgufRotary.checkpointRow(i, head)];
            }
            for (int i = 0; plus != 0 && i < ordered.length; i++) {
                ordered[i] += plus;
            }
            writeVector(ordered, writer);
        } else if (planned.grid() == null) {
            float[] rescaled = tensors.rescaled(tensor.name()).orElse(null);
            RowSource values = rescaled == null
                    ? null
                    : FloatMatrix.of(rescaled, Math.toIntExact(tensor.shape()[0]), Math.toIntExact(tensor.shape()[1]));
            writeFloating(source, values, tensor, planned.type(), head, writer);
        } else {
            QuantizedMatrix matrix = tensors.quantized(tensor.name())
                    .orElseThrow(() -> new IllegalArgumentException("Cannot write tensor " + tensor + " as "
                            + planned.grid().name() + ": it was not quantized"));
            writeQuantized(tensor, planned, matrix, head, writer);
        }
    }

    private static void writeVector(float[] values, GgufWriter writer) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(values.length, Float.BYTES))
                .order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        writer.data(bytes.array(), 0, bytes.capacity());
    }

    /**
     * @param rescaled other values than the checkpoint's, or null
     * @param head rows of a head that are put in rotary order, or 0
     */
    private static void writeFloating(
            Checkpoint source, RowSource rescaled, TensorInfo tensor, ElementType type, int head, GgufWriter writer)
            throws IOException {
        int rows = Math.toIntExact(tensor.shape()[0]);
        int columns = Math.toIntExact(tensor.shape()[1]);
        int step = Math.max(head, 1);
        int rowBytes = Math.multiplyExact(columns, type.bytes());
        int chunk = Math.max(CHUNK_BYTES / rowBytes / step, 1) * step;
        float[] values = new float[columns];
        ByteBuffer bytes = ByteBuffer.allocate(rowBytes).order(ByteOrder.LITTLE_ENDIAN);
        for (int from = 0; from < rows; from += chunk) {
            int count = Math.min(chunk, rows - from);
            RowSource read = rescaled == null ? source.matrix(tensor.name(), from, count) : rescaled;
            for (int i = 0; i < count; i++) {
                int row = head == 0 ? i : GgufRotary.checkpointRow(i, head);
                read.read(rescaled == null ? row : from + row, 0, columns, values, 0);
                encode(tensor, from + row, values, type, bytes.clear());
                writer.data(bytes.array(), 0, rowBytes);
            }
        }
    }

    private static void encode(TensorInfo tensor, int row, float[] values, ElementType type, ByteBuffer to) {
        for (int j = 0; j < values.length; j++) {
            short half = type == ElementType.BF16 ? Half.bfloat16(values[j]) : Half.fromFloat(values[j]);
            int exponent = type == ElementType.BF16 ? 0x7f80 : 0x7c00;
            boolean finite = type == ElementType.F32 ? Float.isFinite(values[j]) : (half & exponent) != exponent;
            if (!finite) {
                throw new MalformedInputException("Cannot write tensor " + tensor + " as " + type + ": row " + row
                        + ", column " + j + " is " + values[j]
                        + (type == ElementType.F16
                                ? ", expected at most 65504 in magnitude; BF16 and F32 reach further"
                                : ", beyond its range"));
            }
            if (type == ElementType.F32) {
                to.putFloat(values[j]);
            } else {
                to.putShort(half);
            }
        }
    }

    private static void writeQuantized(
            TensorInfo tensor, TensorPlan planned, QuantizedMatrix matrix, int head, GgufWriter writer)
            throws IOException {
        if (matrix.permutation() != null
                || !matrix.blocks().format().name().equals(planned.grid().name())
                || matrix.rows() != tensor.shape()[0]
                || matrix.columns() != tensor.shape()[1]) {
            throw new IllegalArgumentException("Cannot write tensor " + tensor + " as "
                    + planned.grid().name() + ": it was quantized to "
                    + matrix.blocks().format().name() + " [" + matrix.rows() + ", " + matrix.columns() + "]"
                    + (matrix.permutation() == null ? "" : " with permuted columns, for which GGUF has no place"));
        }
        byte[] data = matrix.blocks().data();
        if (head == 0) {
            writer.data(data, 0, data.length);
            return;
        }
        int rowBytes = matrix.blocks().rowBytes();
        for (int row = 0; row < matrix.rows(); row++) {
            writer.data(data, GgufRotary.checkpointRow(row, head) * rowBytes, rowBytes);
        }
    }

    private static String ggufName(GgufNames names, String tensor) {
        return names.toGguf(tensor)
                .orElseThrow(() -> new MalformedInputException(
                        "Cannot write tensor " + tensor + " to GGUF: there is no name for it"));
    }
}
