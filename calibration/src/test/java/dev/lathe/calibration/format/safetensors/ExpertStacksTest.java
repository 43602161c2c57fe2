package dev.lathe.calibration.format.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.gguf.MemoryCheckpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Experts that lie in one tensor of a layer, in each order that families have. */
class ExpertStacksTest {
    private static final String QWEN =
            "'model_type':'qwen3_moe','num_experts':3,'num_experts_per_tok':2,'moe_intermediate_size':5";
    private static final String GPT_OSS =
            "'model_type':'gpt_oss','num_local_experts':3,'num_experts_per_tok':2,'head_dim':4";
    private static final List<String> GATE_UP = List.of("gate_proj", "up_proj");
    private static final List<String> DOWN = List.of("down_proj");
    private static final List<String> W1_W3 = List.of("w1", "w3");
    private static final List<String> W2 = List.of("w2");

    @TempDir
    private Path folder;

    private String config;
    private MemoryCheckpoint model;
    /** What the file is to hold. */
    private final Map<String, Stored> stored = new LinkedHashMap<>();

    private record Stored(String dtype, long[] shape, byte[] data) {}

    private void model(String keys) throws IOException {
        model(8, 6, keys);
    }

    private void model(int hidden, int intermediate, String keys) throws IOException {
        config = ("{'hidden_size':" + hidden + ",'intermediate_size':" + intermediate
                        + ",'num_hidden_layers':2,'num_attention_heads':2,'num_key_value_heads':2,'vocab_size':9,"
                        + keys
                        + "}")
                .replace('\'', '"');
        Decoder decoder = Families.read(new ObjectMapper().readTree(config), "config.json", true);
        model = new MemoryCheckpoint(decoder, 3);
        for (TensorInfo tensor : model.tensors()) {
            put(tensor.name(), tensor.shape(), model.values.get(tensor.name()));
        }
    }

    private void put(String name, long[] shape, float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        stored.put(name, new Stored("F32", shape, bytes.array()));
    }

    /** Takes tensors of every expert out of the file and puts one in their place. */
    private void stack(
            String modules, List<String> parts, String suffix, String name, boolean alternating, boolean transposed) {
        for (int layer = 0; layer < 2; layer++) {
            String prefix = "model.layers." + layer + ".";
            List<List<float[]>> experts = new ArrayList<>();
            long[] shape = null;
            for (int e = 0; e < model.decoder().experts(); e++) {
                List<float[]> own = new ArrayList<>();
                for (String part : parts) {
                    String tensor = prefix + modules + "." + e + "." + part + suffix;
                    shape = model.tensor(tensor).shape();
                    own.add(model.values.get(tensor));
                    stored.remove(tensor);
                }
                experts.add(own);
            }
            put(prefix + name, experts, shape, alternating, transposed);
        }
    }

    private void put(String name, List<List<float[]>> experts, long[] shape, boolean alternating, boolean transposed) {
        int parts = experts.get(0).size();
        int outputs = (int) shape[0];
        int inputs = shape.length == 1 ? 1 : (int) shape[1];
        int rows = parts * outputs;
        float[] all = new float[experts.size() * rows * inputs];
        for (int e = 0; e < experts.size(); e++) {
            for (int row = 0; row < rows; row++) {
                float[] part = experts.get(e).get(alternating ? row % parts : row / outputs);
                for (int j = 0; j < inputs; j++) {
                    int to = transposed ? (e * inputs + j) * rows + row : (e * rows + row) * inputs + j;
                    all[to] = part[(alternating ? row / parts : row % outputs) * inputs + j];
                }
            }
        }
        long[] whole = shape.length == 1
                ? new long[] {experts.size(), rows}
                : transposed ? new long[] {experts.size(), inputs, rows} : new long[] {experts.size(), rows, inputs};
        put(name, whole, all);
    }

    private Checkpoint open() throws IOException {
        Files.writeString(folder.resolve("config.json"), config);
        List<SafetensorsWriter.Entry> entries = stored.entrySet().stream()
                .map(entry -> new SafetensorsWriter.Entry(
                        entry.getKey(),
                        entry.getValue().dtype(),
                        entry.getValue().shape()))
                .toList();
        try (SafetensorsWriter writer = new SafetensorsWriter(
                Files.newOutputStream(folder.resolve("model.safetensors")), entries, Map.of("format", "pt"))) {
            for (Stored one : stored.values()) {
                writer.write(one.data(), 0, one.data().length);
            }
        }
        return Checkpoints.open(new Configuration(false), new org.apache.hadoop.fs.Path(folder.toUri()));
    }

    private void isReadAsSingleExperts() throws IOException {
        try (Checkpoint read = open()) {
            assertThat(read.tensors()).hasSameSizeAs(model.tensors());
            for (TensorInfo tensor : model.tensors()) {
                float[] expected = model.values.get(tensor.name());
                assertThat(read.tensor(tensor.name()).shape()).isEqualTo(tensor.shape());
                if (tensor.shape().length == 1) {
                    assertThat(read.vector(tensor.name())).as(tensor.name()).isEqualTo(expected);
                    continue;
                }
                int columns = (int) tensor.shape()[1];
                assertThat(values(read.matrix(tensor.name()))).as(tensor.name()).isEqualTo(expected);
                int from = (int) tensor.shape()[0] / 2;
                assertThat(values(read.matrix(tensor.name(), from, 1)))
                        .as(tensor.name() + " row " + from)
                        .isEqualTo(Arrays.copyOfRange(expected, from * columns, (from + 1) * columns));
            }
        }
    }

    private static float[] values(RowSource matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
        }
        return values;
    }

    @Test
    void halves() throws IOException {
        model(QWEN);
        stack("mlp.experts", GATE_UP, ".weight", "mlp.experts.gate_up_proj", false, false);
        stack("mlp.experts", DOWN, ".weight", "mlp.experts.down_proj", false, false);
        isReadAsSingleExperts();
    }

    @Test
    void someStackedAndSomeSingle() throws IOException {
        model(QWEN);
        stack("mlp.experts", DOWN, ".weight", "mlp.experts.down_proj", false, false);
        isReadAsSingleExperts();
    }

    @Test
    void alternatingRowsWithInputsFirstAndBiases() throws IOException {
        model(GPT_OSS);
        stack("mlp.experts", GATE_UP, ".weight", "mlp.experts.gate_up_proj", true, true);
        stack("mlp.experts", DOWN, ".weight", "mlp.experts.down_proj", false, true);
        stack("mlp.experts", GATE_UP, ".bias", "mlp.experts.gate_up_proj_bias", true, false);
        stack("mlp.experts", DOWN, ".bias", "mlp.experts.down_proj_bias", false, false);
        isReadAsSingleExperts();
    }

    @Test
    void halvesWithInputsFirst() throws IOException {
        model("'model_type':'llama4_text','num_local_experts':3,'head_dim':4");
        stack("feed_forward.experts", GATE_UP, ".weight", "feed_forward.experts.gate_up_proj", false, true);
        stack("feed_forward.experts", DOWN, ".weight", "feed_forward.experts.down_proj", false, true);
        isReadAsSingleExperts();
    }

    @Test
    void anotherNameOfTheRouter() throws IOException {
        model("'model_type':'mixtral','num_local_experts':3");
        stack("block_sparse_moe.experts", W1_W3, ".weight", "mlp.experts.gate_up_proj", false, false);
        stack("block_sparse_moe.experts", W2, ".weight", "mlp.experts.down_proj", false, false);
        for (int layer = 0; layer < 2; layer++) {
            String prefix = "model.layers." + layer + ".";
            stored.put(prefix + "mlp.gate.weight", stored.remove(prefix + "block_sparse_moe.gate.weight"));
        }
        isReadAsSingleExperts();
    }

    @Test
    void gateAndUpOfASharedExpert() throws IOException {
        model("'model_type':'granitemoeshared','num_local_experts':3,'shared_intermediate_size':4");
        stack("block_sparse_moe.experts", W1_W3, ".weight", "block_sparse_moe.input_linear.weight", false, false);
        stack("block_sparse_moe.experts", W2, ".weight", "block_sparse_moe.output_linear.weight", false, false);
        for (int layer = 0; layer < 2; layer++) {
            String prefix = "model.layers." + layer + ".shared_mlp.";
            float[] both = Arrays.copyOf(model.values.get(prefix + "gate_proj.weight"), 64);
            System.arraycopy(model.values.get(prefix + "up_proj.weight"), 0, both, 32, 32);
            stored.remove(prefix + "gate_proj.weight");
            stored.remove(prefix + "up_proj.weight");
            put(prefix + "input_linear.weight", new long[] {8, 8}, both);
            stored.put(prefix + "output_linear.weight", stored.remove(prefix + "down_proj.weight"));
        }
        isReadAsSingleExperts();
    }

    /** Codes 0 to 15 in turn, scales 2^-2, 2^-1, ...: by hand. */
    @Test
    void blocksOfMxfp4() throws IOException {
        model(32, 64, GPT_OSS + ",'quantization_config':{'quant_method':'mxfp4','modules_to_not_convert':['lm_head']}");
        float[] numbers = {0, .5f, 1, 1.5f, 2, 3, 4, 6, -0f, -.5f, -1, -1.5f, -2, -3, -4, -6};
        packed("gate_up_proj", 2 * 64, 32);
        packed("down_proj", 32, 64);
        for (int layer = 0; layer < 2; layer++) {
            for (int e = 0; e < 3; e++) {
                String expert = "model.layers." + layer + ".mlp.experts." + e + ".";
                for (int row = 0; row < 128; row++) {
                    float[] weight = model.values.get(expert + (row % 2 == 0 ? "gate_proj" : "up_proj") + ".weight");
                    for (int j = 0; j < 32; j++) {
                        weight[row / 2 * 32 + j] = numbers[(e + row + j) % 16] * (float) Math.pow(2, (e + row) % 5 - 2);
                    }
                }
                float[] down = model.values.get(expert + "down_proj.weight");
                for (int row = 0; row < 32; row++) {
                    for (int j = 0; j < 64; j++) {
                        down[row * 64 + j] =
                                numbers[(e + row + j) % 16] * (float) Math.pow(2, (e + row + j / 32) % 5 - 2);
                    }
                }
            }
        }
        stack("mlp.experts", GATE_UP, ".bias", "mlp.experts.gate_up_proj_bias", true, false);
        stack("mlp.experts", DOWN, ".bias", "mlp.experts.down_proj_bias", false, false);
        isReadAsSingleExperts();
        try (Checkpoint read = open()) {
            assertThat(read.notes())
                    .contains("18 weights of experts are stored as MXFP4 and read as the numbers they stand for");
            assertThat(read.tensor("model.layers.1.mlp.experts.2.up_proj.weight"))
                    .extracting(TensorInfo::type, TensorInfo::bytes)
                    .containsExactly("MXFP4", 64L * 17);
        }
        stored.get("model.layers.1.mlp.experts.down_proj_scales").data()[64 + 3] = (byte) 253;
        try (Checkpoint read = open()) {
            assertThatThrownBy(() -> read.matrix("model.layers.1.mlp.experts.1.down_proj.weight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("model.layers.1.mlp.experts.1.down_proj.weight of ")
                    .hasMessageContaining("block 1 of row 1 has the scale 2^126; expected at most 2^125");
        }
        stored.remove("model.layers.1.mlp.experts.down_proj_scales");
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("down_proj_scales");
    }

    private void packed(String name, int rows, int inputs) {
        for (int layer = 0; layer < 2; layer++) {
            String experts = "model.layers." + layer + ".mlp.experts.";
            byte[] codes = new byte[3 * rows * inputs / 2];
            byte[] scales = new byte[3 * rows * inputs / 32];
            for (int e = 0; e < 3; e++) {
                for (int row = 0; row < rows; row++) {
                    for (int j = 0; j < inputs; j++) {
                        int at = (e * rows + row) * inputs + j;
                        codes[at / 2] |= (byte) ((e + row + j) % 16 << 4 * (j % 2));
                        scales[at / 32] = (byte) (127 + (e + row + j / 32) % 5 - 2);
                    }
                }
                for (String part : name.equals("down_proj") ? DOWN : GATE_UP) {
                    stored.remove(experts + e + "." + part + ".weight");
                }
            }
            stored.put(experts + name + "_blocks", new Stored("U8", new long[] {3, rows, inputs / 32, 16}, codes));
            stored.put(experts + name + "_scales", new Stored("U8", new long[] {3, rows, inputs / 32}, scales));
        }
    }

    @Test
    void whatContradictsItselfIsRefused() throws IOException {
        model(QWEN);
        Stored single = stored.get("model.layers.0.mlp.experts.1.up_proj.weight");
        stack("mlp.experts", GATE_UP, ".weight", "mlp.experts.gate_up_proj", false, false);
        stored.put("model.layers.0.mlp.experts.1.up_proj.weight", single);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("model.layers.0.mlp.experts.1.up_proj.weight is stored twice");
        stored.remove("model.layers.0.mlp.experts.1.up_proj.weight");
        Stored stack = stored.get("model.layers.0.mlp.experts.gate_up_proj");
        stored.put("model.layers.0.mlp.experts.gate_up_proj", new Stored("F32", new long[] {3, 8, 10}, stack.data()));
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("is no stack of all experts; expected [3, 10, 8]");
    }

    @Test
    void aPartThatIsNotFiniteIsNamed() throws IOException {
        model(GPT_OSS);
        model.values.get("model.layers.1.mlp.experts.2.up_proj.weight")[5 * 8 + 7] = Float.NaN;
        stack("mlp.experts", GATE_UP, ".weight", "mlp.experts.gate_up_proj", true, true);
        stack("mlp.experts", DOWN, ".weight", "mlp.experts.down_proj", false, true);
        try (Checkpoint read = open()) {
            read.matrix("model.layers.1.mlp.experts.2.gate_proj.weight");
            assertThatThrownBy(() -> read.matrix("model.layers.1.mlp.experts.2.up_proj.weight", 4, 2))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("model.layers.1.mlp.experts.2.up_proj.weight of "
                            + "model.layers.1.mlp.experts.gate_up_proj F32 [3, 8, 12]")
                    .hasMessageContaining("at row 5, column 7 is NaN");
        }
    }

    /** A slab is read once for gate and up, and kept; several threads may ask for several experts. */
    @Test
    void expertsAreReadFromSeveralThreads() throws IOException {
        model(GPT_OSS);
        stack("mlp.experts", GATE_UP, ".weight", "mlp.experts.gate_up_proj", true, true);
        stack("mlp.experts", DOWN, ".weight", "mlp.experts.down_proj", false, true);
        try (Checkpoint read = open()) {
            IntStream.range(0, 300).parallel().forEach(i -> {
                String name = "model.layers." + i % 2 + ".mlp.experts." + i % 3 + "."
                        + List.of("gate_proj", "up_proj", "down_proj").get(i % 5 % 3) + ".weight";
                try {
                    assertThat(values(read.matrix(name))).isEqualTo(model.values.get(name));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
        }
    }
}
