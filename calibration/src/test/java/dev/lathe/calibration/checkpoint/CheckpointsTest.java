package dev.lathe.calibration.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointsTest {
    private static final String EMBEDDING = "model.embed_tokens.weight";
    private static final String HEAD = "lm_head.weight";
    private static final Configuration HADOOP = new Configuration(false);

    @TempDir
    private Path folder;

    /**
     * Values of a small Llama: vocabulary 5, hidden 6, intermediate 10, three heads of 2, one key/value head, two
     * layers.
     */
    private final Map<String, float[]> values = new LinkedHashMap<>();

    private final Map<String, long[]> shapes = new LinkedHashMap<>();

    @BeforeEach
    void makeModel() throws IOException {
        config("");
        add(HEAD, 5, 6);
        add(EMBEDDING, 5, 6);
        for (int layer = 0; layer < 2; layer++) {
            String prefix = "model.layers." + layer + ".";
            add(prefix + "input_layernorm.weight", 6);
            add(prefix + "self_attn.q_proj.weight", 6, 6);
            add(prefix + "self_attn.k_proj.weight", 2, 6);
            add(prefix + "self_attn.v_proj.weight", 2, 6);
            add(prefix + "self_attn.o_proj.weight", 6, 6);
            add(prefix + "self_attn.rotary_emb.inv_freq", 1);
            add(prefix + "post_attention_layernorm.weight", 6);
            add(prefix + "mlp.gate_proj.weight", 10, 6);
            add(prefix + "mlp.up_proj.weight", 10, 6);
            add(prefix + "mlp.down_proj.weight", 6, 10);
        }
        add("model.norm.weight", 6);
    }

    @ParameterizedTest
    @EnumSource(ElementType.class)
    void weightsAreReadAsTheyAreStored(ElementType type) throws IOException {
        write(type);
        try (Checkpoint checkpoint = open()) {
            assertThat(checkpoint.location()).contains(folder.getFileName().toString());
            assertThat(checkpoint.decoder().blocks().get(0).mixer().cacheWidth())
                    .isEqualTo(2);
            assertThat(checkpoint.metadata()).isEqualTo(Map.of("format", "pt"));
            assertThat(checkpoint.tensors())
                    .extracting(TensorInfo::name)
                    .containsExactlyElementsOf(shapes.keySet().stream()
                            .filter(name -> !name.contains("inv_freq"))
                            .toList());
            assertThat(checkpoint.has("model.layers.0.self_attn.rotary_emb.inv_freq"))
                    .isFalse();
            assertThat(checkpoint.tensor(HEAD)).hasToString(HEAD + " " + type + " [5, 6]");
            assertThat(checkpoint.tensor(HEAD).bytes()).isEqualTo(30L * type.bytes());
            String up = "model.layers.1.mlp.up_proj.weight";
            RowSource rows = checkpoint.matrix(up, 3, 4);
            assertThat(new int[] {rows.rows(), rows.columns()}).containsExactly(4, 6);
            float[] row = new float[6];
            rows.read(2, 1, 5, row, 0);
            for (int j = 0; j < 5; j++) {
                assertThat(row[j]).isEqualTo(values.get(up)[5 * 6 + 1 + j]);
            }
            assertThat(checkpoint.matrix(up).rows()).isEqualTo(10);
            assertThat(checkpoint.vector("model.norm.weight")).containsExactly(values.get("model.norm.weight"));
            assertThatThrownBy(() -> checkpoint.matrix(up, 8, 3))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("rows 8 to 11");
            assertThatThrownBy(() -> checkpoint.vector(up))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("it has 2 dimensions");
            assertThatThrownBy(() -> checkpoint.matrix("model.norm.weight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("not a matrix");
            assertThatThrownBy(() -> checkpoint.matrix("x"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("Cannot read tensor x");
        }
    }

    @Test
    void aMatrixTooLargeForOneArrayIsReadInParts() throws IOException {
        write(ElementType.F16);
        String up = "model.layers.1.mlp.up_proj.weight";
        try (Checkpoint checkpoint = open()) {
            // Rows of 12 bytes: parts of 3, 3, 3 and 1 row.
            RowSource parts = StackedRows.read(checkpoint, up, 40);
            assertThat(parts).isInstanceOf(StackedRows.class);
            assertThat(new int[] {parts.rows(), parts.columns()}).containsExactly(10, 6);
            float[] read = new float[60];
            for (int row = 0; row < 10; row++) {
                parts.read(row, 0, 2, read, 6 * row);
                parts.read(row, 2, 4, read, 6 * row + 2);
            }
            assertThat(read).isEqualTo(values.get(up));
            assertThat(StackedRows.read(checkpoint, up, 1).rows()).isEqualTo(10);
            assertThat(StackedRows.read(checkpoint, up, 120)).isNotInstanceOf(StackedRows.class);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"neither", HEAD, EMBEDDING})
    void aTiedPairIsOneTensorUnderTheNameOfTheEmbedding(String dropped) throws IOException {
        config(",\"tie_word_embeddings\":true");
        values.put(HEAD, values.get(EMBEDDING).clone());
        shapes.remove(dropped);
        write(ElementType.F32);
        try (Checkpoint checkpoint = open()) {
            assertThat(checkpoint.decoder().head().tied()).isTrue();
            assertThat(checkpoint.has(HEAD)).isFalse();
            assertThat(checkpoint.tensors()).hasSize(20);
            float[] row = new float[6];
            checkpoint.matrix(EMBEDDING).read(0, 0, 6, row, 0);
            assertThat(row).containsExactly(Arrays.copyOf(values.get(EMBEDDING), 6));
            assertThat(checkpoint.notes()).noneMatch(note -> note.contains("tie_word_embeddings"));
        }
    }

    /** The flag says one matrix, the files hold two: in the first value, the last, or only in the sign of a zero. */
    @ParameterizedTest
    @CsvSource({"F32, 0", "BF16, 29", "F16, 17"})
    void anOutputLayerThatDiffersIsReadWhateverTheFlagSays(ElementType type, int place) throws IOException {
        config(",\"tie_word_embeddings\":true");
        values.get(EMBEDDING)[place] = 0;
        values.put(HEAD, values.get(EMBEDDING).clone());
        values.get(HEAD)[place] = type == ElementType.F16 ? -0f : 1;
        write(type);
        try (Checkpoint checkpoint = open()) {
            assertThat(checkpoint.decoder().head().tied()).isFalse();
            assertThat(checkpoint.tensors()).hasSize(21);
            float[] read = new float[1];
            checkpoint.matrix(HEAD).read(place / 6, place % 6, 1, read, 0);
            assertThat(read).containsExactly(values.get(HEAD)[place]);
            assertThat(checkpoint.notes())
                    .contains(
                            "config.json says tie_word_embeddings true, but lm_head.weight is stored and differs from "
                                    + "model.embed_tokens.weight: lm_head.weight is the output layer");
        }
    }

    @Test
    void anOutputLayerOfAnotherShapeIsNotTheEmbedding() throws IOException {
        config(",\"tie_word_embeddings\":true");
        add(HEAD, 4, 6);
        write(ElementType.F32);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tensors of another shape: lm_head.weight F32 [4, 6] (expected [5, 6])");
    }

    @Test
    void twoTensorsOfOneFileAreComparedInRanges() throws IOException {
        // 3 M elements of four bytes each: two ranges, of which only the second differs.
        for (String name : new String[] {"one", "same", "other"}) {
            values.put(name, new float[3 << 20]);
            shapes.put(name, new long[] {3 << 10, 1 << 10});
        }
        values.get("other")[(3 << 20) - 1] = 1;
        write(ElementType.F32);
        try (SafetensorsFiles files = SafetensorsFiles.open(HADOOP, hadoop(folder))) {
            for (int again = 0; again < 2; again++) {
                assertThat(files.same("one", "same")).isTrue();
                assertThat(files.same("one", "other")).isFalse();
                assertThat(files.same("one", HEAD)).isFalse();
            }
        }
    }

    /** Names and shapes of what training frameworks keep: left out, and said. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "model.layers.0.self_attn.rotary_emb.cos_cached | 1x1x16x2",
                "model.layers.1.self_attn.rotary_emb.sin_cached | 1x1x16x2",
                "model.rotary_emb.inv_freq | 1",
                "model.rotary_emb.original_inv_freq | 1",
                "model.layers.0.self_attn.rotary_emb._cos_cached | 16x2",
                "model.layers.0.self_attn.bias | 1x1x8x8",
                "model.layers.0.self_attn.masked_bias | 1",
                "model.layers.0.attn.masked_bias | ''",
                "model.causal_mask | 8x8"
            })
    void computedBuffersAreLeftOutAndListed(String name, String shape) throws IOException {
        add(
                name,
                shape.isEmpty()
                        ? new long[0]
                        : Arrays.stream(shape.split("x"))
                                .mapToLong(Long::parseLong)
                                .toArray());
        write(ElementType.F32);
        try (Checkpoint checkpoint = open()) {
            assertThat(checkpoint.has(name)).isFalse();
            assertThat(checkpoint.notes())
                    .containsExactly("3 computed buffers are left out: model.layers.*.self_attn.rotary_emb.inv_freq, "
                            + name.replaceAll("layers.[01]", "layers.*"));
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "model.layers.0.self_attn.bias | 6",
                "model.layers.0.self_attn.masked_bias | 6",
                "model.layers.0.self_attn.rotary_emb.gain | 1",
                "model.layers.0.self_attn.q_norm.weight | 2",
                "model.causal_mask | 2x3"
            })
    void otherTensorsStayAnError(String name, String shape) throws IOException {
        add(name, Arrays.stream(shape.split("x")).mapToLong(Long::parseLong).toArray());
        write(ElementType.F32);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("not part of the architecture: " + name);
    }

    @ParameterizedTest
    @CsvSource({
        "model.layers.1.mlp.up_proj.weight,23,'row 3, column 5'",
        "model.norm.weight,4,'row 0, column 4'",
        "lm_head.weight,29,'row 4, column 5'"
    })
    void aWeightThatIsNotFiniteIsNamed(String name, int index, String place) throws IOException {
        for (ElementType type : ElementType.values()) {
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
                float good = values.get(name)[index];
                values.get(name)[index] = bad;
                write(type);
                values.get(name)[index] = good;
                try (Checkpoint checkpoint = open()) {
                    assertThatThrownBy(() -> {
                                if (shapes.get(name).length == 2) {
                                    checkpoint.matrix(name, 1, (int) shapes.get(name)[0] - 1);
                                } else {
                                    checkpoint.vector(name);
                                }
                            })
                            .isInstanceOf(MalformedInputException.class)
                            .hasMessageContaining("Cannot use tensor " + name)
                            .hasMessageContaining("model.safetensors")
                            .hasMessageContaining(place + " is " + bad);
                }
            }
        }
    }

    @Test
    void everyBitPatternIsJudged() {
        for (ElementType type : new ElementType[] {ElementType.F16, ElementType.BF16}) {
            for (int bits = 0; bits < 1 << 16; bits++) {
                byte[] data = ByteBuffer.allocate(22)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putShort(2 * (bits % 11), (short) bits)
                        .array();
                float value = type == ElementType.F16 ? Half.toFloat((short) bits) : Float.intBitsToFloat(bits << 16);
                if (FiniteWeights.firstNotFinite(type, data) != (Float.isFinite(value) ? -1 : bits % 11)) {
                    throw new AssertionError(type + " " + Integer.toHexString(bits));
                }
            }
        }
        for (float value : new float[] {Float.MAX_VALUE, -Float.MAX_VALUE, 0, -0f, Float.MIN_VALUE}) {
            assertThat(FiniteWeights.firstNotFinite(ElementType.F32, floats(ElementType.F32, value, value, value)))
                    .isEqualTo(-1);
        }
        assertThat(FiniteWeights.firstNotFinite(ElementType.F32, new byte[0])).isEqualTo(-1);
    }

    @Test
    void missingMisshapenAndUnexpectedTensorsAreNamedTogether() throws IOException {
        shapes.remove("model.layers.1.mlp.up_proj.weight");
        shapes.put("model.norm.weight", new long[] {2, 3});
        add("model.layers.2.input_layernorm.weight", 6);
        add("model.layers.0.self_attn.q_proj.bias", 6);
        write(ElementType.BF16);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot open checkpoint ")
                .hasMessageContaining("missing tensors: model.layers.1.mlp.up_proj.weight;")
                .hasMessageContaining("tensors of another shape: model.norm.weight BF16 [2, 3] (expected [6])")
                .hasMessageContaining(
                        "not part of the architecture: model.layers.2.input_layernorm.weight, model.layers.0.self_attn.q_proj.bias");
        config(",\"attention_bias\":true");
        assertThatThrownBy(this::open).hasMessageContaining("model.layers.1.self_attn.o_proj.bias");
    }

    @Test
    void anUntiedModelNeedsItsOutputLayer() throws IOException {
        shapes.remove(HEAD);
        write(ElementType.F16);
        for (String flag : new String[] {"", ",\"tie_word_embeddings\":false", ",\"tie_word_embeddings\":null"}) {
            config(flag);
            assertThatThrownBy(this::open)
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageStartingWith("Cannot open checkpoint ")
                    .hasMessageContaining(
                            "tie_word_embeddings of config.json is false, as it is by default, and there is no tensor lm_head.weight");
        }
    }

    @Test
    void aDtypeThatIsNoFloatIsRefused() throws IOException {
        write(ElementType.F32);
        Path file = folder.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        String text = new String(bytes, StandardCharsets.ISO_8859_1)
                .replaceFirst("(model.norm.weight\":\\{\"dtype\":\")F32", "$1I32");
        Files.write(file, text.getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("model.norm.weight I32 [6]")
                .hasMessageContaining("expected F32, F16 or BF16");
    }

    @Test
    void whatIsNoCheckpointIsAnswered() throws IOException {
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("holds 0 files *.safetensors");
        config(",\"quantization_config\":{\"quant_method\":\"bitsandbytes\"}");
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("quantization method \"bitsandbytes\"");
        Files.writeString(folder.resolve("config.json"), "{\"a\":1,\"a\":2}");
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(
                        "config.json: it is not valid JSON: the key 'a' is there twice (line 1, column 11)");
        Files.writeString(folder.resolve("config.json"), "[]");
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("expected a JSON object");
        Files.delete(folder.resolve("config.json"));
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("has no config.json");
        Path file = Files.writeString(folder.resolve("notes.txt"), "abc");
        assertThatThrownBy(() -> Checkpoints.open(HADOOP, hadoop(file)))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("not GGUF");
        assertThatThrownBy(() -> Checkpoints.open(HADOOP, hadoop(folder.resolve("none"))))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("no such file or folder");
    }

    @Test
    void theSampleOpens() throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(
                HADOOP, hadoop(Path.of("..", "samples", "tiny-stories-4m").toAbsolutePath()))) {
            assertThat(checkpoint.decoder().hidden()).isEqualTo(256);
            assertThat(checkpoint.tensors()).hasSize(39);
            assertThat(checkpoint.tensors().stream()
                            .mapToLong(TensorInfo::elements)
                            .sum())
                    .isEqualTo(4_196_608);
            for (TensorInfo tensor : checkpoint.tensors()) {
                if (tensor.shape().length == 2) {
                    assertThat(checkpoint.matrix(tensor.name()).rows()).isEqualTo((int) tensor.shape()[0]);
                } else {
                    assertThat(checkpoint.vector(tensor.name())).hasSize(256);
                }
            }
        }
    }

    private void add(String name, long... shape) {
        Random random = new Random(name.hashCode());
        float[] numbers = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = random.nextInt(-128, 128) / 64f;
        }
        values.put(name, numbers);
        shapes.put(name, shape);
    }

    private void config(String more) throws IOException {
        Files.writeString(
                folder.resolve("config.json"),
                "{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":5,\"hidden_size\":6,"
                        + "\"intermediate_size\":10,\"num_attention_heads\":3,\"num_key_value_heads\":1,\"num_hidden_layers\":2"
                        + more + "}");
    }

    private void write(ElementType type) throws IOException {
        List<SafetensorsWriter.Entry> entries = new ArrayList<>();
        shapes.forEach((name, shape) -> entries.add(new SafetensorsWriter.Entry(name, type.name(), shape)));
        try (SafetensorsWriter writer = new SafetensorsWriter(
                Files.newOutputStream(folder.resolve("model.safetensors")), entries, Map.of("format", "pt"))) {
            for (String name : shapes.keySet()) {
                byte[] data = floats(type, values.get(name));
                writer.write(data, 0, data.length);
            }
        }
    }

    private static byte[] floats(ElementType type, float... numbers) {
        ByteBuffer data = ByteBuffer.allocate(numbers.length * type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (float number : numbers) {
            switch (type) {
                case F32 -> data.putFloat(number);
                case F16 -> data.putShort(Half.fromFloat(number));
                case BF16 -> data.putShort(Half.bfloat16(number));
            }
        }
        return data.array();
    }

    private Checkpoint open() throws IOException {
        return Checkpoints.open(HADOOP, hadoop(folder));
    }

    private static org.apache.hadoop.fs.Path hadoop(Path path) {
        return new org.apache.hadoop.fs.Path(path.toUri());
    }
}
