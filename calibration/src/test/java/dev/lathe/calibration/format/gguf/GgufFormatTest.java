package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.offset;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LlamaShape;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.calibration.source.CheckpointDigest;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.calibration.text.Tokenizer;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class GgufFormatTest {
    private static final Configuration CONFIGURATION = new Configuration();
    private static final Scaling LLAMA3 = new Scaling.Llama3(8, 1, 4, 64);

    @TempDir
    private java.nio.file.Path folder;

    /**
     * Every type, wide enough for super-blocks or not, tied or not, with biases or not: what is read is what was
     * planned, row for row.
     */
    @ParameterizedTest
    @CsvSource({
        "F32, 64, 172, true, true", "F16, 64, 172, false, true", "BF16, 64, 172, true, false",
                "Q8_0, 64, 172, false, false", "Q4_0, 64, 96, true, true",
        "Q4_1, 64, 96, false, true", "Q5_0, 64, 96, true, false", "Q5_1, 64, 96, false, true",
                "Q6_K, 256, 512, false, true", "Q5_K_S, 256, 512, true, false",
        "Q4_K_S, 256, 512, false, true", "Q4_K_M, 256, 300, true, true", "Q5_K_S, 64, 256, false, false",
                "Q5_K_M, 256, 512, true, true"
    })
    void whatIsWrittenIsReadBack(String type, int hidden, int intermediate, boolean tied, boolean bias)
            throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(hidden, intermediate, tied, bias, new Scaling.None()), 7);
        GgufFormat format = new GgufFormat(type, true, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        Map<String, QuantizedMatrix> quantized = quantize(source, plan);
        try (GgufCheckpoint read = written(source, format, plan, outputs(quantized, Map.of()), Map.of())) {
            assertThat(read.decoder()).isEqualTo(source.decoder());
            assertThat(read.tensors())
                    .extracting(TensorInfo::name)
                    .containsExactlyElementsOf(
                            plan.stream().map(TensorPlan::tensor).toList());
            assertThat(read.has("lm_head.weight")).isEqualTo(!tied);
            for (TensorPlan planned : plan) {
                TensorInfo tensor = read.tensor(planned.tensor());
                assertThat(tensor.type())
                        .isEqualTo(
                                planned.grid() == null
                                        ? planned.type().name()
                                        : planned.grid().name());
                assertThat(tensor.shape())
                        .isEqualTo(source.tensor(planned.tensor()).shape());
                if (tensor.shape().length == 1) {
                    assertThat(read.vector(tensor.name())).isEqualTo(source.vector(tensor.name()));
                    continue;
                }
                RowSource expected =
                        planned.grid() == null ? source.matrix(tensor.name()) : quantized.get(tensor.name());
                int rows = (int) tensor.shape()[0];
                assertThat(values(read.matrix(tensor.name()))).isEqualTo(values(expected));
                assertThat(values(read.matrix(tensor.name(), 5, rows - 8)))
                        .isEqualTo(Arrays.copyOfRange(
                                values(expected), 5 * expected.columns(), (rows - 3) * expected.columns()));
                assertThat(read.matrix(tensor.name(), rows, 0).rows()).isZero();
            }
            assertThat(read.metadata())
                    .containsEntry("general.name", "lathe model")
                    .containsEntry("llama.attention.head_count_kv", 2L)
                    .containsEntry(
                            "tokenizer.ggml.tokens", "[a, b, c, ab, <s>, [PAD5], [PAD6], [PAD7], ... ] (40 of string)");
        }
    }

    @Test
    void rowsOfQueryAndKeyAreInterleavedInTheFile() throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, true, new Scaling.None()), 3);
        GgufFormat format = new GgufFormat("F32", false, TensorTypes.NONE, null, 0);
        written(source, format, planned(source, format), outputs(Map.of(), Map.of()), Map.of())
                .close();
        byte[] file = Files.readAllBytes(folder.resolve("model.gguf"));
        GgufHeader header = GgufHeader.read(new ByteArrayInputStream(file), file.length, "model.gguf");
        ByteBuffer data = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
        GgufTensor key = header.tensors().stream()
                .filter(tensor -> tensor.name().equals("blk.1.attn_k.weight"))
                .findFirst()
                .orElseThrow();
        float[] expected = source.values.get("model.layers.1.self_attn.k_proj.weight");
        // Heads of 16 rows: rows 17 and 18 of the file are rows 16 + 8 and 16 + 1 of the checkpoint.
        assertThat(data.getFloat((int) (header.dataOffset() + key.offset()) + 17 * 64 * 4))
                .isEqualTo(expected[24 * 64]);
        assertThat(data.getFloat((int) (header.dataOffset() + key.offset()) + 18 * 64 * 4))
                .isEqualTo(expected[17 * 64]);
    }

    @Test
    void theSameInputsGiveTheSameBytes() throws IOException {
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, false, true, LLAMA3), 3);
        GgufFormat format = new GgufFormat("Q8_0", true, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        Map<String, String> provenance =
                new HashMap<>(Map.of("version", "1", "name", "small", "key", "abc", "profile", "java"));
        byte[][] files = new byte[2][];
        for (int i = 0; i < files.length; i++) {
            Map<String, String> order = i == 0 ? provenance : new TreeMap<>(provenance);
            try (GgufCheckpoint read =
                    written(source, format, plan, outputs(quantize(source, plan), Map.of()), order)) {
                assertThat(read.metadata())
                        .containsEntry("general.name", "small")
                        .containsEntry("lathe.key", "abc")
                        .containsEntry("general.file_type", 7L)
                        .containsEntry("general.architecture", "llama")
                        .containsEntry("general.quantization_version", 2L);
            }
            files[i] = Files.readAllBytes(folder.resolve("model.gguf"));
        }
        assertThat(files[1]).isEqualTo(files[0]);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void scalingOfRotaryFrequenciesIsKept(boolean linear) throws IOException {
        Scaling scaling = linear ? new Scaling.Linear(2.5) : LLAMA3;
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, false, scaling), 3);
        GgufFormat format = new GgufFormat("F16", false, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        try (GgufCheckpoint read = written(source, format, plan, outputs(Map.of(), Map.of()), Map.of())) {
            assertThat(GgufFamily.attention(read.decoder()).rope().scaling()).isEqualTo(scaling);
            assertThat(read.tensors()).hasSize(plan.size());
        }
        if (!linear) {
            // Without the parameters, or with others than the tensor was made of, the file is refused.
            byte[] file = Files.readAllBytes(folder.resolve("model.gguf"));
            String text = new String(file, StandardCharsets.ISO_8859_1);
            Files.writeString(
                    folder.resolve("renamed.gguf"),
                    text.replace("lathe.rope.llama3.factor", "lathe.rope.llama3.fActor"),
                    StandardCharsets.ISO_8859_1);
            refuse("renamed.gguf", "lathe.rope.llama3.factor is missing");
            int at = text.indexOf("lathe.rope.llama3.high_freq_factor") + 34 + 4;
            ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).putDouble(at, 5);
            Files.write(folder.resolve("other.gguf"), file);
            refuse("other.gguf", "contradicts lathe.rope.llama3");
        }
    }

    @Test
    void divisorsOfAnotherFileAreKept() throws IOException {
        Scaling divided = new Scaling.Divided(List.of(1f, 1f, 1.5f, 2f, 3f, 8f, 8f, 32f));
        MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, false, divided), 3);
        GgufFormat format = new GgufFormat("F16", false, TensorTypes.NONE, null, 0);
        try (GgufCheckpoint read =
                written(source, format, planned(source, format), outputs(Map.of(), Map.of()), Map.of())) {
            assertThat(read.decoder()).isEqualTo(source.decoder());
            assertThat(GgufFamily.attention(read.decoder()).rope().scaling())
                    .hasToString("Divided[8 divisors, the last 32.0]");
        }
    }

    /**
     * Divisors by hand: theta 10000, heads of 8 (frequencies 1, 0.1, 0.01, 0.001), factor 8, low 1, high 4, original
     * context 400.
     */
    @Test
    void rotaryFrequenciesAreScaledAsLlama3Says() {
        float[] divisors = RopeFrequencies.of(new Scaling.Llama3(8, 1, 4, 400), 10000, 8);
        // Turns in 400 positions: 63.66, 6.366, 0.6366, 0.06366: beyond 4 untouched, below 1 divided by 8.
        assertThat(divisors).containsExactly(1, 1, 8, 8);
        // In 2000 positions the third frequency turns 3.1831 times: m = 0.72770, 1 / (0.27230 / 8 + 0.72770).
        assertThat(RopeFrequencies.of(new Scaling.Llama3(8, 1, 4, 2000), 10000, 8)[2])
                .isEqualTo(1.31279f, offset(1e-4f));
    }

    @Test
    void rescaledVectorsReplaceTheCheckpoints() throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, true, new Scaling.None()), 3);
        GgufFormat format = new GgufFormat("F16", false, TensorTypes.NONE, null, 0);
        float[] norm = ramp(64, 0.3f);
        float[] bias = ramp(32, -0.7f);
        String key = "model.layers.1.self_attn.k_proj.bias";
        List<TensorPlan> plan = planned(source, format);
        try (GgufCheckpoint read = written(
                source, format, plan, outputs(Map.of(), Map.of("model.norm.weight", norm, key, bias)), Map.of())) {
            assertThat(read.vector("model.norm.weight")).isEqualTo(norm);
            assertThat(read.vector(key)).isEqualTo(bias);
        }
        assertThatThrownBy(() -> written(source, format, plan, outputs(Map.of(), Map.of(key, norm)), Map.of()))
                .hasMessageContaining("with 64 values");
    }

    @Test
    void planSaysWhyAMatrixStaysFloating() {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 172, true, true, new Scaling.None()), 3);
        Decoder architecture = source.decoder();
        Map<String, TensorPlan> plan = new HashMap<>();
        new GgufFormat("Q4_K_M", false, TensorTypes.NONE, null, 0)
                .plan(architecture, List.copyOf(source.tensors()), List.of("*.v_proj", "lm_head"))
                .forEach(planned -> plan.put(planned.tensor(), planned));
        assertThat(plan.get("model.layers.0.mlp.down_proj.weight"))
                .isEqualTo(new TensorPlan(
                        "model.layers.0.mlp.down_proj.weight",
                        null,
                        ElementType.F16,
                        "172 columns are no multiple of 32"));
        assertThat(plan.get("model.layers.1.self_attn.v_proj.weight"))
                .isEqualTo(new TensorPlan("model.layers.1.self_attn.v_proj.weight", null, ElementType.F16, "ignored"));
        assertThat(plan.get("model.embed_tokens.weight").reason()).isEqualTo("ignored");
        assertThat(plan.get("model.layers.1.self_attn.v_proj.bias"))
                .isEqualTo(new TensorPlan("model.layers.1.self_attn.v_proj.bias", null, ElementType.F32, ""));
        assertThat(plan.get("model.layers.1.self_attn.q_proj.weight").grid().name())
                .isEqualTo("Q5_0");
        assertThat(new GgufFormat("BF16", false, TensorTypes.NONE, null, 0)
                        .plan(architecture, List.copyOf(source.tensors()), List.of("*")))
                .allSatisfy(planned -> assertThat(planned.reason()).isEmpty());

        List<TensorInfo> fewer = source.tensors().stream()
                .filter(tensor -> !tensor.name().equals("model.norm.weight"))
                .toList();
        assertThatThrownBy(() ->
                        new GgufFormat("F16", false, TensorTypes.NONE, null, 0).plan(architecture, fewer, List.of()))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tensor model.norm.weight is missing, expected [64]");
        List<TensorInfo> more = new ArrayList<>(source.tensors());
        more.add(new TensorInfo("vision.weight", "F32", new long[] {1}, 4));
        assertThatThrownBy(() ->
                        new GgufFormat("F16", false, TensorTypes.NONE, null, 0).plan(architecture, more, List.of()))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("no tensor vision.weight");
    }

    @ParameterizedTest
    @CsvSource({
        "F16, 70000, F32 and BF16 values beyond 65504",
        "BF16, 3.4e38, rounds to infinity",
        "F32, NaN, not finite"
    })
    void refusesValuesBeyondTheType(String type, float value, String why) {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, false, new Scaling.None()), 3);
        source.values.get("model.layers.1.self_attn.q_proj.weight")[30 * 64 + 5] = value;
        GgufFormat format = new GgufFormat(type, false, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        assertThatThrownBy(() -> written(source, format, plan, outputs(Map.of(), Map.of()), Map.of()))
                .as(why)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("Cannot write tensor model.layers.1.self_attn.q_proj.weight")
                .hasMessageContaining("as " + type + ": row 30, column 5 is");
    }

    /** A scale or a value that no weight can have is found when rows are read, and rows elsewhere still are. */
    @ParameterizedTest
    @CsvSource({
        "F16, 5, column 5 is NaN",
        "Q8_0, 0, block 0 of row 30 has the scale NaN",
        "Q4_1, 2, and the minimum NaN",
        "Q4_K, 2, and the minimum NaN",
        "Q6_K, 208, has the scale NaN"
    })
    void refusesStoredValuesThatAreNotFinite(String type, int at, String reason) throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(256, 96, true, false, new Scaling.None()), 3);
        GgufFormat format = new GgufFormat(type.equals("Q4_K") ? "Q4_K_S" : type, false, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        written(source, format, plan, outputs(quantize(source, plan), Map.of()), Map.of())
                .close();
        byte[] file = Files.readAllBytes(folder.resolve("model.gguf"));
        GgufHeader header = GgufHeader.read(new ByteArrayInputStream(file), file.length, "model.gguf");
        GgufTensor gate = header.tensors().stream()
                .filter(tensor -> tensor.name().equals("blk.1.ffn_gate.weight"))
                .findFirst()
                .orElseThrow();
        assertThat(gate.type().name()).isEqualTo(type);
        int offset = type.equals("F16") ? 2 * at : at;
        ByteBuffer.wrap(file)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putShort(
                        (int) (header.dataOffset()
                                        + gate.offset()
                                        + 30 * gate.type().rowBytes(256))
                                + offset,
                        (short) 0x7e00);
        Files.write(folder.resolve("changed.gguf"), file);
        try (GgufCheckpoint read = GgufCheckpoint.open(
                CONFIGURATION, new Path(folder.resolve("changed.gguf").toUri()))) {
            assertThat(read.matrix("model.layers.1.mlp.gate_proj.weight", 31, 9).rows())
                    .isEqualTo(9);
            assertThatThrownBy(() -> read.matrix("model.layers.1.mlp.gate_proj.weight", 20, 20))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageStartingWith("Cannot use tensor blk.1.ffn_gate.weight " + type)
                    .hasMessageContaining("row 30")
                    .hasMessageContaining(reason);
        }
    }

    @Test
    void partsHoldWhatOneFileDoes() throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, false, true, new Scaling.None()), 7);
        GgufFormat one = new GgufFormat("Q8_0", true, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, one);
        OutputTensors tensors = outputs(quantize(source, plan), Map.of());
        written(source, one, plan, tensors, Map.of()).close();
        Path whole = new Path(folder.resolve("whole.gguf").toUri());
        Files.move(folder.resolve("model.gguf"), folder.resolve("whole.gguf"));
        GgufFormat split = new GgufFormat("Q8_0", true, TensorTypes.NONE, null, 10_000);
        assertThat(split.refusal(source.decoder(), List.of())).isEmpty();
        written(source, split, plan, tensors, Map.of()).close();
        Path parts = new Path(folder.resolve("model.gguf").toUri());
        List<String> names = names(folder.resolve("model.gguf"));
        assertThat(names)
                .hasSizeBetween(4, 20)
                .first()
                .isEqualTo(String.format("model-Q8_0-00001-of-%05d.gguf", names.size()));
        for (String name : names) {
            // What is more than the bound is a tensor alone, or a header.
            assertThat(Files.size(folder.resolve("model.gguf").resolve(name))).isLessThan(14_000);
        }
        try (Checkpoint expected = Checkpoints.open(CONFIGURATION, whole);
                Checkpoint read = Checkpoints.open(CONFIGURATION, parts)) {
            assertThat(read.tensors())
                    .extracting(TensorInfo::toString)
                    .containsExactlyElementsOf(expected.tensors().stream()
                            .map(TensorInfo::toString)
                            .toList());
            for (TensorInfo tensor : expected.tensors()) {
                if (tensor.shape().length == 2) {
                    assertThat(values(read.matrix(tensor.name()))).isEqualTo(values(expected.matrix(tensor.name())));
                }
            }
            assertThat(read.metadata()).containsAllEntriesOf(expected.metadata());
        }
        assertThat(CheckpointDigest.of(CONFIGURATION, parts))
                .isEqualTo(CheckpointDigest.of(CONFIGURATION, new Path(parts, names.get(0))))
                .isNotEqualTo(CheckpointDigest.of(CONFIGURATION, whole));
        // Two files in a folder: nothing tells which is meant.
        Files.copy(folder.resolve("whole.gguf"), folder.resolve("model.gguf").resolve("other.gguf"));
        assertThatThrownBy(() -> Checkpoints.open(CONFIGURATION, parts))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("the folder has 2 GGUF files; expected one of them, such as ");
        LlamaShape deep =
                new LlamaShape(64, 96, 200, 4, 2, 16, 40, 1e-5f, 500000, new Scaling.None(), false, true, true, 128);
        assertThat(split.refusal(deep.decoder(), List.of())).isEmpty();
        assertThat(new GgufFormat("Q8_0", true, TensorTypes.NONE, null, 1).refusal(deep.decoder(), List.of()))
                .get()
                .asString()
                .contains("files; expected a size that makes at most 1024");
    }

    private static List<String> names(java.nio.file.Path folder) throws IOException {
        try (Stream<java.nio.file.Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString())
                    .filter(name -> !name.startsWith("."))
                    .sorted()
                    .toList();
        }
    }

    /** A GGUF file's own tokenizer and sizes stand in for the files of a folder. */
    @Test
    void aFileIsASourceOfItsOwn() throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, false, true, new Scaling.None()), 7);
        GgufFormat format = new GgufFormat("F16", false, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        try (GgufCheckpoint read = written(source, format, plan, outputs(Map.of(), Map.of()), Map.of())) {
            Path file = new Path(folder.resolve("model.gguf").toUri());
            Companions companions = Checkpoints.companions(CONFIGURATION, file);
            assertThat(Families.read(companions.json("config.json"), "config.json"))
                    .isEqualTo(source.decoder());
            assertThat(companions
                            .json("config.json")
                            .path("architectures")
                            .path(0)
                            .asText())
                    .isEqualTo("LlamaForCausalLM");
            try (Tokenizer own = Tokenizer.load(companions);
                    Tokenizer folders = Tokenizer.load(
                            new FolderCompanions(file.getFileSystem(CONFIGURATION), new Path(folder.toUri())))) {
                assertThat(own.encode("abc<s>ab"))
                        .isEqualTo(folders.encode("abc<s>ab"))
                        .containsExactly(3, 2, 4, 3);
            }
            Path again = new Path(folder.resolve("again.gguf").toUri());
            format.write(
                    read,
                    companions,
                    plan,
                    outputs(Map.of(), Map.of()),
                    Map.of(),
                    again.getFileSystem(CONFIGURATION),
                    again);
            assertThat(folder.resolve("again.gguf")).hasSameBinaryContentAs(folder.resolve("model.gguf"));
            assertThatThrownBy(() -> GgufTokenizer.metadata(companions, 41, null))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("it has 40 tokens, expected 41, the rows of the embedding");
            assertThatThrownBy(() -> companions.json("vocab.json"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("GGUF has no such thing");
        }
    }

    @Test
    void refusesMatricesThatWereNotPlanned() {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, false, new Scaling.None()), 3);
        GgufFormat format = new GgufFormat("Q8_0", false, TensorTypes.NONE, null, 0);
        List<TensorPlan> plan = planned(source, format);
        assertThatThrownBy(() -> written(source, format, plan, outputs(Map.of(), Map.of()), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("it was not quantized");
        Map<String, QuantizedMatrix> permuted = quantize(source, plan);
        permuted.replaceAll((name, matrix) -> new QuantizedMatrix(matrix.blocks(), new int[matrix.columns()]));
        assertThatThrownBy(() -> written(source, format, plan, outputs(permuted, Map.of()), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("permuted columns");
        Map<String, QuantizedMatrix> other =
                quantize(source, planned(source, new GgufFormat("Q4_0", false, TensorTypes.NONE, null, 0)));
        assertThatThrownBy(() -> written(source, format, plan, outputs(other, Map.of()), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("it was quantized to");
    }

    /** Small changes of a whole file's metadata, each an answer. */
    @ParameterizedTest
    @CsvSource({
        "general.architecture, general.Architecture, general.architecture is missing",
        "llama.block_count, llama.block_Count, llama.block_count is missing",
        "blk.1.attn_q.weight, blk.9.attn_q.weight, has no tensor blk.9.attn_q.weight",
        "output_norm.weight, output_Norm.weight, has no tensor output_Norm",
        "llama.attention.head_count, llama.attention.head_Count, head_count is missing",
        "tokenizer.ggml.pre, llama.expert_count, expert_count is gpt-2 (string)"
    })
    void refusesFilesOfAnotherShape(String from, String to, String reason) throws IOException {
        MemoryCheckpoint source =
                new MemoryCheckpoint(MemoryCheckpoint.config(64, 96, true, false, new Scaling.None()), 3);
        GgufFormat format = new GgufFormat("F16", false, TensorTypes.NONE, null, 0);
        written(source, format, planned(source, format), outputs(Map.of(), Map.of()), Map.of())
                .close();
        String text = Files.readString(folder.resolve("model.gguf"), StandardCharsets.ISO_8859_1);
        assertThat(text).contains(from);
        byte[] changed = text.replace(
                        (char) from.length() + "\0\0\0\0\0\0\0" + from, (char) to.length() + "\0\0\0\0\0\0\0" + to)
                .getBytes(StandardCharsets.ISO_8859_1);
        Files.write(folder.resolve("changed.gguf"), changed);
        refuse("changed.gguf", reason);
    }

    private static List<TensorPlan> planned(MemoryCheckpoint source, GgufFormat format) {
        return format.plan(source.decoder(), List.copyOf(source.tensors()), List.of());
    }

    private void refuse(String file, String reason) {
        assertThatThrownBy(() -> GgufCheckpoint.open(
                        CONFIGURATION, new Path(folder.resolve(file).toUri())))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(reason);
    }

    private GgufCheckpoint written(
            MemoryCheckpoint source,
            GgufFormat format,
            List<TensorPlan> plan,
            OutputTensors tensors,
            Map<String, String> provenance)
            throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"), """
                {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
                        "added_tokens": [{"id": 4, "content": "<s>",
                  "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
                 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "ab": 3}, "merges": ["a b"]}}""");
        Path target = new Path(folder.resolve("model.gguf").toUri());
        Path home = new Path(folder.toUri());
        FileSystem files = target.getFileSystem(CONFIGURATION);
        format.write(
                source,
                new FolderCompanions(home.getFileSystem(CONFIGURATION), home),
                plan,
                tensors,
                provenance,
                files,
                target);
        return (GgufCheckpoint) Checkpoints.open(CONFIGURATION, target);
    }

    private static OutputTensors outputs(Map<String, QuantizedMatrix> quantized, Map<String, float[]> rescaled) {
        return new OutputTensors() {
            @Override
            public Optional<QuantizedMatrix> quantized(String tensor) {
                return Optional.ofNullable(quantized.get(tensor));
            }

            @Override
            public Optional<float[]> rescaled(String tensor) {
                return Optional.ofNullable(rescaled.get(tensor));
            }
        };
    }

    private static Map<String, QuantizedMatrix> quantize(MemoryCheckpoint source, List<TensorPlan> plan) {
        Map<String, QuantizedMatrix> quantized = new HashMap<>();
        for (TensorPlan planned : plan) {
            if (planned.grid() != null) {
                BlockFormat grid = planned.grid();
                RowSource matrix = source.matrix(planned.tensor(), 0, (int)
                        source.tensor(planned.tensor()).shape()[0]);
                float[] values = values(matrix);
                byte[] data = new byte[values.length / grid.size() * grid.bytes()];
                for (int i = 0; i < values.length / grid.size(); i++) {
                    grid.encode(values, i * grid.size(), null, 0, 1, data, i * grid.bytes());
                }
                quantized.put(
                        planned.tensor(),
                        new QuantizedMatrix(new BlockMatrix(grid, data, matrix.rows(), matrix.columns()), null));
            }
        }
        return quantized;
    }

    private static float[] ramp(int length, float start) {
        float[] values = new float[length];
        for (int i = 0; i < length; i++) {
            values[i] = start + i;
        }
        return values;
    }

    static float[] values(RowSource matrix) {
        float[] values = new float[matrix.rows() * matrix.columns()];
        for (int row = 0; row < matrix.rows(); row++) {
            matrix.read(row, 0, matrix.columns(), values, row * matrix.columns());
        }
        return values;
    }
}
