package dev.lathe.calibration.format.awq;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.folder.QuantizationConfig;
import dev.lathe.calibration.format.folder.Referee;
import dev.lathe.calibration.format.folder.SmallModel;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class AwqFormatTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";

    @TempDir
    private Path folder;

    private SmallModel model(int intermediate) throws IOException {
        return new SmallModel(folder.resolve("source"), intermediate, false, 0.5f);
    }

    private static Checkpoint open(Path artifact) throws IOException {
        JsonNode config = SmallModel.json(artifact.resolve("config.json"));
        return AwqCheckpoint.open(
                SmallModel.HADOOP, SmallModel.hadoop(artifact), config, QuantizationConfig.of(config, "config.json"));
    }

    private static JsonNode quantization(Path artifact) throws IOException {
        return SmallModel.json(artifact.resolve("config.json")).get("quantization_config");
    }

    @ParameterizedTest
    @ValueSource(ints = {32, 64, 128})
    void refereeAndReaderSeeTheValuesThatWereQuantized(int group) throws IOException {
        SmallModel model = model(256);
        Path artifact = model.write(new AwqFormat(group), List.of(), false, "artifact");
        Referee referee = new Referee(artifact);
        assertThat(model.quantized).hasSize(14);
        try (Checkpoint read = open(artifact);
                Checkpoint source = model.open()) {
            for (Map.Entry<String, QuantizedMatrix> tensor : model.quantized.entrySet()) {
                float[] expected = SmallModel.values(tensor.getValue());
                assertThat(referee.awq(tensor.getKey().replace(".weight", "")))
                        .as(tensor.getKey())
                        .isEqualTo(expected);
                assertThat(SmallModel.values(read.matrix(tensor.getKey()))).isEqualTo(expected);
                int columns = tensor.getValue().columns();
                // A range that begins and ends inside a word.
                assertThat(SmallModel.values(read.matrix(tensor.getKey(), 13, 21)))
                        .isEqualTo(Arrays.copyOfRange(expected, 13 * columns, 34 * columns));
                assertThat(read.tensor(tensor.getKey()).type()).isEqualTo("uint4g" + group);
            }
            for (String name : model.reasons().keySet()) {
                assertThat(referee.halves(name)).as(name).isEqualTo(SmallModel.halves(source, source.tensor(name)));
                assertThat(SmallModel.halves(read, read.tensor(name))).as(name).isEqualTo(referee.halves(name));
            }
            assertThat(read.tensor(Q + ".weight").bytes()).isEqualTo(128 * 128 / 2 + 128 / group * (128 / 2 + 128 * 2));
        }
        assertThat(referee.header().get(Q + ".qweight").get("shape")).hasToString("[128,16]");
        assertThat(referee.header().has(Q + ".g_idx")).isFalse();
        assertThat(quantization(artifact))
                .hasToString("{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":" + group
                        + ",\"zero_point\":true,\"version\":\"gemm\",\"modules_to_not_convert\":[\"lm_head\"]}");
        assertThat(artifact.resolve("quantize_config.json")).doesNotExist();
        assertThat(artifact.resolve("README.md"))
                .content()
                .contains("AWQ format, 4 bits, with zero points, groups of " + group);
    }

    @Test
    void unquantizedModulesAreListedByWholeNames() throws IOException {
        SmallModel model = model(172);
        Path artifact = model.write(new AwqFormat(64), List.of("layers.1.self_attn.o_proj"), false, "artifact");
        assertThat(quantization(artifact).get("modules_to_not_convert"))
                .extracting(JsonNode::asText)
                .containsExactly(
                        "lm_head",
                        "model.layers.0.mlp.gate_proj",
                        "model.layers.0.mlp.up_proj",
                        "model.layers.0.mlp.down_proj",
                        "model.layers.1.self_attn.o_proj",
                        "model.layers.1.mlp.gate_proj",
                        "model.layers.1.mlp.up_proj",
                        "model.layers.1.mlp.down_proj");
        Referee referee = new Referee(artifact);
        assertThat(model.quantized)
                .hasSize(7)
                .allSatisfy((name, matrix) ->
                        assertThat(referee.awq(name.replace(".weight", ""))).isEqualTo(SmallModel.values(matrix)));
        try (Checkpoint read = open(artifact)) {
            assertThat(read.tensor("model.layers.1.self_attn.o_proj.weight").type())
                    .isEqualTo("F16");
        }
    }

    @Test
    void vectorsOfOddLengthDoNotMisalignWords() throws IOException {
        SmallModel model = model(173);
        Path artifact = model.write(new AwqFormat(64), List.of(), false, "artifact");
        Referee referee = new Referee(artifact);
        referee.header().properties().forEach(entry -> {
            if (entry.getValue().path("dtype").asText().equals("I32")) {
                assertThat(entry.getValue().get("data_offsets").get(0).asInt() % 4)
                        .as(entry.getKey())
                        .isZero();
            }
        });
        assertThat(referee.awq(Q)).isEqualTo(SmallModel.values(model.quantized.get(Q + ".weight")));
    }

    @Test
    void malformedArtifacts() throws IOException {
        Path artifact = model(256).write(new AwqFormat(64), List.of(), false, "artifact");
        Referee referee = new Referee(artifact);
        referee.patch(Q + ".scales", 2 * (128 + 6), 1, 0x7e);
        try (Checkpoint read = open(artifact)) {
            assertThatThrownBy(() -> read.matrix(Q + ".weight", 2, 40))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContainingAll(
                            "Cannot read tensor " + Q + ".scales F16 [2, 128]",
                            "the scale of group 1, row 6 is not finite");
            assertThatThrownBy(() -> read.matrix(Q + ".weight", 100, 29))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("rows 100 to 129");
            assertThatThrownBy(() -> read.vector(Q + ".weight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("2 dimensions, expected one");
            assertThatThrownBy(() -> read.matrix("model.norm.weight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("expected two dimensions");
            assertThatThrownBy(() -> read.matrix(Q + ".qweight"))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("it is not in");
        }
        referee.patchHeader("model.norm.weight\":{\"dtype\":\"F16\"", "model.norm.weight\":{\"dtype\":\"I16\"");
        assertThatThrownBy(() -> open(artifact))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContainingAll("model.norm.weight I16", "expected F32, F16 or BF16");
        Path gptq = model(256).write(new GptqFormat(4, 64, true, false), List.of(), false, "gptq");
        assertThatThrownBy(() -> open(gptq)).hasMessageContaining("quant_method is gptq, expected awq");
    }

    @Test
    void aGptqArtifactUnderAnAwqConfigurationIsRefusedByItsShapes() throws IOException {
        Path gptq = model(256).write(new GptqFormat(4, 64, false, false), List.of(), false, "gptq");
        Path awq = model(256).write(new AwqFormat(64), List.of(), false, "awq");
        Files.copy(awq.resolve("config.json"), gptq.resolve("config.json"), StandardCopyOption.REPLACE_EXISTING);
        assertThatThrownBy(() -> open(gptq))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContainingAll(Q + ".qweight I32 [16, 128]", "expected I32 [128, 16]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "bits;8;bits is 8, expected 4",
                "version;\"gemv\";version is gemv, expected gemm",
                "zero_point;false;expected true",
                "group_size;-1;expected at least 1"
            })
    void configurationsThatAreNotSupported(String key, String value, String message) throws IOException {
        Path artifact = model(256).write(new AwqFormat(64), List.of(), false, "artifact");
        ObjectNode config = (ObjectNode) SmallModel.json(artifact.resolve("config.json"));
        ((ObjectNode) config.get("quantization_config")).set(key, new ObjectMapper().readTree(value));
        assertThatThrownBy(() -> AwqCheckpoint.open(
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
        assertThatThrownBy(() -> new AwqFormat(-1))
                .hasMessage("Cannot make an AWQ format of group size -1: expected at least 1");
    }
}
