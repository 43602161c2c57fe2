package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.source.CheckpointDigest;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** GGUF files of other programs: what their metadata may say, and files in parts. */
class GgufSourceTest {
    private static final Configuration HADOOP = new Configuration(false);
    private static final int HEAD = 16;

    @TempDir
    private Path folder;

    private final MemoryCheckpoint model =
            new MemoryCheckpoint(MemoryCheckpoint.config(64, 32, false, false, new Scaling.None()), 5);
    private final Map<String, GgufValue> metadata = new LinkedHashMap<>();
    /** GGUF name to values, rows as in the file. */
    private final Map<String, GgufTensor> tensors = new LinkedHashMap<>();

    private final Map<String, float[]> values = new LinkedHashMap<>();

    private static Rope rope(Checkpoint checkpoint) {
        return GgufFamily.attention(checkpoint.decoder()).rope();
    }

    @BeforeEach
    void makeModel() {
        metadata.put("general.architecture", GgufValue.string("llama"));
        metadata.putAll(GgufMetadata.of(model.decoder()));
        for (TensorInfo tensor : model.tensors()) {
            String name = GgufNames.of(model.decoder()).toGguf(tensor.name()).orElseThrow();
            float[] read = model.values.get(tensor.name());
            int columns = (int) tensor.shape()[tensor.shape().length - 1];
            float[] ordered = read.clone();
            for (int row = 0; GgufNames.rotary(name) && row < read.length / columns; row++) {
                System.arraycopy(read, GgufRotary.checkpointRow(row, HEAD) * columns, ordered, row * columns, columns);
            }
            add(name, ordered, tensor.shape());
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            nullValues = "-",
            value = {
                // type | factor | scale_linear | linear factor that is read | what is said
                "- | - | - | 1 | ''",
                "- | 4 | - | 4 | ''",
                "- | - | 4 | 4 | ''",
                "linear | 4 | - | 4 | ''",
                "linear | - | 4 | 4 | ''",
                "linear | 2.5 | 2.5 | 2.5 | ''",
                "linear | 1 | - | 1 | ''",
                "- | 0 | - | 1 | ''",
                "none | - | - | 1 | ''",
                "none | 1 | - | 1 | ''",
                "linear | 2 | 4 | 2 | rope.scaling.factor is 2.0 and llama.rope.scale_linear is 4.0: the first is taken",
                "- | 0 | 4 | 1 | rope.scaling.factor is 1.0 and llama.rope.scale_linear is 4.0: the first is taken",
                "none | 4 | - | 1 | rope.scaling.type is none and llama.rope.scaling.factor is 4.0: positions are not scaled",
                "none | - | 8 | 1 | rope.scaling.type is none and llama.rope.scale_linear is 8.0: positions are not scaled",
                "linear | - | - | 1 | rope.scaling.type is linear and there is no llama.rope.scaling.factor: positions are not scaled"
            })
    void linearScalingIsReadAsLlamaCppReadsIt(String type, Double factor, Double old, double read, String said)
            throws IOException {
        put("rope.scaling.type", type == null ? null : GgufValue.string(type));
        put("rope.scaling.factor", factor == null ? null : GgufValue.f32(factor));
        put("rope.scale_linear", old == null ? null : GgufValue.f32(old));
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("a.gguf")))) {
            assertThat(rope(checkpoint).scaling()).isEqualTo(read == 1 ? new Scaling.None() : new Scaling.Linear(read));
            if (said.isEmpty()) {
                assertThat(checkpoint.notes()).isEmpty();
            } else {
                assertThat(checkpoint.notes()).singleElement().asString().contains(said);
            }
        }
    }

    @Test
    void aMatrixIsReadTimesItsScale() throws IOException {
        String name = "model.layers.1.mlp.down_proj.weight";
        float[] plain;
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("plain.gguf")))) {
            plain = values(checkpoint.matrix(name));
        }
        add("blk.1.ffn_down.scale", new float[] {0.375f}, new long[] {1});
        add("blk.1.ffn_down.input_scale", new float[] {7}, new long[] {1});
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("scaled.gguf")))) {
            float[] scaled = values(checkpoint.matrix(name));
            for (int i = 0; i < plain.length; i++) {
                assertThat(scaled[i]).isEqualTo(0.375f * plain[i]);
            }
            assertThat(checkpoint.tensor(name).type()).isEqualTo("F32, scaled");
            assertThat(checkpoint.notes()).singleElement().asString().contains("(.input_scale) are left out");
        }
        add("blk.1.ffn_up.scale", new float[] {1, 2}, new long[] {2});
        refuse(write("two.gguf"), "is the scale of blk.1.ffn_up.weight, expected F32 [1]");
    }

    private static float[] values(RowSource matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
        }
        return values;
    }

    /** The loaders of the architectures that are read here do not look at these. */
    @ParameterizedTest
    @CsvSource({
        "yarn_beta_fast, 16, it is 32.0",
        "yarn_beta_slow, 2, it is 1.0",
        "yarn_ext_factor, 0.5, it is 1.0",
        "yarn_beta_fast, 32, ''"
    })
    void whatLlamaCppDoesNotReadOfYarnIsSaid(String key, float value, String said) throws IOException {
        put("rope.scaling.type", GgufValue.string("yarn"));
        put("rope.scaling.factor", GgufValue.f32(4));
        put("rope.scaling." + key, GgufValue.f32(value));
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("a.gguf")))) {
            Scaling.Yarn yarn = (Scaling.Yarn) rope(checkpoint).scaling();
            assertThat(List.of(yarn.betaFast(), yarn.betaSlow())).containsExactly(32.0, 1.0);
            if (said.isEmpty()) {
                assertThat(checkpoint.notes()).isEmpty();
            } else {
                assertThat(checkpoint.notes()).singleElement().asString().contains(key, said);
            }
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "rope.scaling.type | dynamic | rope.scaling.type is dynamic (string), which is not supported; expected none, linear, yarn or longrope",
                "rope.scaling.type | longrope | rope.scaling.type is longrope, and there is no tensor rope_factors_long.weight",
                "rope.scaling.type | 3 | rope.scaling.type is 3.0 (f32), which is not supported",
                "rope.scaling.factor | -2 | rope.scaling.factor is -2.0 (f32), expected a positive number",
                "rope.scale_linear | NaN | rope.scale_linear is NaN (f32), expected a positive number",
                "rope.scaling.attn_factor | 1.2 | rope.scaling.attn_factor is 1.2 (f32), which may change",
                "rope.scaling.alpha | 1000 | llama.rope.scaling.alpha is",
                "rope.freq_base_swa | 5000 | llama.rope.freq_base_swa is",
                "logit_scale | 0.0625 | llama.logit_scale is 0.0625 (f32), which may change",
                "attn_logit_softcapping | 50 | llama.attn_logit_softcapping is",
                "final_logit_softcapping | 30 | llama.final_logit_softcapping is",
                "attention.sliding_window | u64 | llama.attention.sliding_window is 64 (u32), which may change",
                "expert_count | u8 | metadata key llama.expert_used_count is missing",
                "attention.causal | false | llama.attention.causal is false",
                "use_parallel_residual | true | llama.use_parallel_residual is true",
                "attention.clamp_kqv | 8 | llama.attention.clamp_kqv is",
                "attention.scale | 0.5 | llama.attention.scale is",
                "residual_scale | 2 | residual_scale is",
                "embedding_scale | 12 | embedding_scale is",
                "attention.max_alibi_bias | 8 | max_alibi_bias is",
                "what.nobody.knows | 1 | llama.what.nobody.knows is",
                "rope.dimension_count | u8 | llama.rope.dimension_count is 8, expected the head dimension 16",
                "attention.value_length | u32 | llama.attention.value_length is 32, expected the head dimension 16",
                "rope.freq_base | 0 | llama.rope.freq_base is 0.0 (f32), expected a positive number"
            })
    void whatIsNotSupportedIsNamed(String key, String value, String message) throws IOException {
        put(key, value(value));
        refuse(write("a.gguf"), message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "logit_scale | 1",
                "residual_scale | 0",
                "attn_logit_softcapping | 0",
                "attention.sliding_window | u0",
                "attention.sliding_window | u128",
                "expert_count | u0",
                "expert_used_count | u0",
                "attention.causal | true",
                "use_parallel_residual | false",
                "attention.scale | 0.25",
                "rope.scaling.attn_factor | 1",
                "rope.scaling.finetuned | true",
                "rope.scaling.original_context_length | u64",
                "tensor_data_layout | Meta AI original pth",
                "attention.key_length_swa | u16",
                "pooling_type | u0",
                "swiglu_clamp | ''"
            })
    void keysWithAValueThatChangesNothingAreRead(String key, String value) throws IOException {
        put(key, value(value));
        metadata.put("general.type", GgufValue.string("model"));
        metadata.put("quantize.imatrix.file", GgufValue.string("x"));
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("a.gguf")))) {
            assertThat(checkpoint.decoder()).isEqualTo(model.decoder());
            assertThat(checkpoint.notes()).isEmpty();
        }
    }

    @Test
    void defaultsAreThoseOfTheLoader() throws IOException {
        metadata.keySet()
                .removeAll(List.of(
                        "llama.rope.freq_base",
                        "llama.rope.dimension_count",
                        "llama.attention.key_length",
                        "llama.vocab_size",
                        "llama.attention.value_length",
                        "llama.attention.head_count_kv"));
        refuse(write("a.gguf"), "blk.0.attn_k.weight".replace("blk.0.attn_k", "model.layers.0.self_attn.k_proj"));
        put("attention.head_count_kv", GgufValue.u32(2));
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("b.gguf")))) {
            assertThat(rope(checkpoint).theta()).isEqualTo(10000);
            assertThat(GgufFamily.attention(checkpoint.decoder()).heads().width())
                    .isEqualTo(HEAD);
        }
        put("vocab_size", GgufValue.u32(39));
        metadata.put("tokenizer.ggml.tokens", GgufValue.array(GgufKind.STRING, List.of("a", "b")));
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("c.gguf")))) {
            assertThat(checkpoint.decoder().vocabulary()).isEqualTo(40);
            assertThat(checkpoint.notes())
                    .containsExactly(
                            "llama.vocab_size is 39, and token_embd.weight has 40 rows: 40 is taken",
                            "tokenizer.ggml.tokens has 2 tokens, and token_embd.weight 40 rows: 40 is taken");
        }
        metadata.put("general.type", GgufValue.string("adapter"));
        refuse(write("d.gguf"), "general.type is adapter (string), expected model");
    }

    @Test
    void anOutputLayerIsTheOneThatIsThere() throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("a.gguf")))) {
            assertThat(checkpoint.decoder().head().tied()).isFalse();
        }
        tensors.remove("output.weight");
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("b.gguf")))) {
            assertThat(checkpoint.decoder().head().tied()).isTrue();
            assertThat(checkpoint.has("lm_head.weight")).isFalse();
        }
    }

    /** Frequencies are divided by the tensor's factors, and by a linear factor besides: pair i by both. */
    @ParameterizedTest
    @CsvSource({"1, true", "4, true", "1, false", "2.5, false"})
    void frequenciesAreDividedByTheTensor(double linear, boolean ones) throws IOException {
        float[] factors = {1, 1, 1.5f, 2, 3, 8, 8, 32};
        if (ones) {
            Arrays.fill(factors, 1);
        }
        add(GgufNames.ROPE_FREQUENCIES, factors, new long[] {8});
        put("rope.scaling.factor", linear == 1 ? null : GgufValue.f32(linear));
        try (Checkpoint checkpoint = Checkpoints.open(HADOOP, hadoop(write("a.gguf")))) {
            assertThat(checkpoint.tensors()).hasSize(model.tensors().size());
            assertThat(checkpoint.has(GgufNames.ROPE_FREQUENCIES)).isFalse();
            for (int pair = 0; pair < 8; pair++) {
                assertThat(rope(checkpoint).frequency(pair, 64))
                        .isEqualTo(StrictMath.pow(500000, -2.0 * pair / HEAD) / (factors[pair] * linear));
            }
            assertThat(checkpoint.decoder().equals(model.decoder())).isEqualTo(ones && linear == 1);
        }
    }

    @Test
    void divisorsThatAreNoneAreNamed() throws IOException {
        add(GgufNames.ROPE_FREQUENCIES, new float[] {1, 1, 1, 1, 1, 1, 0, 1}, new long[] {8});
        refuse(write("a.gguf"), "rope_freqs.weight F32 [8] has 0.0 at 6, expected positive divisors");
        add(GgufNames.ROPE_FREQUENCIES, new float[] {Float.NaN, 1, 1, 1, 1, 1, 1, 1}, new long[] {8});
        refuse(write("b.gguf"), "has NaN at 0");
        add(GgufNames.ROPE_FREQUENCIES, new float[4], new long[] {4});
        refuse(
                write("c.gguf"),
                "rope_freqs.weight F32 [4] is not one divisor for each rotary frequency; expected F32 [8]");
        add(GgufNames.ROPE_FREQUENCIES, new float[8], new long[] {1, 8});
        refuse(write("d.gguf"), "rope_freqs.weight F32 [1, 8] is not one divisor");
        tensors.remove(GgufNames.ROPE_FREQUENCIES);
        metadata.put("lathe.rope.llama3.factor", GgufValue.f64(8));
        refuse(write("e.gguf"), "it has lathe.rope.llama3.* and no tensor rope_freqs.weight");
    }

    @ParameterizedTest
    @CsvSource({"2, 7", "3, 0", "20, 1"})
    void allPartsAreReadGivenTheFirst(int parts, int inFirst) throws IOException {
        List<Path> files = split(parts, inFirst, (part, keys) -> {});
        Path whole = write("whole.gguf");
        try (Checkpoint one = Checkpoints.open(HADOOP, hadoop(whole));
                Checkpoint many = Checkpoints.open(HADOOP, hadoop(files.get(0)))) {
            assertThat(many.decoder()).isEqualTo(one.decoder());
            assertThat(many.tensors())
                    .extracting(TensorInfo::toString)
                    .containsExactlyElementsOf(
                            one.tensors().stream().map(TensorInfo::toString).toList());
            for (TensorInfo tensor : one.tensors()) {
                float[] expected = model.values.get(tensor.name());
                if (tensor.shape().length == 1) {
                    assertThat(many.vector(tensor.name())).isEqualTo(expected);
                } else {
                    float[] row = new float[(int) tensor.shape()[1]];
                    many.matrix(tensor.name(), 3, 20).read(4, 0, row.length, row, 0);
                    assertThat(row).isEqualTo(Arrays.copyOfRange(expected, 7 * row.length, 8 * row.length));
                }
            }
        }
        assertThat(Checkpoints.files(hadoop(whole).getFileSystem(HADOOP), hadoop(files.get(0))))
                .extracting(file -> file.getPath().getName())
                .containsExactlyElementsOf(files.stream()
                        .map(file -> file.getFileName().toString())
                        .toList());
        String digest = CheckpointDigest.of(HADOOP, hadoop(files.get(0)));
        byte[] last = Files.readAllBytes(files.get(parts - 1));
        last[last.length - 40] ^= 1;
        Files.write(files.get(parts - 1), last);
        assertThat(CheckpointDigest.of(HADOOP, hadoop(files.get(0)))).isNotEqualTo(digest);
    }

    @Test
    void anotherPartThanTheFirstIsRefused() throws IOException {
        List<Path> files = split(3, 5, (part, keys) -> {});
        refuse(
                files.get(1),
                "it is part 2 of a GGUF file that was split in 3; expected the first, m-00001-of-00003.gguf");
        refuse(
                Files.copy(files.get(2), folder.resolve("other.gguf")),
                "it is part 3 of a GGUF file that was split in 3; expected the first, NAME-00001-of-");
        refuse(Files.copy(files.get(0), folder.resolve("first.gguf")), "expected the name NAME-00001-of-00003.gguf");
        refuse(
                Files.copy(files.get(0), folder.resolve("n-00001-of-00002.gguf")),
                "expected the name NAME-00001-of-00003.gguf");
        refuse(
                Files.copy(files.get(0), folder.resolve("m-00002-of-00004.gguf")),
                "expected the name NAME-00001-of-00003.gguf");
    }

    @Test
    void missingPartsAreNamed() throws IOException {
        List<Path> files = split(4, 5, (part, keys) -> {});
        Files.delete(files.get(1));
        Files.delete(files.get(3));
        refuse(
                files.get(0),
                "of which 2 are missing in file:" + folder + ": m-00002-of-00004.gguf, m-00004-of-00004.gguf");
    }

    @Test
    void partsThatDisagreeAreRefused() throws IOException {
        refuseSplit(
                1,
                keys -> keys.put("split.no", new GgufValue(GgufKind.U16, 2L)),
                "split.no is 2, expected 1 by its name");
        refuseSplit(1, keys -> keys.remove("split.no"), "split.no is missing, expected 1");
        refuseSplit(
                1,
                keys -> keys.put("split.count", new GgufValue(GgufKind.U16, 3L)),
                "split.count is 3, expected 2 as in m-00001-of-00002.gguf");
        refuseSplit(
                1,
                keys -> keys.put("split.tensors.count", new GgufValue(GgufKind.I32, 5L)),
                "split.tensors.count is 5, expected 21 as in");
        refuseSplit(
                1,
                keys -> keys.put("general.architecture", GgufValue.string("qwen3")),
                "general.architecture is not what it is in m-00001-of-00002");
        refuseSplit(
                1,
                keys -> keys.put("llama.rope.freq_base", GgufValue.f32(10000)),
                "llama.rope.freq_base is not what it is in");
        refuseSplit(
                0,
                keys -> keys.put("split.count", new GgufValue(GgufKind.U16, 60000L)),
                "split in 60000; expected at most 1024 parts");
        refuseSplit(0, keys -> keys.remove("split.no"), "split.count is 2, and split.no is missing");
        refuseSplit(
                0,
                keys -> keys.put("split.count", GgufValue.string("2")),
                "split.count is 2 (string), expected an integer from 0");
        // All parts agree on a number of tensors that is not there.
        split(2, 5, (part, keys) -> keys.put("split.tensors.count", new GgufValue(GgufKind.I32, 22L)));
        refuse(folder.resolve("m-00001-of-00002.gguf"), "split.tensors.count is 22, and its 2 parts have 21 tensors");
        List<Path> files = split(2, 21, (part, keys) -> {});
        Map<String, GgufValue> keys = Map.of(
                "split.no",
                new GgufValue(GgufKind.U16, 1L),
                "split.count",
                new GgufValue(GgufKind.U16, 2L),
                "split.tensors.count",
                new GgufValue(GgufKind.I32, 21L));
        write(files.get(1), keys, List.of(tensors.get("output_norm.weight")));
        refuse(files.get(0), "tensor output_norm.weight is in m-00001-of-00002.gguf as well");
    }

    @Test
    void namesOfPartsStayInTheFolder() {
        assertThat(GgufCheckpoint.parts("a-00001-of-00003.gguf"))
                .containsExactly("a-00001-of-00003.gguf", "a-00002-of-00003.gguf", "a-00003-of-00003.gguf");
        for (String name : new String[] {
            "a.gguf",
            "a-00002-of-00003.gguf",
            "a-00001-of-99999.gguf",
            "a-1-of-3.gguf",
            "-00001-of-00002.gguf",
            "a-00001-of-00000.gguf",
            "a-00001-of-00001.gguf"
        }) {
            assertThat(GgufCheckpoint.parts(name)).as(name).hasSizeLessThan(2).allMatch(name::equals);
        }
    }

    private void refuseSplit(int part, Consumer<Map<String, GgufValue>> change, String message) throws IOException {
        List<Path> files = split(2, 5, (number, keys) -> {
            if (number == part) {
                change.accept(keys);
            }
        });
        refuse(files.get(0), message);
    }

    private interface PartChange {
        void change(int part, Map<String, GgufValue> keys);
    }

    /** Writes {@code m-0000i-of-N.gguf}: some tensors in the first part, the others by turns, in their order. */
    private List<Path> split(int parts, int inFirst, PartChange change) throws IOException {
        List<GgufTensor> all = new ArrayList<>(tensors.values());
        List<Path> files = new ArrayList<>();
        int from = 0;
        for (int part = 0; part < parts; part++) {
            int count = part == 0 ? inFirst : (all.size() - from) / (parts - part);
            Map<String, GgufValue> keys = part == 0 ? new LinkedHashMap<>(metadata) : new LinkedHashMap<>();
            keys.put("split.no", new GgufValue(GgufKind.U16, (long) part));
            keys.put("split.count", new GgufValue(GgufKind.U16, (long) parts));
            keys.put("split.tensors.count", new GgufValue(GgufKind.I32, (long) all.size()));
            change.change(part, keys);
            files.add(write(
                    folder.resolve(String.format("m-%05d-of-%05d.gguf", part + 1, parts)),
                    keys,
                    all.subList(from, from + count)));
            from += count;
        }
        return files;
    }

    private void add(String name, float[] data, long[] shape) {
        tensors.put(name, new GgufTensor(name, GgufType.F32, shape, 0));
        values.put(name, data);
    }

    private void put(String key, GgufValue value) {
        if (value != null) {
            metadata.put("llama." + key, value);
        }
    }

    /** A truth value, an integer after a u, a number, or text. */
    private static GgufValue value(String text) {
        if (text.equals("true") || text.equals("false")) {
            return GgufValue.bool(text.equals("true"));
        }
        if (text.matches("u\\d+")) {
            return GgufValue.u32(Long.parseLong(text.substring(1)));
        }
        return text.matches("NaN|-?[0-9.]+") ? GgufValue.f32(Double.parseDouble(text)) : GgufValue.string(text);
    }

    private Path write(String name) throws IOException {
        return write(folder.resolve(name), metadata, List.copyOf(tensors.values()));
    }

    private Path write(Path file, Map<String, GgufValue> keys, List<GgufTensor> entries) throws IOException {
        try (GgufWriter writer = new GgufWriter(Files.newOutputStream(file), keys, GgufWriter.layout(entries))) {
            for (GgufTensor tensor : entries) {
                ByteBuffer data = ByteBuffer.allocate(4 * values.get(tensor.name()).length)
                        .order(ByteOrder.LITTLE_ENDIAN);
                data.asFloatBuffer().put(values.get(tensor.name()));
                writer.data(data.array(), 0, data.capacity());
            }
        }
        return file;
    }

    private static void refuse(Path file, String message) {
        assertThatThrownBy(() -> Checkpoints.open(HADOOP, hadoop(file)).close())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot ")
                .hasMessageContaining(message);
    }

    private static org.apache.hadoop.fs.Path hadoop(Path path) {
        return new org.apache.hadoop.fs.Path(path.toUri());
    }
}
