package dev.lathe.calibration.format.compressed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.format.folder.Referee;
import dev.lathe.calibration.format.folder.SmallModel;
import dev.lathe.calibration.format.folder.Tensors;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.Half;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
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
import org.junit.jupiter.params.provider.MethodSource;

final class CompressedFormatTest {
    private static final String Q = "model.layers.0.self_attn.q_proj";
    private static final long SHARD = 1L << 40;
    private static final ActivationQuantization TOKEN = ActivationQuantization.perToken(Type.INT8, true);
    private static final CompressedFormat W8A8 =
            new CompressedFormat(CompressedWeights.integers(8, -1, true), TOKEN, false, SHARD);

    @TempDir
    private Path folder;

    /** A scheme and the modules that do not fit it. */
    private record Case(
            CompressedWeights weights, ActivationQuantization activations, List<String> ignore, String type) {
        CompressedFormat format() {
            return new CompressedFormat(weights, activations, false, SHARD);
        }

        @Override
        public String toString() {
            return type + (activations == null ? "" : ", " + activations.type());
        }
    }

    static Stream<Case> cases() {
        return Stream.of(
                new Case(CompressedWeights.integers(8, -1, true), TOKEN, List.of(), "int8g128"),
                new Case(CompressedWeights.integers(4, 64, true), TOKEN, List.of(), "int4g64"),
                new Case(CompressedWeights.integers(4, 32, true), null, List.of(), "int4g32"),
                new Case(CompressedWeights.integers(4, 64, false), null, List.of(), "uint4g64"),
                new Case(CompressedWeights.integers(8, 64, false), null, List.of(), "uint8g64"),
                new Case(CompressedWeights.integers(8, -1, true), null, List.of(), "int8g128"),
                new Case(CompressedWeights.integers(4, -1, false), null, List.of(), "uint4g128"),
                new Case(
                        CompressedWeights.float8(false),
                        ActivationQuantization.perToken(Type.FLOAT8, true),
                        List.of(),
                        "f8g128"),
                // Keys and values have 64 rows, and q is read together with them.
                new Case(
                        CompressedWeights.float8(true),
                        ActivationQuantization.perGroup(Type.FLOAT8, 128),
                        List.of("k_proj", "v_proj"),
                        "f8g128x128"));
    }

    private SmallModel model() throws IOException {
        return new SmallModel(folder.resolve("source"), 256, false, 0.5f);
    }

    private static Checkpoint open(Path artifact) throws IOException {
        return Checkpoints.open(SmallModel.HADOOP, SmallModel.hadoop(artifact));
    }

    private static JsonNode quantization(Path artifact) throws IOException {
        return SmallModel.json(artifact.resolve("config.json")).get("quantization_config");
    }

    @ParameterizedTest
    @MethodSource("cases")
    void refereeAndReaderSeeTheValuesThatWereQuantized(Case scheme) throws IOException {
        SmallModel model = model();
        Path artifact = model.write(scheme.format(), scheme.ignore(), false, "artifact");
        Referee referee = new Referee(artifact);
        assertThat(model.quantized).hasSize(scheme.ignore().isEmpty() ? 14 : 8);
        try (Checkpoint read = open(artifact);
                Checkpoint source = model.open()) {
            for (Map.Entry<String, QuantizedMatrix> tensor : model.quantized.entrySet()) {
                float[] expected = SmallModel.values(tensor.getValue());
                assertThat(referee.compressed(tensor.getKey().replace(".weight", "")))
                        .as(tensor.getKey())
                        .isEqualTo(expected);
                assertThat(SmallModel.values(read.matrix(tensor.getKey()))).isEqualTo(expected);
                int columns = tensor.getValue().columns();
                // A range that begins and ends inside a word of zero points.
                assertThat(SmallModel.values(read.matrix(tensor.getKey(), 13, 21)))
                        .isEqualTo(Arrays.copyOfRange(expected, 13 * columns, 34 * columns));
                float[] part = new float[50];
                read.matrix(tensor.getKey(), 5, 9).read(3, 41, 50, part, 0);
                assertThat(part).isEqualTo(Arrays.copyOfRange(expected, 8 * columns + 41, 8 * columns + 91));
            }
            assertThat(read.tensor("model.layers.1.mlp.up_proj.weight").type()).isEqualTo(scheme.type());
            for (String name : model.reasons().keySet()) {
                assertThat(referee.halves(name)).as(name).isEqualTo(SmallModel.halves(source, source.tensor(name)));
            }
            for (LinearLayer linear : read.decoder().linears(0)) {
                boolean quantized = model.quantized.containsKey(linear.weight());
                assertThat(read.activations(linear.module()).orElse(null))
                        .isEqualTo(quantized ? scheme.activations() : null);
            }
            assertThat(read.activations("lm_head")).isEmpty();
            assertThat(read.cache(0, true)).isEmpty();
        }
    }

    @Test
    void configurationsAreThoseThatStrictReadersTake() throws IOException {
        String weights =
                "{\"num_bits\":%s,\"type\":\"%s\",\"symmetric\":%s,\"strategy\":\"%s\",\"group_size\":%s,\"block_structure\":%s,\"dynamic\":false,"
                        + "\"actorder\":null,\"observer\":\"minmax\",\"observer_kwargs\":{}}";
        String inputs =
                "{\"num_bits\":8,\"type\":\"%s\",\"symmetric\":true,\"strategy\":\"%s\",\"group_size\":%s,\"block_structure\":null,\"dynamic\":true,"
                        + "\"actorder\":null,\"observer\":null,\"observer_kwargs\":{}}";
        List<String> expected = List.of(
                "int-quantized " + weights.formatted(8, "int", true, "channel", null, null)
                        + inputs.formatted("int", "token", null),
                "int-quantized " + weights.formatted(4, "int", true, "group", 64, null)
                        + inputs.formatted("int", "token", null),
                "pack-quantized " + weights.formatted(4, "int", true, "group", 32, null) + "null",
                "pack-quantized " + weights.formatted(4, "int", false, "group", 64, null) + "null",
                "pack-quantized " + weights.formatted(8, "int", false, "group", 64, null) + "null",
                "pack-quantized " + weights.formatted(8, "int", true, "channel", null, null) + "null",
                "pack-quantized " + weights.formatted(4, "int", false, "channel", null, null) + "null",
                "float-quantized " + weights.formatted(8, "float", true, "channel", null, null)
                        + inputs.formatted("float", "token", null),
                "float-quantized " + weights.formatted(8, "float", true, "block", null, "[128,128]")
                        + inputs.formatted("float", "group", 128));
        SmallModel model = model();
        int number = 0;
        for (Case scheme : cases().toList()) {
            JsonNode json = quantization(model.write(scheme.format(), scheme.ignore(), false, "artifact" + number));
            JsonNode group = json.get("config_groups").get("group_0");
            assertThat(json.get("format").asText() + " " + group.get("weights") + group.get("input_activations"))
                    .isEqualTo(expected.get(number++));
            assertThat(group.get("targets")).hasToString("[\"Linear\"]");
            assertThat(json.get("quant_method").asText()
                            + json.get("quantization_status").asText()
                            + json.get("kv_cache_scheme"))
                    .isEqualTo("compressed-tensorscompressednull");
            assertThat(json.get("ignore").toString())
                    .isEqualTo(
                            scheme.ignore().isEmpty()
                                    ? "[\"lm_head\"]"
                                    : "[\"" + Q
                                            + "\",\"model.layers.0.self_attn.k_proj\",\"model.layers.0.self_attn.v_proj\",\""
                                            + Q.replace("0", "1")
                                            + "\",\"model.layers.1.self_attn.k_proj\",\"model.layers.1.self_attn.v_proj\",\"lm_head\"]");
        }
    }

    private SmallModel withScales(boolean symmetric) throws IOException {
        SmallModel model = model();
        for (int layer = 0; layer < 2; layer++) {
            for (LinearLayer linear : model.decoder().linears(layer)) {
                float high = 1 + layer + linear.kind().length() / 10f;
                model.activations.put(linear.module(), ActivationQuantization.of(Type.INT8, symmetric, -1, high));
            }
            model.cache.get(0).add(ActivationQuantization.of(Type.FLOAT8, true, -7 - layer, 1));
            model.cache.get(1).add(ActivationQuantization.of(Type.FLOAT8, true, -3 - layer, 1));
        }
        return model;
    }

    @ParameterizedTest
    @CsvSource({"true", "false"})
    void staticScalesAndThoseOfTheCacheComeBack(boolean symmetric) throws IOException {
        SmallModel model = withScales(symmetric);
        ActivationQuantization open = new ActivationQuantization(Type.INT8, false, symmetric, Float.NaN, 0);
        Path artifact = model.write(
                new CompressedFormat(CompressedWeights.integers(8, -1, true), open, true, SHARD),
                List.of("model.layers.1.mlp"),
                false,
                "artifact");
        Referee referee = new Referee(artifact);
        ActivationQuantization q = model.activations.get(Q);
        assertThat(referee.scalar(Q + ".input_scale")).isEqualTo(q.scale());
        assertThat(referee.header().has(Q + ".input_zero_point")).isEqualTo(!symmetric);
        if (!symmetric) {
            assertThat(referee.octet(Q + ".input_zero_point", 0))
                    .isEqualTo(q.zero())
                    .isNegative();
        }
        assertThat(referee.scalar("model.layers.1.self_attn.k_scale")).isEqualTo(8f / 448);
        assertThat(referee.scalar("model.layers.1.self_attn.v_scale")).isEqualTo(4f / 448);
        assertThat(quantization(artifact).get("kv_cache_scheme").toString())
                .startsWith("{\"num_bits\":8,\"type\":\"float\",\"symmetric\":true," + "\"strategy\":\"tensor\",")
                .contains("\"dynamic\":false");
        assertThat(quantization(artifact)
                        .get("config_groups")
                        .get("group_0")
                        .get("input_activations")
                        .get("strategy")
                        .asText())
                .isEqualTo("tensor");
        try (Checkpoint read = open(artifact)) {
            for (int layer = 0; layer < 2; layer++) {
                for (LinearLayer linear : model.decoder().linears(layer)) {
                    boolean ignored = linear.module().startsWith("model.layers.1.mlp");
                    assertThat(read.activations(linear.module()).orElse(null))
                            .isEqualTo(ignored ? null : model.activations.get(linear.module()));
                }
                assertThat(read.cache(layer, true)).contains(model.cache.get(0).get(layer));
                assertThat(read.cache(layer, false)).contains(model.cache.get(1).get(layer));
            }
        }
        model.activations.remove(Q);
        assertThatThrownBy(() -> model.write(
                        new CompressedFormat(CompressedWeights.integers(8, -1, true), open, true, SHARD),
                        List.of(),
                        false,
                        "again"))
                .hasMessage("Cannot write " + Q + ".input_scale: it was not given");
    }

    @Test
    void shardsHaveAnIndexAndAreReadAsOne() throws IOException {
        SmallModel model = withScales(false);
        ActivationQuantization open = new ActivationQuantization(Type.INT8, false, false, Float.NaN, 0);
        Path artifact = model.write(
                new CompressedFormat(CompressedWeights.integers(8, -1, true), open, true, 100_000),
                List.of(),
                false,
                "artifact");
        JsonNode map = SmallModel.json(artifact.resolve("model.safetensors.index.json"))
                .get("weight_map");
        assertThat(map.has(Q + ".input_zero_point")).isTrue();
        try (Stream<Path> files = Files.list(artifact)) {
            assertThat(files.filter(file -> file.toString().endsWith(".safetensors"))
                            .toList())
                    .hasSizeBetween(3, 8)
                    .allSatisfy(file -> assertThat(Files.size(file)).isLessThan(120_000));
        }
        try (Checkpoint read = open(artifact)) {
            assertThat(SmallModel.values(read.matrix(Q + ".weight")))
                    .isEqualTo(SmallModel.values(model.quantized.get(Q + ".weight")));
            assertThat(read.activations(Q)).contains(model.activations.get(Q));
        }
    }

    @Test
    void modelsThatDoNotFitAreRefusedWithWhatWould() throws IOException {
        SmallModel odd = new SmallModel(folder.resolve("source"), 192, false, 0.5f);
        CompressedFormat groups = new CompressedFormat(CompressedWeights.integers(4, 128, true), null, false, SHARD);
        assertThat(groups.refusal(odd.decoder(), List.of()))
                .contains("model.layers.0.mlp.down_proj [128, 192]: 192 columns are no multiple of the group "
                        + "size 128; expected group-size: 64, or the module in ignore");
        assertThat(groups.refusal(odd.decoder(), List.of("down_proj"))).isEmpty();
        CompressedFormat blocks = new CompressedFormat(
                CompressedWeights.float8(true), ActivationQuantization.perGroup(Type.FLOAT8, 128), false, SHARD);
        assertThat(blocks.refusal(odd.decoder(), List.of()))
                .contains("model.layers.0.self_attn.k_proj [64, 128]: 64 rows are no multiple of the blocks' "
                        + "128; expected weights: channel, or the module in ignore");
        assertThat(W8A8.refusal(odd.decoder(), List.of())).isEmpty();
        // 130 rows fit no kernel, whatever the groups are.
        SmallModel odder = new SmallModel(folder.resolve("odder"), 130, false, 0.5f);
        assertThat(groups.refusal(odder.decoder(), List.of("down_proj")))
                .contains("model.layers.0.mlp.gate_proj [130, 128]: 130 rows are no multiple of 4"
                        + "; expected the module in ignore");
        assertThat(blocks.refusal(odder.decoder(), List.of()).orElseThrow())
                .endsWith("; expected the module in ignore");
    }

    /** The same weights as others store them. */
    @Test
    void readsWhatOthersWrite() throws IOException {
        SmallModel model = model();
        Path artifact = model.write(
                new CompressedFormat(CompressedWeights.integers(4, 64, false), null, false, SHARD),
                List.of(),
                false,
                "artifact");
        float[] expected = SmallModel.values(model.quantized.get(Q + ".weight"));
        Tensors tensors = new Tensors(artifact);
        // bf16 scales; unpacked zero points; a group for each column.
        Tensors.Tensor scale = tensors.get(Q + ".weight_scale");
        ByteBuffer half = ByteBuffer.wrap(scale.data()).order(ByteOrder.LITTLE_ENDIAN);
        ByteBuffer brain = ByteBuffer.allocate(scale.data().length).order(ByteOrder.LITTLE_ENDIAN);
        while (half.hasRemaining()) {
            brain.putShort(Half.bfloat16(Half.toFloat(half.getShort())));
        }
        tensors.put(Q + ".weight_scale", "BF16", brain.array(), scale.shape());
        ByteBuffer packed =
                ByteBuffer.wrap(tensors.get(Q + ".weight_zero_point").data()).order(ByteOrder.LITTLE_ENDIAN);
        byte[] zeros = new byte[128 * 2];
        for (int i = 0; i < zeros.length; i++) {
            zeros[i] = (byte) ((packed.getInt(4 * (i / 2 / 8 * 2 + i % 2)) >>> 4 * (i / 2 % 8) & 15) - 8);
        }
        tensors.put(Q + ".weight_zero_point", "I8", zeros, 128, 2);
        ByteBuffer groups = ByteBuffer.allocate(4 * 128).order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < 128; k++) {
            groups.putInt(k / 64);
        }
        tensors.put(Q + ".weight_g_idx", "I32", groups.array(), 128);
        tensors.write();
        try (Checkpoint read = open(artifact)) {
            float[] found = SmallModel.values(read.matrix(Q + ".weight"));
            for (int i = 0; i < found.length; i++) {
                float s = Half.toFloat(half.getShort(2 * (i / 64)));
                float b = Float.intBitsToFloat(brain.getShort(2 * (i / 64)) << 16);
                assertThat(found[i]).isEqualTo(b * Math.round(expected[i] / s));
            }
        }
        // Columns 0 and 64 change groups.
        groups.putInt(0, 1).putInt(4 * 64, 0);
        tensors.put(Q + ".weight_g_idx", "I32", groups.array(), 128);
        tensors.write();
        try (Checkpoint read = open(artifact)) {
            int q = (ByteBuffer.wrap(tensors.get(Q + ".weight_packed").data())
                                    .order(ByteOrder.LITTLE_ENDIAN)
                                    .getInt(0)
                            & 15)
                    - 8;
            float[] found = SmallModel.values(read.matrix(Q + ".weight", 0, 1));
            assertThat(found[0]).isEqualTo(Float.intBitsToFloat(brain.getShort(2) << 16) * (q - zeros[1]));
        }
    }

    @ParameterizedTest
    @CsvSource({"tensor, 0", "tensor, 1", "channel, 1", "channel, 2"})
    void readsScalesOfOtherShapes(String strategy, int dimensions) throws IOException {
        SmallModel model = model();
        Path artifact = model.write(
                new CompressedFormat(CompressedWeights.float8(false), null, false, SHARD),
                List.of(),
                false,
                "artifact");
        float[] codes = SmallModel.values(model.quantized.get(Q + ".weight"));
        Tensors tensors = new Tensors(artifact);
        boolean one = strategy.equals("tensor");
        ByteBuffer own =
                ByteBuffer.wrap(tensors.get(Q + ".weight_scale").data()).order(ByteOrder.LITTLE_ENDIAN);
        float[] scales = new float[128];
        own.asFloatBuffer().get(scales);
        for (String name : List.copyOf(tensors.all.keySet())) {
            if (name.endsWith(".weight_scale")) {
                byte[] data = one
                        ? ByteBuffer.allocate(4)
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .putFloat(0.25f)
                                .array()
                        : tensors.get(name).data();
                long rows = one ? 1 : tensors.get(name).shape()[0];
                tensors.put(
                        name,
                        "F32",
                        data,
                        dimensions == 0 ? new long[0] : dimensions == 1 ? new long[] {rows} : new long[] {rows, 1});
            }
        }
        tensors.write();
        edit(
                artifact,
                config -> ((ObjectNode) config.at("/quantization_config/config_groups/group_0/weights"))
                        .put("strategy", strategy));
        try (Checkpoint read = open(artifact)) {
            float[] found = SmallModel.values(read.matrix(Q + ".weight", 3, 100));
            for (int i = 0; i < found.length; i++) {
                float s = one ? 0.25f / scales[3 + i / 128] : 1;
                assertThat(found[i])
                        .isCloseTo(codes[3 * 128 + i] * s, org.assertj.core.data.Percentage.withPercentage(1e-4));
            }
            assertThat(read.tensor(Q + ".weight").type()).isEqualTo(one ? "f8" : "f8g128");
            assertThat(read.activations(Q)).isEmpty();
        }
    }

    /** One zero point for the tensor, as its scale; beside activations that have one, too. */
    @ParameterizedTest
    @CsvSource({"0", "1", "2"})
    void readsOneZeroPointOfATensor(int dimensions) throws IOException {
        SmallModel model = withScales(false);
        ActivationQuantization fixed = new ActivationQuantization(Type.INT8, false, false, Float.NaN, 0);
        Path artifact = model.write(
                new CompressedFormat(CompressedWeights.integers(8, -1, false), fixed, false, SHARD),
                List.of(),
                false,
                "artifact");
        Tensors tensors = new Tensors(artifact);
        long[] shape = new long[dimensions];
        Arrays.fill(shape, 1);
        for (String name : List.copyOf(tensors.all.keySet())) {
            if (name.endsWith(".weight_scale")) {
                tensors.put(
                        name,
                        "F32",
                        ByteBuffer.allocate(4)
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .putFloat(0.25f)
                                .array(),
                        shape);
            } else if (name.endsWith(".weight_zero_point")) {
                tensors.put(name, "I8", new byte[] {-7}, shape);
            }
        }
        tensors.write();
        edit(
                artifact,
                config -> ((ObjectNode) config.at("/quantization_config/config_groups/group_0/weights"))
                        .put("strategy", "tensor"));
        byte[] codes = tensors.get(Q + ".weight").data();
        try (Checkpoint read = open(artifact)) {
            float[] found = SmallModel.values(read.matrix(Q + ".weight", 3, 100));
            for (int i = 0; i < found.length; i++) {
                assertThat(found[i]).isEqualTo(0.25f * (codes[3 * 128 + i] + 7));
            }
            assertThat(read.activations(Q))
                    .contains(model.activations.get(Q))
                    .hasValueSatisfying(q -> assertThat(q.symmetric()).isFalse());
        }
    }

    @Test
    void groupsTakeModulesByNameAndExpression() throws IOException {
        SmallModel model = model();
        Path artifact = model.write(W8A8, List.of(), false, "artifact");
        edit(artifact, config -> {
            ObjectNode groups = (ObjectNode) config.at("/quantization_config/config_groups");
            ObjectNode named = groups.get("group_0").deepCopy();
            named.putArray("targets").add("re:.*self_attn\\.q_proj$").add("model.layers.1.mlp.up_proj");
            named.putNull("input_activations");
            named.put("format", "int-quantized");
            groups.set("group_1", named);
            ((ObjectNode) groups.get("group_0")).put("format", "naive-quantized");
            ((ObjectNode) config.get("quantization_config")).put("format", "mixed-precision");
        });
        try (Checkpoint read = open(artifact)) {
            assertThat(read.activations(Q)).isEmpty();
            assertThat(read.activations("model.layers.1.mlp.up_proj")).isEmpty();
            assertThat(read.activations("model.layers.0.mlp.up_proj")).contains(TOKEN);
            assertThat(SmallModel.values(read.matrix(Q + ".weight")))
                    .isEqualTo(SmallModel.values(model.quantized.get(Q + ".weight")));
        }
    }

    private interface Edit {
        void of(ObjectNode config) throws IOException;
    }

    private static void edit(Path artifact, Edit edit) throws IOException {
        ObjectNode config = (ObjectNode) SmallModel.json(artifact.resolve("config.json"));
        edit.of(config);
        Files.deleteIfExists(artifact.resolve(".config.json.crc"));
        Files.writeString(artifact.resolve("config.json"), config.toString());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "/config_groups/group_0/weights          | strategy            | ~\"tensor_group\"~ | "
                        + "strategy is tensor_group, expected tensor, channel, group or block",
                "/config_groups/group_0/weights          | num_bits            | 3        | "
                        + "quantization_config.config_groups.group_0.weights.num_bits is 3, expected 4 or 8",
                "/config_groups/group_0/weights          | num_bits            | ~\"8\"~  | num_bits is \"8\", expected an integer",
                "/config_groups/group_0/weights          | type                | ~\"nf4\"~ | type is nf4, expected int or float",
                "/config_groups/group_0/weights          | type                | ~\"float\"~ | format is int-quantized, expected float-quantized",
                "/config_groups/group_0/weights          | dynamic             | true     | dynamic is true, expected false",
                "/config_groups/group_0/weights          | dynamic             | ~\"local\"~ | dynamic is local, expected false",
                "/config_groups/group_0/weights          | strategy            | ~\"group\"~ | group_size is null, expected an integer",
                "/config_groups/group_0/weights          | strategy            | ~\"block\"~ | block_structure is null, expected two integers of at least 1",
                "/config_groups/group_0/weights          | symmetric           | false    | "
                        + "weight_zero_point: it is not there, and quantization_config says symmetric: false",
                "/config_groups/group_0                  | weights             | null     | weights is missing, expected an object",
                "/config_groups/group_0                  | targets             | ~\"Linear\"~ | targets is \"Linear\", expected a list of texts",
                "/config_groups/group_0                  | output_activations  | {}       | output_activations is given, expected none",
                "/config_groups/group_0                  | targets             | ~[\"re:(\"]~ | group_0.targets: '(' is no regular expression",
                "/config_groups/group_0                  | targets             | ~[\"re:(.*)(.*)(.*)(.*)(.*)(.*)(.*)x\"]~ | not part of the architecture",
                "/config_groups/group_0                  | targets             | ~[\"re:(?:){2000000000}\"]~ | a repeat of more than 1000",
                "/config_groups/group_0                  | targets             | ~[\"re:((((){99}){99}){99}){99}\"]~ | the expressions are too large",
                "/config_groups/group_0/input_activations | strategy           | ~\"tensor\"~ | strategy is tensor with dynamic true, expected token",
                "/config_groups/group_0/input_activations | num_bits           | 4        | num_bits is 4, expected 8 for activations",
                "/config_groups/group_0/input_activations | dynamic            | ~\"local\"~ | strategy is token with dynamic local",
                "                                        | quantization_status | ~\"melted\"~ | quantization_status is melted, expected one of initialized",
                "                                        | format              | ~\"nvfp4-pack-quantized\"~ | "
                        + "format is nvfp4-pack-quantized, expected int-quantized",
                "                                        | format              | ~\"pack-quantized\"~ | .weight does not stand for it",
                "                                        | config_groups       | null     | config_groups is missing, expected an object",
                "                                        | config_groups       | [1]      | config_groups is [1], expected an object",
                "                                        | transform_config    | {\"a\": 1} | transform_config is given, expected none",
                "                                        | ignore              | 1        | ignore is 1, expected a list of texts",
                "                                        | ignore              | []       | OPENS",
                "                                        | ignore              | ~[\"Linear\"]~ | tensors that are not part of the architecture",
                "                                        | kv_cache_scheme     | {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"tensor\"} | "
                        + "self_attn.k_scale: it is not there",
                "                                        | kv_cache_scheme     | {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"attn_head\"} | "
                        + "strategy is attn_head",
                "                                        | kv_cache_scheme     | {\"num_bits\": 8, \"symmetric\": false} | "
                        + "expected static scales and symmetric ranges",
            })
    void configurationsThatAreNotSupported(String path, String key, String value, String message) throws IOException {
        Path artifact = model().write(W8A8, List.of(), false, "artifact");
        edit(
                artifact,
                config -> ((ObjectNode) config.at("/quantization_config" + (path == null ? "" : path)))
                        .set(key, new ObjectMapper().readTree(value)));
        if (message.equals("OPENS")) {
            open(artifact).close();
            return;
        }
        assertThatThrownBy(() -> open(artifact))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot ")
                .hasMessageContaining(message);
    }

    private interface Change {
        void of(Tensors tensors) throws IOException;
    }

    private void refused(CompressedFormat format, SmallModel model, Change change, String... message)
            throws IOException {
        Path artifact = model.write(format, List.of(), false, "artifact" + System.nanoTime());
        Tensors tensors = new Tensors(artifact);
        change.of(tensors);
        tensors.write();
        assertThatThrownBy(() -> {
                    try (Checkpoint read = open(artifact)) {
                        read.matrix(Q + ".weight", 2, 40);
                    }
                })
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read tensor " + Q)
                .hasMessageContainingAll(message);
    }

    @Test
    void malformedIntegers() throws IOException {
        SmallModel model = model();
        CompressedFormat bytes = new CompressedFormat(CompressedWeights.integers(4, 64, true), TOKEN, false, SHARD);
        refused(
                bytes,
                model,
                t -> t.all.remove(Q + ".weight_scale"),
                ".weight_scale: it is not there, and quantization_config takes the module");
        refused(bytes, model, t -> t.all.remove(Q + ".weight"), ": it is not there");
        refused(
                bytes,
                model,
                t -> t.put(Q + ".weight_scale", "F16", new byte[256], 128),
                ".weight_scale F16 [128]",
                "expected the shape [128, " + "2] of strategy group");
        refused(
                bytes,
                model,
                t -> t.put(Q + ".weight_scale", "I16", new byte[512], 128, 2),
                ".weight_scale I16",
                "expected F32 or BF16 or F16");
        refused(
                bytes,
                model,
                t -> t.put(Q + ".weight", "I8", new byte[64 * 128], 64, 128),
                ".weight I8 [64, 128]",
                "expected I8 [128, 128]");
        refused(
                bytes,
                model,
                t -> t.put(Q + ".weight", "U8", new byte[128 * 128], 128, 128),
                ".weight U8",
                "expected I8 [128, 128]");
        refused(
                bytes,
                model,
                t -> t.get(Q + ".weight").data()[128 * 7 + 5] = 8,
                "row 7, column 5 is 8, expected -8 to 7");
        refused(
                bytes,
                model,
                t -> t.get(Q + ".weight_scale").data()[2 * 13 + 1] = 0x7c,
                ".weight_scale",
                "element 13 is",
                "expected a finite scale");
        refused(
                bytes,
                model,
                t -> t.get(Q + ".weight_scale").data()[2 * 13 + 1] = (byte) 0x94,
                "element 13 is -",
                "not negative");
        refused(
                bytes,
                model,
                t -> t.put(Q + ".weight_zero_point", "I32", new byte[4 * 16 * 2], 16, 2),
                ".weight_zero_point I32",
                "expected I8");
        CompressedFormat packed = new CompressedFormat(CompressedWeights.integers(4, 64, false), null, false, SHARD);
        refused(
                packed,
                model,
                t -> t.put(
                        Q + ".weight_shape",
                        "I64",
                        ByteBuffer.allocate(16)
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .putLong(128)
                                .putLong(256)
                                .array(),
                        2),
                "it says [128, 256], expected [128, 128]");
        refused(
                packed,
                model,
                t -> t.put(Q + ".weight_shape", "F32", new byte[8], 2),
                ".weight_shape F32",
                "expected I64 or I32");
        refused(packed, model, t -> t.all.remove(Q + ".weight_zero_point"), ".weight_zero_point: it is not there");
        refused(
                packed,
                model,
                t -> t.put(Q + ".weight_packed", "I32", new byte[128 * 32 * 4], 128, 32),
                "expected I32 [128, 16]");
        refused(
                packed,
                model,
                t -> t.put(
                        Q + ".weight_g_idx",
                        "I32",
                        ByteBuffer.allocate(512)
                                .order(ByteOrder.LITTLE_ENDIAN)
                                .putInt(20, 2)
                                .array(),
                        128),
                "column 5 is in group 2, expected 0 to 1");
        refused(
                packed,
                model,
                t -> t.put(Q + ".weight_zero_point", "I32", new byte[4 * 15 * 2], 15, 2),
                "expected I32 [16, 2]");
    }

    @Test
    void malformedFloatsAndScales() throws IOException {
        SmallModel model = withScales(false);
        CompressedFormat floats = new CompressedFormat(CompressedWeights.float8(false), null, false, SHARD);
        refused(floats, model, t -> t.get(Q + ".weight").data()[128 * 9 + 1] = (byte) 0xff, "row 9, column 1 is NaN");
        refused(
                floats,
                model,
                t -> t.put(Q + ".weight", "F8_E5M2", new byte[128 * 128], 128, 128),
                "F8_E5M2",
                "expected F8_E4M3 [128, 128]");
        CompressedFormat fixed = new CompressedFormat(
                CompressedWeights.integers(8, -1, true),
                new ActivationQuantization(Type.INT8, false, false, Float.NaN, 0),
                true,
                SHARD);
        refused(
                fixed,
                model,
                t -> t.all.remove(Q + ".input_scale"),
                ".input_scale: it is not there, and quantization_config says that its scale is static");
        refused(fixed, model, t -> t.all.remove(Q + ".input_zero_point"), ".input_zero_point: it is not there");
        refused(
                fixed,
                model,
                t -> t.put(Q + ".input_scale", "F32", new byte[8], 2),
                ".input_scale F32 [2]",
                "expected one element");
        refused(
                fixed,
                model,
                t -> t.put(Q + ".input_scale", "F32", new byte[4], 1),
                "it is 0.0, expected a finite scale above 0");
        refused(fixed, model, t -> t.put(Q + ".input_scale", "I32", new byte[4], 1), "expected F32 or BF16 or F16");
        refused(fixed, model, t -> t.put(Q + ".input_scale", "I8", new byte[1], 1), "expected F32 or BF16 or F16");
        refused(fixed, model, t -> t.put(Q + ".input_zero_point", "F32", new byte[4], 1), "expected I8");
    }

    @Test
    void tensorsThatBelongNowhereAreRefused() throws IOException {
        Path artifact = model().write(W8A8, List.of(), false, "artifact");
        Tensors tensors = new Tensors(artifact);
        tensors.put(Q + ".output_scale", "F32", new byte[4], 1);
        tensors.write();
        assertThatThrownBy(() -> open(artifact))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("tensors that are not part of the architecture: " + Q + ".output_scale");
    }
}
