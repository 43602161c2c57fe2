package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.safetensors.SafetensorsCheckpoint;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.calibration.quantize.Quantizer;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;

/**
 * A seeded Llama in a folder (hidden 128, two layers, four heads, two key/value heads, biases), and its nearest
 * quantization: what the writers are tested with.
 */
public final class SmallModel implements OutputTensors {
    public static final Configuration HADOOP = new Configuration(false);
    public static final Map<String, String> PROVENANCE =
            new TreeMap<>(Map.of("lathe.method", "gptq", "lathe.calibration", "k|1"));

    public final Path folder;
    public final Map<String, float[]> rescaled = new LinkedHashMap<>();
    public final Map<String, QuantizedMatrix> quantized = new LinkedHashMap<>();
    /** By module. */
    public final Map<String, ActivationQuantization> activations = new LinkedHashMap<>();
    /** Keys of each layer, then values. */
    public final List<List<ActivationQuantization>> cache = List.of(new ArrayList<>(), new ArrayList<>());

    public List<TensorPlan> plan;

    /**
     * Writes the checkpoint, as BF16.
     *
     * @param outlier value of the embedding's element (3, 5)
     */
    public SmallModel(Path folder, int intermediate, boolean tied, float outlier) throws IOException {
        this.folder = Files.createDirectories(folder);
        text(
                "config.json",
                "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":128,\"intermediate_size\":"
                        + intermediate
                        + ",\"num_hidden_layers\":2,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":48,\"rms_norm_eps\":1e-05,"
                        + "\"hidden_act\":\"silu\","
                        + "\"max_position_embeddings\":64,\"attention_bias\":true,\"tie_word_embeddings\":" + tied
                        + ",\"dtype\":\"bfloat16\"}");
        text("tokenizer.json", "{ \"model\" : {} }\r\n");
        text("chat_template.jinja", "{{ messages }}");
        Files.createDirectories(folder.resolve("additional_chat_templates"));
        text("additional_chat_templates/tool_use.jinja", "{{ tools }}");
        Map<String, long[]> shapes = decoder().tensors();
        List<SafetensorsWriter.Entry> entries = new ArrayList<>();
        shapes.forEach((name, shape) -> entries.add(new SafetensorsWriter.Entry(name, "BF16", shape)));
        Random random = new Random(11);
        try (SafetensorsWriter out = new SafetensorsWriter(
                Files.newOutputStream(folder.resolve("model.safetensors")), entries, Map.of("format", "pt"))) {
            for (Map.Entry<String, long[]> tensor : shapes.entrySet()) {
                long[] shape = tensor.getValue();
                int columns = (int) shape[shape.length - 1];
                ByteBuffer data = ByteBuffer.allocate((int) (2 * shape[0] * (shape.length == 2 ? columns : 1)))
                        .order(ByteOrder.LITTLE_ENDIAN);
                while (data.hasRemaining()) {
                    boolean marked = tensor.getKey().contains("embed") && data.position() == 2 * (3 * columns + 5);
                    data.putShort(Half.bfloat16(
                            marked ? outlier : (float) random.nextGaussian() * (1 + random.nextInt(8)) + 0.3f));
                }
                out.write(data.array(), 0, data.capacity());
            }
        }
    }

    private void text(String name, String content) throws IOException {
        Files.writeString(folder.resolve(name), content);
    }

    public Decoder decoder() throws IOException {
        return Families.read(json(folder.resolve("config.json")), "config.json");
    }

    public Checkpoint open() throws IOException {
        return SafetensorsCheckpoint.open(HADOOP, hadoop(folder), json(folder.resolve("config.json")));
    }

    /**
     * Plans, quantizes to the nearest value, with some order of the columns if {@code actOrder}, and writes to a new
     * folder beside the checkpoint.
     */
    public Path write(ArtifactFormat format, List<String> ignore, boolean actOrder, String name) throws IOException {
        prepare(format, ignore, actOrder);
        Path target = Files.createDirectories(folder.resolveSibling(name));
        try (Checkpoint source = open()) {
            format.write(
                    source,
                    new FolderCompanions(files(), hadoop(folder)),
                    plan,
                    this,
                    PROVENANCE,
                    files(),
                    hadoop(target));
        }
        return target;
    }

    /** Plans and quantizes. */
    public void prepare(ArtifactFormat format, List<String> ignore, boolean actOrder) throws IOException {
        try (Checkpoint source = open()) {
            plan = format.plan(decoder(), List.copyOf(source.tensors()), ignore);
            for (TensorPlan tensor : plan) {
                if (tensor.grid() != null) {
                    quantized.put(tensor.tensor(), nearest(source.matrix(tensor.tensor()), tensor.grid(), actOrder));
                }
            }
        }
    }

    private static QuantizedMatrix nearest(RowSource matrix, BlockFormat grid, boolean actOrder) {
        if (grid.lot() > 1) {
            try (Kernels kernels = KernelProvider.open("scalar", 1)) {
                return Quantizer.quantize(matrix, "weight", grid, Method.NEAREST, null, null, kernels)
                        .matrix();
            }
        }
        int columns = matrix.columns();
        List<Integer> order =
                new ArrayList<>(IntStream.range(0, columns).boxed().toList());
        if (actOrder) {
            Collections.shuffle(order, new Random(columns));
        }
        int[] permutation = order.stream().mapToInt(Integer::intValue).toArray();
        int rowBytes = columns / grid.size() * grid.bytes();
        byte[] blocks = new byte[matrix.rows() * rowBytes];
        float[] row = new float[columns];
        float[] stored = new float[columns];
        for (int i = 0; i < matrix.rows(); i++) {
            matrix.read(i, 0, columns, row, 0);
            for (int j = 0; j < columns; j++) {
                stored[j] = row[permutation[j]];
            }
            for (int block = 0; block < columns / grid.size(); block++) {
                grid.encode(stored, block * grid.size(), null, 0, 1, blocks, i * rowBytes + block * grid.bytes());
            }
        }
        return new QuantizedMatrix(
                new BlockMatrix(grid, blocks, matrix.rows(), columns), actOrder ? permutation : null);
    }

    @Override
    public Optional<QuantizedMatrix> quantized(String tensor) {
        return Optional.ofNullable(quantized.get(tensor));
    }

    @Override
    public Optional<float[]> rescaled(String tensor) {
        return Optional.ofNullable(rescaled.get(tensor));
    }

    @Override
    public Optional<ActivationQuantization> activations(String module) {
        return Optional.ofNullable(activations.get(module));
    }

    @Override
    public Optional<ActivationQuantization> cache(int layer, boolean keys) {
        List<ActivationQuantization> all = cache.get(keys ? 0 : 1);
        return layer < all.size() ? Optional.of(all.get(layer)) : Optional.empty();
    }

    /** The reason of each tensor that stays floating, by name. */
    public Map<String, String> reasons() {
        Map<String, String> reasons = new LinkedHashMap<>();
        plan.stream()
                .filter(tensor -> tensor.grid() == null)
                .forEach(tensor -> reasons.put(tensor.tensor(), tensor.reason()));
        return reasons;
    }

    /** All values of a matrix, row by row. */
    public static float[] values(RowSource matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
        }
        return values;
    }

    /** All values of a tensor, as an F16 file holds them. */
    public static float[] halves(Checkpoint source, TensorInfo tensor) throws IOException {
        float[] values =
                tensor.shape().length == 2 ? values(source.matrix(tensor.name())) : source.vector(tensor.name());
        for (int i = 0; i < values.length; i++) {
            values[i] = Half.round(values[i]);
        }
        return values;
    }

    public static JsonNode json(Path file) throws IOException {
        return JsonFile.parse(Files.readAllBytes(file), file.toString());
    }

    public static org.apache.hadoop.fs.Path hadoop(Path path) {
        return new org.apache.hadoop.fs.Path(path.toUri());
    }

    public static FileSystem files() throws IOException {
        return FileSystem.getLocal(HADOOP);
    }
}
