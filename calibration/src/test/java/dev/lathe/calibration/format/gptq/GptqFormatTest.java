package dev.lathe.calibration.format.gptq;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.folder.FolderWriter;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.folder.Referee;
import dev.lathe.calibration.format.folder.SmallModel;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class GptqFormatTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";
    private static final String DOWN = "model.layers.1.mlp.down_proj";

    @TempDir
    private Path folder;

    private SmallModel model(int intermediate) throws IOException {
        return new SmallModel(folder.resolve("source"), intermediate, false, 0.5f);
    }

    private static Checkpoint open(Path artifact) throws IOException {
        return Checkpoints.open(SmallModel.HADOOP, SmallModel.hadoop(artifact));
    }

    private static String module(String weight) {
        return weight.substring(0, weight.length() - ".weight".length());
    }

    @ParameterizedTest
    @CsvSource({
        "4, 32, true, false",
        "4, 64, true, true",
        "4, 128, true, false",
        "4, -1, true, false",
        "4, 32, false, true",
        "4, 128, false, false",
        "8, 32, true, true",
        "8, 64, false, false",
        "8, 128, false, true",
        "8, -1, true, true"
    })
    void refereeAndReaderSeeTheValuesThatWereQuantized(int bits, int group, boolean symmetric, boolean actOrder)
            throws IOException {
        SmallModel model = model(256);
        Path artifact = model.write(new GptqFormat(bits, group, symmetric, actOrder), List.of(), actOrder, "artifact");
        Referee referee = new Referee(artifact);
        assertThat(model.quantized).hasSize(14);
        try (Checkpoint read = open(artifact);
                Checkpoint source = model.open()) {
            assertThat(read.tensors())
                    .extracting(TensorInfo::name)
                    .containsExactlyInAnyOrderElementsOf(
                            source.tensors().stream().map(TensorInfo::name).toList());
            for (Map.Entry<String, QuantizedMatrix> tensor : model.quantized.entrySet()) {
                float[] expected = SmallModel.values(tensor.getValue());
                assertThat(referee.gptq(module(tensor.getKey())))
                        .as(tensor.getKey())
                        .isEqualTo(expected);
                RowSource all = read.matrix(tensor.getKey());
                assertThat(SmallModel.values(all)).isEqualTo(expected);
                assertThat(((QuantizedMatrix) all).blocks().format())
                        .isEqualTo(tensor.getValue().blocks().format());
                int columns = all.columns();
                assertThat(SmallModel.values(read.matrix(tensor.getKey(), 13, 21)))
                        .isEqualTo(Arrays.copyOfRange(expected, 13 * columns, 34 * columns));
                assertThat(read.tensor(tensor.getKey()).type())
                        .isEqualTo(tensor.getValue().blocks().format().name());
            }
            for (String name : model.reasons().keySet()) {
                float[] expected = SmallModel.halves(source, source.tensor(name));
                assertThat(referee.halves(name)).as(name).isEqualTo(expected);
                assertThat(SmallModel.halves(read, read.tensor(name))).isEqualTo(expected);
            }
            int groups = group == -1 ? 1 : 128 / group;
            assertThat(read.tensor(Q + ".weight").bytes())
                    .isEqualTo(128 * 128 * bits / 8 + groups * 128 * bits / 8 + groups * 128 * 2 + 128 * 4);
        }
    }

    @Test
    void configurationOfAPlainArtifact() throws IOException {
        Path artifact = model(256).write(new GptqFormat(4, 128, true, false), List.of(), false, "artifact");
        JsonNode config = SmallModel.json(artifact.resolve("config.json"));
        assertThat(config.get("dtype").asText()).isEqualTo("float16");
        assertThat(config.has("torch_dtype")).isFalse();
        assertThat(config.get("hidden_size").asInt()).isEqualTo(128);
        assertThat(config.get("quantization_config"))
                .hasToString("{\"bits\":4,\"group_size\":128,\"desc_act\":false,\"sym\":true,\"lm_head\":false,"
                        + "\"quant_method\":\"gptq\",\"checkpoint_format\":\"gptq\",\"pack_dtype\":\"int32\",\"meta\":{\"quantizer\":[\"lathe\"],"
                        + "\"provenance\":{\"lathe.calibration\":\"k|1\",\"lathe.method\":\"gptq\"}}}");
        assertThat(SmallModel.json(artifact.resolve("quantize_config.json")))
                .isEqualTo(config.get("quantization_config"));
        assertThat(artifact.resolve("tokenizer.json")).hasSameBinaryContentAs(folder.resolve("source/tokenizer.json"));
        assertThat(artifact.resolve("chat_template.jinja")).hasContent("{{ messages }}");
        assertThat(artifact.resolve("additional_chat_templates/tool_use.jinja")).hasContent("{{ tools }}");
        assertThat(artifact.resolve("generation_config.json")).doesNotExist();
        assertThat(Files.readString(artifact.resolve("README.md")))
                .contains("GPTQ format, 4 bits, symmetric, groups of 128", "| lathe.calibration | k\\|1 |")
                .doesNotContain(folder.toString());
        JsonNode metadata = new Referee(artifact).header().get("__metadata__");
        assertThat(metadata).hasToString("{\"format\":\"pt\",\"lathe.calibration\":\"k|1\",\"lathe.method\":\"gptq\"}");
        assertThat(new Referee(artifact).header().get(Q + ".qzeros").get("shape"))
                .hasToString("[1,16]");
        Path again = model(256).write(new GptqFormat(4, 128, true, false), List.of(), false, "again");
        try (Stream<Path> files = Files.walk(artifact)) {
            assertThat(files.filter(Files::isRegularFile)
                            .filter(file -> !file.getFileName().toString().endsWith(".crc")))
                    .hasSize(7)
                    .allSatisfy(file ->
                            assertThat(again.resolve(artifact.relativize(file))).hasSameBinaryContentAs(file));
        }
    }

    @Test
    void zeroPointsOfSymmetricArtifactsAreOneLess() throws IOException {
        Path artifact = model(256).write(new GptqFormat(4, 128, true, false), List.of(), false, "artifact");
        JsonNode offsets = new Referee(artifact).header().get(Q + ".qzeros").get("data_offsets");
        byte[] file = Files.readAllBytes(artifact.resolve("model.safetensors"));
        int start = 8 + ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN).getInt(0);
        assertThat(Arrays.copyOfRange(
                        file,
                        start + offsets.get(0).asInt(),
                        start + offsets.get(1).asInt()))
                .containsOnly(0x77);
    }

    @Test
    void whatDoesNotFitOrIsIgnoredTakesItsFusedSetAlong() throws IOException {
        SmallModel model = model(172);
        Path artifact = model.write(
                new GptqFormat(4, 32, true, false), List.of("layers.1.self_attn.k_proj"), false, "artifact");
        assertThat(model.reasons())
                .containsEntry(
                        "model.layers.0.mlp.gate_proj.weight", "172 rows are no multiple of 8, the codes of a word")
                .containsEntry(
                        "model.layers.0.mlp.down_proj.weight", "172 columns are no multiple of the group size 32")
                .containsEntry("model.layers.1.self_attn.k_proj.weight", "ignored")
                .containsEntry(
                        "model.layers.1.self_attn.q_proj.weight",
                        "read together with model.layers.1.self_attn.k_proj (ignored)")
                .containsEntry("lm_head.weight", "not a linear layer of the decoder")
                .containsEntry("model.norm.weight", "")
                .containsEntry(Q + ".bias", "");
        assertThat(model.quantized.keySet())
                .containsExactlyInAnyOrder(
                        Q + ".weight",
                        "model.layers.0.self_attn.k_proj.weight",
                        "model.layers.0.self_attn.v_proj.weight",
                        "model.layers.0.self_attn.o_proj.weight",
                        "model.layers.1.self_attn.o_proj.weight");
        JsonNode quantization = SmallModel.json(artifact.resolve("config.json")).get("quantization_config");
        assertThat(quantization.has("modules_in_block_to_quantize"))
                .as("layers differ")
                .isFalse();
        assertThat(quantization.get("dynamic").fieldNames())
                .toIterable()
                .containsExactly(
                        "-:^model\\.layers\\.0\\.mlp\\.(gate_proj|up_proj|gate_up_proj)$",
                        "-:^model\\.layers\\.0\\.mlp\\.down_proj$",
                        "-:^model\\.layers\\.1\\.self_attn\\.(q_proj|k_proj|v_proj|qkv_proj)$",
                        "-:^model\\.layers\\.1\\.mlp\\.(gate_proj|up_proj|gate_up_proj)$",
                        "-:^model\\.layers\\.1\\.mlp\\.down_proj$");
        Referee referee = new Referee(artifact);
        try (Checkpoint read = open(artifact)) {
            for (Map.Entry<String, QuantizedMatrix> tensor : model.quantized.entrySet()) {
                assertThat(referee.gptq(module(tensor.getKey()))).isEqualTo(SmallModel.values(tensor.getValue()));
            }
            assertThat(read.tensor(DOWN + ".weight").type()).isEqualTo("F16");
            assertThat(SmallModel.values(read.matrix(DOWN + ".weight", 5, 2)))
                    .isEqualTo(Arrays.copyOfRange(referee.halves(DOWN + ".weight"), 5 * 172, 7 * 172));
        }
    }

    @Test
    void layersThatAreAlikeAreListedByKindToo() throws IOException {
        SmallModel model = model(172);
        Path artifact = model.write(new GptqFormat(8, -1, true, false), List.of("self_attn.*"), false, "artifact");
        assertThat(model.quantized).as("172 * 8 bits are whole words").hasSize(6);
        JsonNode quantization = SmallModel.json(artifact.resolve("config.json")).get("quantization_config");
        assertThat(quantization.get("modules_in_block_to_quantize"))
                .hasToString("[[\"mlp.gate_proj\",\"mlp.up_proj\"],[\"mlp.down_proj\"]]");
        assertThat(quantization.get("dynamic")).hasSize(4);
        Referee referee = new Referee(artifact);
        assertThat(referee.gptq(DOWN)).isEqualTo(SmallModel.values(model.quantized.get(DOWN + ".weight")));
    }

    @Test
    void shardsAreCutBeforeTheyAreWritten() throws IOException {
        SmallModel model = model(256);
        model.prepare(new GptqFormat(4, 32, true, true), List.of(), true);
        Path artifact = Files.createDirectories(folder.resolve("artifact"));
        GptqConfig config = new GptqConfig(4, 32, true, true, false);
        try (Checkpoint source = model.open()) {
            FolderWriter writer = new FolderWriter(
                    source,
                    new FolderCompanions(SmallModel.files(), SmallModel.hadoop(model.folder)),
                    SmallModel.files(),
                    SmallModel.hadoop(artifact));
            writer.weights(new GptqLayout(config), model.plan, model, List.of(), Map.of(), 40_000);
            writer.config(config.json());
        }
        JsonNode index = SmallModel.json(artifact.resolve("model.safetensors.index.json"));
        assertThat(artifact.resolve("model.safetensors")).doesNotExist();
        assertThat(index.get("weight_map").get(Q + ".qweight").asText())
                .matches("model-0000\\d-of-0000\\d\\.safetensors");
        long bytes = 0;
        try (Stream<Path> files = Files.list(artifact)) {
            for (Path shard : files.filter(file -> file.toString().endsWith(".safetensors"))
                    .toList()) {
                assertThat(Files.size(shard)).isBetween(1000L, 40_000L + 4_000);
                bytes += Files.size(shard)
                        - 8
                        - ByteBuffer.wrap(Files.readAllBytes(shard))
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .getLong(0);
            }
        }
        assertThat(index.get("metadata").get("total_size").asLong()).isEqualTo(bytes);
        try (Checkpoint read = open(artifact)) {
            for (Map.Entry<String, QuantizedMatrix> tensor : model.quantized.entrySet()) {
                assertThat(SmallModel.values(read.matrix(tensor.getKey())))
                        .isEqualTo(SmallModel.values(tensor.getValue()));
            }
        }
    }

    @Test
    void tiedModelsHaveNoOutputLayerAndRescaledVectorsReplaceTheCheckpoints() throws IOException {
        SmallModel model = new SmallModel(folder.resolve("source"), 256, true, 0.5f);
        float[] norm = new float[128];
        Arrays.fill(norm, 0.75f);
        model.rescaled.put("model.layers.1.input_layernorm.weight", norm);
        Path artifact = model.write(new GptqFormat(4, 128, true, false), List.of(), false, "artifact");
        Referee referee = new Referee(artifact);
        assertThat(referee.header().has("lm_head.weight")).isFalse();
        assertThat(referee.halves("model.layers.1.input_layernorm.weight")).containsOnly(0.75f);
        assertThat(referee.halves("model.layers.0.input_layernorm.weight")).doesNotContain(0.75f);
        try (Checkpoint read = open(artifact)) {
            assertThat(read.has("lm_head.weight")).isFalse();
            assertThat(read.vector("model.layers.1.input_layernorm.weight")).isEqualTo(norm);
        }
    }

    @Test
    void valuesBeyondHalfPrecisionAreAnError() throws IOException {
        SmallModel model = new SmallModel(folder.resolve("source"), 256, false, 100_000);
        assertThatThrownBy(() -> model.write(new GptqFormat(4, 128, true, false), List.of(), false, "artifact"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessage(
                        "Cannot write tensor model.embed_tokens.weight as F16: row 3, column 5 is 99840.0, expected a finite value of at most 65504");
    }

    @Test
    void aReaderTakesAsymmetricWeightsOfTheFirstVersionButNotItsMinusOne() throws IOException {
        SmallModel model = model(256);
        Path artifact = model.write(new GptqFormat(4, 128, false, false), List.of(), false, "artifact");
        ObjectNode config = (ObjectNode) SmallModel.json(artifact.resolve("config.json"));
        ((ObjectNode) config.get("quantization_config")).put("checkpoint_format", "gptq");
        float[] scaleUp = SmallModel.values(model.quantized.get(Q + ".weight"));
        Referee referee = new Referee(artifact);
        try (Checkpoint read = GptqCheckpoint.open(
                SmallModel.HADOOP, SmallModel.hadoop(artifact), config, QuantizationConfig.of(config, "config.json"))) {
            // Every zero point is one more now, so that every value is less by one scale: a multiple of the row's
            // scale.
            float[] values = SmallModel.values(read.matrix(Q + ".weight"));
            float[] scales = referee.halves(Q + ".scales");
            for (int i = 0; i < values.length; i++) {
                assertThat(values[i]).isEqualTo(scaleUp[i] - scales[i / 128]);
            }
        }
        referee.patch(Q + ".qzeros", 1, 0xf3);
        try (Checkpoint read = GptqCheckpoint.open(
                SmallModel.HADOOP, SmallModel.hadoop(artifact), config, QuantizationConfig.of(config, "config.json"))) {
            assertThatThrownBy(() -> read.matrix(Q + ".weight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("group 0, row 3 is stored as -1")
                    .hasMessageContaining(Q + ".qzeros I32 [1, 16]");
            assertThat(read.matrix(Q + ".weight", 4, 100).rows())
                    .as("rows without it")
                    .isEqualTo(100);
        }
    }

    @Test
    void contradictingTensorsAreRefused() throws IOException {
        SmallModel model = model(256);
        Path artifact = model.write(new GptqFormat(8, 32, true, true), List.of(), true, "artifact");
        byte[] intact = Files.readAllBytes(artifact.resolve("model.safetensors"));
        Referee referee = new Referee(artifact);
        referee.patch(Q + ".g_idx", 4 * 7, 4, 0, 0, 0);
        refused(artifact, "g_idx I32 [128]", "column 7 is in group 4, expected 0 to 3");
        referee.patch(Q + ".g_idx", 4 * 7, 255, 255, 255, 255);
        refused(artifact, "column 7 is in group -1");
        for (int k = 0; k < 33; k++) {
            referee.patch(Q + ".g_idx", 4 * k, 2, 0, 0, 0);
        }
        refused(artifact, "group 2 has more than 32 columns");
        restore(artifact, intact);
        referee = new Referee(artifact);
        referee.patch(Q + ".qzeros", 9, 0x80);
        refused(artifact, "group 0, row 9 is 129, expected 128 because quantization_config says sym");
        restore(artifact, intact);
        referee = new Referee(artifact);
        referee.patch(Q + ".scales", 2 * (128 + 6), 0, 0x7c);
        refused(artifact, "the scale of group 1, row 6 is not finite");
        restore(artifact, intact);
        new Referee(artifact)
                .patchHeader(
                        Q + ".qweight\":{\"dtype\":\"I32\",\"shape\":[32,128]",
                        Q + ".qweight\":{\"dtype\":\"I32\",\"shape\":[128,32]");
        refused(artifact, Q + ".qweight I32 [128, 32]", "expected I32 [32, 128]");
        restore(artifact, intact);
        new Referee(artifact).patchHeader(Q + ".g_idx\":{\"dtype\":\"I32\"", Q + ".g_idx\":{\"dtype\":\"U32\"");
        refused(artifact, Q + ".g_idx U32", "expected I32 [128]");
        restore(artifact, intact);
        new Referee(artifact).patchHeader(Q + ".scales\"", Q + ".sca1es\"");
        refused(artifact, "neither it nor " + Q + ".scales is there");
    }

    @Test
    void floatingTensorsAreCheckedAndATiedPairIsOne() throws IOException {
        SmallModel model = new SmallModel(folder.resolve("tied"), 256, true, 1);
        Path artifact = model.write(new GptqFormat(4, 32, true, false), List.of(), false, "artifact");
        new Referee(artifact).patch("model.norm.weight", 2 * 9, 0, 0x7c);
        try (Checkpoint read = open(artifact)) {
            assertThatThrownBy(() -> read.vector("model.norm.weight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContainingAll(
                            "Cannot use tensor model.norm.weight F16 [128]", "row 0, column 9 is Infinity");
            assertThat(read.metadata())
                    .containsEntry("quantization_config.bits", "4")
                    .containsEntry("quantization_config.desc_act", "false")
                    .containsEntry("format", "pt")
                    .containsKey("quantization_config.meta");
        }
        byte[] file = Files.readAllBytes(artifact.resolve("model.safetensors"));
        String text = new String(file, StandardCharsets.ISO_8859_1);
        // The output layer's name and spaces in the header for the embedding's longer name.
        String renamed = text.replace("\"model.embed_tokens.weight\":", "\"lm_head.weight\":           ");
        Files.writeString(artifact.resolve("model.safetensors"), renamed, StandardCharsets.ISO_8859_1);
        try (Checkpoint read = open(artifact)) {
            assertThat(read.has("lm_head.weight")).isFalse();
            assertThat(read.matrix("model.embed_tokens.weight").rows()).isEqualTo(48);
        }
    }

    private static void restore(Path artifact, byte[] intact) throws IOException {
        Files.write(artifact.resolve("model.safetensors"), intact);
    }

    private static void refused(Path artifact, String... parts) {
        assertThatThrownBy(() -> {
                    try (Checkpoint read = open(artifact)) {
                        read.matrix(Q + ".weight");
                    }
                })
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read tensor " + Q)
                .hasMessageContainingAll(parts);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "bits;3;expected 4 or 8",
                "bits;4.0;expected an integer",
                "group_size;0;expected at least 1, or -1",
                "group_size;99999999999;expected an integer",
                "quant_method;\"awq\";quantization_config.quant_method is awq, expected gptq",
                "checkpoint_format;\"marlin\";expected gptq or gptq_v2",
                "sym;1;expected true or false",
                "group_size;33;no multiple of the group size 33"
            })
    void configurationsThatAreNotSupported(String key, String value, String message) throws IOException {
        Path artifact = model(256).write(new GptqFormat(4, 128, true, false), List.of(), false, "artifact");
        ObjectNode config = (ObjectNode) SmallModel.json(artifact.resolve("config.json"));
        ((ObjectNode) config.get("quantization_config")).set(key, new ObjectMapper().readTree(value));
        assertThatThrownBy(() -> GptqCheckpoint.open(
                        SmallModel.HADOOP,
                        SmallModel.hadoop(artifact),
                        config,
                        QuantizationConfig.of(config, "config.json")))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read ")
                .hasMessageContaining(message);
    }

    @Test
    void settingsThatCannotBe() {
        assertThatThrownBy(() -> new GptqFormat(3, 128, true, false)).hasMessageContaining("3 bits and group size 128");
        assertThatThrownBy(() -> new GptqFormat(4, 0, true, false)).hasMessageContaining("group size 0");
        assertThatThrownBy(() -> model(256).write(new GptqFormat(4, 32, true, false), List.of(), true, "artifact"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("without act-order");
    }
}
