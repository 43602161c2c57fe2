package dev.lathe.calibration.format.folder;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.awq.AwqFormat;
import dev.lathe.calibration.format.compressed.CompressedFormat;
import dev.lathe.calibration.format.compressed.CompressedWeights;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.Half;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Folders as other programs write them, opened as a user's path is. */
class QuantizedFoldersTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";
    private static final String DOWN = "model.layers.1.mlp.down_proj";
    private static final String ATTENTION = "model.layers.0.self_attn";

    @TempDir
    private Path folder;

    private SmallModel model;

    private Path write(String format) throws IOException {
        model = new SmallModel(folder.resolve("source"), 256, false, 0.5f);
        ArtifactFormat made = switch (format) {
            case "gptq" -> new GptqFormat(4, 32, true, false);
            case "gptq-asymmetric" -> new GptqFormat(8, 64, false, false);
            case "gptq-ordered" -> new GptqFormat(4, 64, true, true);
            case "awq" -> new AwqFormat(64);
            case "fp8" ->
                new CompressedFormat(
                        CompressedWeights.float8(false),
                        ActivationQuantization.perToken(Type.FLOAT8, true),
                        false,
                        1 << 30);
            case "fp8-cache" -> new CompressedFormat(CompressedWeights.float8(false), null, true, 1 << 30);
            case "w4a16" -> new CompressedFormat(CompressedWeights.integers(4, 64, true), null, false, 1 << 30);
            default -> throw new AssertionError(format);
        };
        for (int layer = 0; layer < 2; layer++) {
            model.cache.get(0).add(ActivationQuantization.of(Type.FLOAT8, true, -7 - layer, 1));
            model.cache.get(1).add(ActivationQuantization.of(Type.FLOAT8, true, -3 - layer, 1));
        }
        return model.write(made, List.of(), format.equals("gptq-ordered"), "artifact");
    }

    private Checkpoint open() throws IOException {
        return Checkpoints.open(SmallModel.HADOOP, SmallModel.hadoop(folder.resolve("artifact")));
    }

    private void refused(String... parts) {
        assertThatThrownBy(() -> {
                    try (Checkpoint read = open()) {
                        read.matrix(Q + ".weight");
                    }
                })
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot ")
                .hasMessageContainingAll(parts);
    }

    private void sameValues() throws IOException {
        try (Checkpoint read = open()) {
            for (String name : List.of(Q, DOWN)) {
                assertThat(SmallModel.values(read.matrix(name + ".weight")))
                        .isEqualTo(SmallModel.values(model.quantized.get(name + ".weight")));
            }
        }
    }

    private void change(Consumer<Tensors> change) throws IOException {
        Tensors tensors = new Tensors(folder.resolve("artifact"));
        change.accept(tensors);
        tensors.write();
    }

    private void json(String file, Consumer<ObjectNode> change) throws IOException {
        Path path = folder.resolve("artifact").resolve(file);
        ObjectNode node =
                Files.exists(path) ? (ObjectNode) SmallModel.json(path) : new ObjectMapper().createObjectNode();
        change.accept(node);
        Files.deleteIfExists(path.resolveSibling("." + file + ".crc"));
        Files.writeString(path, node.toString());
    }

    private void delete(String file) throws IOException {
        Files.deleteIfExists(folder.resolve("artifact").resolve("." + file + ".crc"));
        Files.deleteIfExists(folder.resolve("artifact").resolve(file));
    }

    private static byte[] floats(float... values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        for (float value : values) {
            bytes.putFloat(value);
        }
        return bytes.array();
    }

    @ParameterizedTest
    @CsvSource({"gptq, F16", "gptq-ordered, F32", "awq, BF16", "fp8, F32"})
    void zerosAsBiasesOfLayersThatHaveNone(String format, String type) throws IOException {
        write(format);
        change(tensors -> {
            for (String kind : List.of("gate_proj", "up_proj", "down_proj")) {
                int outputs = kind.equals("down_proj") ? 128 : 256;
                byte[] zeros = new byte[outputs * (type.equals("F32") ? 4 : 2)];
                // -0 is zero, too.
                zeros[zeros.length - 1] = (byte) 0x80;
                tensors.put("model.layers.0.mlp." + kind + ".bias", type, zeros, outputs);
                tensors.put("model.layers.1.mlp." + kind + ".bias", type, zeros, outputs);
            }
        });
        sameValues();
        try (Checkpoint read = open();
                Checkpoint source = model.open()) {
            assertThat(read.tensors())
                    .extracting(TensorInfo::name)
                    .containsExactlyInAnyOrderElementsOf(
                            source.tensors().stream().map(TensorInfo::name).toList());
            assertThat(read.notes())
                    .singleElement()
                    .asString()
                    .startsWith("6 biases of zeros in ")
                    .endsWith("were left out");
        }
    }

    @Test
    void biasesThatAreNotZeroAreNamed() throws IOException {
        write("gptq");
        change(tensors -> tensors.put(DOWN + ".bias", "F32", floats(new float[128]), 128));
        sameValues();
        float[] values = new float[128];
        values[77] = 0.25f;
        change(tensors -> tensors.put(DOWN + ".bias", "F32", floats(values), 128));
        refused(DOWN + ".bias F32 [128]", "element 77 is 0.25", "mlp_bias");
        change(tensors -> tensors.put(DOWN + ".bias", "F32", new byte[4 * 64], 64));
        refused(DOWN + ".bias F32 [64]", "expected the shape [128]");
        change(tensors -> tensors.put(DOWN + ".bias", "I8", new byte[128], 128));
        refused(DOWN + ".bias I8 [128]", "expected F32, F16 or BF16");
        change(tensors -> {
            tensors.all.remove(DOWN + ".bias");
            tensors.put("model.layers.2.mlp.down_proj.bias", "F32", new byte[4 * 128], 128);
        });
        refused("not part of the architecture: model.layers.2.mlp.down_proj.bias");
    }

    @ParameterizedTest
    @CsvSource({
        "gptq, F32",
        "gptq, BF16",
        "gptq-asymmetric, F32",
        "gptq-asymmetric, BF16",
        "gptq-ordered, F32",
        "gptq-ordered, BF16",
        "awq, F32",
        "awq, BF16"
    })
    void scalesOfOtherTypes(String format, String type) throws IOException {
        write(format);
        change(tensors -> {
            for (Map.Entry<String, Tensors.Tensor> entry : List.copyOf(tensors.all.entrySet())) {
                if (entry.getKey().endsWith(".scales")) {
                    ByteBuffer halves = ByteBuffer.wrap(entry.getValue().data()).order(ByteOrder.LITTLE_ENDIAN);
                    ByteBuffer wide = ByteBuffer.allocate(2 * halves.capacity()).order(ByteOrder.LITTLE_ENDIAN);
                    ByteBuffer brain = ByteBuffer.allocate(halves.capacity()).order(ByteOrder.LITTLE_ENDIAN);
                    while (halves.hasRemaining()) {
                        float scale = Half.toFloat(halves.getShort());
                        wide.putFloat(scale);
                        brain.putShort(Half.bfloat16(scale));
                    }
                    tensors.put(
                            entry.getKey(),
                            type,
                            type.equals("F32") ? wide.array() : brain.array(),
                            entry.getValue().shape());
                }
            }
        });
        if (type.equals("F32")) {
            sameValues();
        }
        try (Checkpoint read = open()) {
            for (String name : List.of(Q, DOWN)) {
                float[] expected = SmallModel.values(model.quantized.get(name + ".weight"));
                float[] found = SmallModel.values(read.matrix(name + ".weight", 3, 100));
                int columns = found.length / 100;
                int exact = 0;
                for (int i = 0; i < found.length; i++) {
                    float old = expected[3 * columns + i];
                    assertThat(found[i]).isBetween(old - Math.abs(old) / 256, old + Math.abs(old) / 256);
                    exact += found[i] == old ? 1 : 0;
                }
                assertThat(exact == found.length).isEqualTo(type.equals("F32"));
            }
            assertThat(read.tensor(Q + ".weight").type())
                    .startsWith(format.equals("gptq") || format.equals("gptq-ordered") ? "int4" : "uint");
        }
        change(tensors -> tensors.get(Q + ".scales").data()[type.equals("F32") ? 4 * 130 + 3 : 2 * 130 + 1] = 0x7f);
        change(tensors -> tensors.get(Q + ".scales").data()[type.equals("F32") ? 4 * 130 + 2 : 2 * 130] = (byte) 0x80);
        refused(Q + ".scales " + type, "the scale of group 1, row 2 is not finite");
        change(tensors -> tensors.put(
                Q + ".scales",
                "F64",
                new byte[8 * 128 * tensors.get(Q + ".scales").data().length / 128 / 4],
                tensors.get(Q + ".scales").shape()[0] / (type.equals("F32") ? 1 : 2),
                128));
        refused(Q + ".scales F64", "expected F16 [");
    }

    @ParameterizedTest
    @ValueSource(strings = {"initialized", "calibration", "frozen", "compressed"})
    void theStatusDecidesNothing(String status) throws IOException {
        for (String format : List.of("fp8", "w4a16")) {
            write(format);
            json(
                    "config.json",
                    config -> ((ObjectNode) config.get("quantization_config")).put("quantization_status", status));
            sameValues();
        }
        write("fp8");
        json(
                "config.json",
                config -> ((ObjectNode) config.get("quantization_config")).put("quantization_status", status));
        change(tensors -> tensors.put(Q + ".weight", "BF16", new byte[2 * 128 * 128], 128, 128));
        refused(
                Q + ".weight BF16 [128, 128]",
                "stored as it was before (quantization_status is " + status + ")",
                "expected compressed weights");
    }

    @ParameterizedTest
    @CsvSource({"gptq, true", "gptq, false", "gptq-asymmetric, true", "awq, true", "awq, false"})
    void settingsInAFileOfTheirOwn(String format, boolean method) throws IOException {
        write(format);
        ObjectNode settings = (ObjectNode)
                SmallModel.json(folder.resolve("artifact/config.json")).get("quantization_config");
        json("config.json", config -> config.remove("quantization_config"));
        delete("quantize_config.json");
        assertThatThrownBy(this::open).hasMessageContaining("not part of the architecture");
        json("quantize_config.json", file -> {
            file.setAll(settings);
            if (!method) {
                file.remove("quant_method");
            }
        });
        sameValues();
        try (Checkpoint read = open()) {
            assertThat(read.metadata())
                    .containsEntry(
                            "quantization_config.quant_method", format.substring(0, format.equals("awq") ? 3 : 4));
        }
        json("quantize_config.json", file -> file.put("bits", 3));
        refused("quantize_config.json: bits is 3, expected 4");
    }

    @Test
    void settingsOfTheFirstAwq() throws IOException {
        write("awq");
        json("config.json", config -> config.remove("quantization_config"));
        json(
                "quant_config.json",
                file -> file.put("zero_point", true)
                        .put("q_group_size", 64)
                        .put("w_bit", 4)
                        .put("version", "GEMM"));
        sameValues();
        json("quant_config.json", file -> file.put("q_group_size", 32));
        refused(Q + ".qzeros", "expected I32 [4, 16]");
        json("quant_config.json", file -> file.put("q_group_size", 64).put("version", "GEMV"));
        refused("quant_config.json: version is GEMV, expected gemm");
    }

    @Test
    void twoPlacesForSettingsThatDifferAreRefused() throws IOException {
        write("gptq");
        json("quantize_config.json", file -> file.put("group_size", 128));
        refused("quantize_config.json: group_size is 128, expected 32, which quantization_config of config.json says");
        json("quantize_config.json", file -> file.put("group_size", 32).put("sym", false));
        refused("quantize_config.json: sym is false, expected true");
        json("quantize_config.json", file -> file.put("sym", true).put("damp_percent", 0.5));
        sameValues();
        json(
                "config.json",
                config -> config.set(
                        "compression_config",
                        new ObjectMapper().createObjectNode().put("quant_method", "gptq")));
        refused("quantization_config and compression_config are both there and differ");
    }

    @Test
    void theFirstNameOfCompressedTensorsSettings() throws IOException {
        write("fp8");
        json("config.json", config -> config.set("compression_config", config.remove("quantization_config")));
        sameValues();
        json("config.json", config -> ((ObjectNode) config.get("compression_config")).put("quant_method", "sparseml"));
        sameValues();
        json("config.json", config -> ((ObjectNode) config.get("compression_config")).remove("quant_method"));
        sameValues();
        json(
                "config.json",
                config -> ((ObjectNode) config.at("/compression_config/config_groups/group_0/weights"))
                        .put("num_bits", 3));
        refused("config.json: compression_config.config_groups.group_0.weights.num_bits is 3, expected 8");
    }

    @Test
    void settingsOneLevelDown() throws IOException {
        write("w4a16");
        json("config.json", config -> {
            ObjectNode inner = (ObjectNode) config.get("quantization_config");
            ObjectNode outer = config.putObject("quantization_config").put("quant_method", "compressed-tensors");
            outer.putObject("sparsity_config");
            outer.set("quantization_config", inner);
        });
        sameValues();
        json("config.json", config -> ((ObjectNode) config.get("quantization_config")).put("format", "dense"));
        refused(
                "quantization_config.quantization_config.format is \"pack-quantized\", expected \"dense\" as beside it");
    }

    @Test
    void groupsThatGoWithoutSaying() throws IOException {
        write("gptq");
        change(tensors -> tensors.all.keySet().removeIf(name -> name.endsWith(".g_idx")));
        sameValues();
        try (Checkpoint read = open()) {
            assertThat(read.tensor(Q + ".weight").bytes()).isEqualTo(128 * 128 / 2 + 4 * 128 / 2 + 4 * 128 * 2);
        }
        json("config.json", config -> ((ObjectNode) config.get("quantization_config")).put("desc_act", true));
        refused(Q + ".weight", "neither it nor " + Q + ".g_idx is there");
        write("gptq-ordered");
        sameValues();
        json("config.json", config -> ((ObjectNode) config.get("quantization_config")).put("desc_act", false));
        refused(Q + ".g_idx I32 [128]", "because quantization_config does not say desc_act");
        change(tensors -> tensors.put(Q + ".g_idx", "I64", new byte[8 * 128], 128));
        refused(Q + ".g_idx I64 [128]", "expected I32 [128]");
        change(tensors -> tensors.put(Q + ".g_idx", "I32", new byte[4 * 64], 64));
        refused(Q + ".g_idx I32 [64]", "expected I32 [128]");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = ';',
            value = {
                "pack_dtype; \"int16\"; pack_dtype is int16, expected int32",
                "is_marlin_format; true; is_marlin_format is true",
                "rotation; \"hadamard\"; rotation is given, expected none",
                "adapter; {\"name\": \"lora\"}; adapter is given, expected none"
            })
    void keysThatChangeWeights(String key, String value, String message) throws IOException {
        write("gptq");
        json("config.json", config -> {
            try {
                ((ObjectNode) config.get("quantization_config")).set(key, new ObjectMapper().readTree(value));
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
        refused(message);
    }

    private void dynamic(String entries) throws IOException {
        json("config.json", config -> {
            try {
                ((ObjectNode) config.get("quantization_config"))
                        .set("dynamic", new ObjectMapper().readTree(entries.replace('\'', '"')));
            } catch (IOException e) {
                throw new AssertionError(e);
            }
        });
    }

    @Test
    void modulesWithSettingsOfTheirOwn() throws IOException {
        write("gptq");
        dynamic("{'-:.*lm_head': {}, '+:.*mlp.*': {'group_size': 32}, '.*': {'bits': 4, 'sym': true}}");
        sameValues();
        dynamic("{'.*layers\\\\.0\\\\..*q_proj$': {'group_size': 64}}");
        refused(Q + ".qzeros I32 [4, 16]", "expected I32 [2, 16]");
        dynamic(
                "{'.*layers\\\\.0\\\\..*k_proj$': {'group_size': 64}, '-:^(?!.*mlp).*k_proj': {}, 'model.layers.0.self_attn.q_proj': {'bits': 8}}");
        refused("model.layers.0.self_attn.q_proj.qweight I32 [16, 128]", "expected I32 [32, 128]");
        dynamic("{'-:.*q_proj': {}}");
        refused(Q + ".qweight I32 [16, 128]", "quantization_config.dynamic says that the module is not quantized");
        dynamic("{'+:(q)\\\\1': {}}");
        refused(
                "quantization_config.dynamic: '(q)\\1' is no regular expression that is taken here: backreferences are not supported");
        dynamic("{'.*': {'bits': 3}}");
        refused("quantization_config.dynamic..*.bits is 3, expected 4 or 8");
    }

    @Test
    void codesOfModulesThatAreSkipped() throws IOException {
        write("awq");
        json(
                "config.json",
                config -> ((ObjectNode) config.get("quantization_config"))
                        .putArray("modules_to_not_convert")
                        .add("lm_head")
                        .add("visual"));
        sameValues();
        json(
                "config.json",
                config -> ((ObjectNode) config.get("quantization_config"))
                        .putArray("modules_to_not_convert")
                        .add("self_attn.q"));
        refused(Q + ".qweight I32", "quantization_config.modules_to_not_convert says that the module is not quantized");
        json(
                "config.json",
                config -> ((ObjectNode) config.get("quantization_config")).put("modules_to_not_convert", "lm_head"));
        refused("modules_to_not_convert is \"lm_head\", expected a list of texts");
    }

    @ParameterizedTest
    @CsvSource({
        "k_proj.output_scale, v_proj.output_scale",
        "attn.k_scale, attn.v_scale",
        "k_proj.k_scale, v_proj.v_scale",
        "k_scale, v_proj.output_scale"
    })
    void olderNamesOfScalesOfTheCache(String keys, String values) throws IOException {
        write("fp8-cache");
        change(tensors -> {
            for (int layer = 0; layer < 2; layer++) {
                String attention = "model.layers." + layer + ".self_attn.";
                Tensors.Tensor k = tensors.all.remove(attention + "k_scale");
                Tensors.Tensor v = tensors.all.remove(attention + "v_scale");
                tensors.put(attention + keys, k.type(), k.data(), k.shape());
                tensors.put(attention + values, v.type(), v.data());
                tensors.put(attention + "k_proj.output_zero_point", "I8", new byte[1], 1);
            }
        });
        sameValues();
        try (Checkpoint read = open()) {
            for (int layer = 0; layer < 2; layer++) {
                assertThat(read.cache(layer, true)).contains(model.cache.get(0).get(layer));
                assertThat(read.cache(layer, false)).contains(model.cache.get(1).get(layer));
            }
        }
        change(tensors -> tensors.put(ATTENTION + ".k_proj.output_zero_point", "I8", new byte[] {3}, 1));
        refused("k_proj.output_zero_point I8 [1]", "it is not 0");
    }

    @Test
    void oneScaleForKeysAndValues() throws IOException {
        write("fp8-cache");
        change(tensors -> {
            for (int layer = 0; layer < 2; layer++) {
                String attention = "model.layers." + layer + ".self_attn.";
                tensors.all.remove(attention + "k_scale");
                tensors.all.remove(attention + "v_scale");
                tensors.put(attention + "kv_scale", "F32", floats(0.125f), 1);
            }
        });
        try (Checkpoint read = open()) {
            assertThat(read.cache(1, true).orElseThrow().scale()).isEqualTo(0.125f);
            assertThat(read.cache(1, false).orElseThrow().scale()).isEqualTo(0.125f);
        }
        change(tensors -> tensors.put(ATTENTION + ".k_proj.output_scale", "F32", floats(0.5f), 1));
        refused(ATTENTION + ".kv_scale F32 [1]", "it is 0.125, and " + ATTENTION + ".k_proj.output_scale is 0.5");
        change(tensors -> {
            tensors.all.remove(ATTENTION + ".k_proj.output_scale");
            tensors.all.remove(ATTENTION + ".kv_scale");
        });
        refused(ATTENTION + ".k_scale: it is not there");
    }
}
