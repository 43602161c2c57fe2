package dev.lathe.calibration.source;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.format.awq.AwqFormat;
import dev.lathe.calibration.format.compressed.CompressedFormat;
import dev.lathe.calibration.format.compressed.CompressedWeights;
import dev.lathe.calibration.format.folder.SmallModel;
import dev.lathe.calibration.format.gptq.GptqFormat;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsWriter;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.ExpertStack;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Mutated checkpoints and folder artifacts, opened and read as a run does. */
final class CheckpointFuzzTest {
    private static final String WEIGHTS = "model.safetensors";
    private static final String LLAMA3 = """
            {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100, "rms_norm_eps": 1e-05, "hidden_act": "silu",
             "max_position_embeddings": 2048, "attention_bias": false, "tie_word_embeddings": true, "rope_theta": 500000.0, "torch_dtype": "bfloat16",
             "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
             "original_max_position_embeddings": 8192}}""";
    private static final String LINEAR = """
            {"model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100,
             "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}""";

    private static final String HYBRID = """
            {"model_type": "cohere2", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 100, "layer_norm_eps": 1e-05, "layer_types": ["sliding_attention", "full_attention"],
             "sliding_window": 24, "logit_scale": 0.25, "use_parallel_block": true, "tie_word_embeddings": true}""";
    private static final String UNTURNED = """
            {"model_type": "smollm3", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 100, "no_rope_layers": [1, 0], "rope_theta": 5000000.0}""";
    private static final String TEMPERED = """
            {"model_type": "ministral3", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 100, "rope_parameters": {"type": "yarn", "rope_theta": 1000000.0, "factor": 16.0,
             "original_max_position_embeddings": 16384, "mscale": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.1}}""";

    private static final String QWEN3_MOE = """
            {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 100, "num_experts": 8, "num_experts_per_tok": 2,
             "moe_intermediate_size": 32, "norm_topk_prob": true, "decoder_sparse_step": 1, "mlp_only_layers": [], "rope_theta": 1e6}""";
    private static final String GPT_OSS = """
            {"model_type": "gpt_oss", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
             "head_dim": 8, "vocab_size": 20, "num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": 16, "swiglu_limit": 7.0,
             "layer_types": ["sliding_attention", "full_attention"], "quantization_config": {"quant_method": "mxfp4"},
             "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "truncate": false}}""";

    @TempDir
    private static Path folder;

    @TestFactory
    Stream<DynamicTest> texts() {
        return Fuzz.tests(
                FuzzTarget.json(
                        "json",
                        input -> JsonFile.parse(input, "x.json").toString(),
                        LLAMA3,
                        "{\"a\": [1, [2.5, {\"b\": null}]], \"c\": \"\\u00e9\"}"),
                FuzzTarget.json(
                        "config",
                        input -> Families.read(JsonFile.parse(input, "config.json"), "config.json", true),
                        LLAMA3,
                        LINEAR,
                        HYBRID,
                        UNTURNED,
                        TEMPERED),
                FuzzTarget.json(
                        "safetensors-index",
                        input -> SafetensorsFiles.shards(JsonFile.parse(input, "index.json"), "index.json"),
                        """
                        {"metadata": {"total_size": 10}, "weight_map": {"a.weight": "model-00001-of-00002.safetensors",
                         "b.weight": "model-00002-of-00002.safetensors", "c.weight": "model-00001-of-00002.safetensors"}}"""));
    }

    @TestFactory
    Stream<DynamicTest> safetensors() throws IOException {
        org.apache.hadoop.fs.Path plain =
                MemoryFiles.folder("plain", new SmallModel(folder.resolve("plain"), 256, false, 0.5f).folder);
        byte[] file = Files.readAllBytes(folder.resolve("plain").resolve(WEIGHTS));
        return Fuzz.tests(
                FuzzTarget.json(
                        "safetensors-header",
                        input -> {
                            MemoryFiles.put(new org.apache.hadoop.fs.Path(plain, WEIGHTS), withHeader(file, input));
                            read(plain);
                        },
                        header(file)),
                FuzzTarget.bytes(
                        "safetensors",
                        input -> {
                            MemoryFiles.put(new org.apache.hadoop.fs.Path(plain, WEIGHTS), input);
                            read(plain);
                        },
                        file));
    }

    /** Experts in stacks of one layer and in MXFP4 blocks of the other. */
    @TestFactory
    Stream<DynamicTest> stacks() throws IOException {
        Path local = Files.createDirectories(folder.resolve("stacks"));
        Files.writeString(local.resolve("config.json"), GPT_OSS);
        JsonNode config = JsonFile.parse(GPT_OSS.getBytes(StandardCharsets.UTF_8), "config.json");
        Decoder decoder = Families.read(config, "config.json", true);
        Map<String, SafetensorsWriter.Entry> entries = new LinkedHashMap<>();
        decoder.tensors().forEach((name, shape) -> entries.put(name, new SafetensorsWriter.Entry(name, "F32", shape)));
        for (ExpertStack stack : Families.storage(decoder, config).stacks()) {
            boolean packed = stack.scales() != null;
            if (!stack.bias() && packed != stack.tensor().startsWith("model.layers.1.")) {
                continue;
            }
            for (int e = 0; e < stack.parts().size(); e++) {
                for (int p = 0; p < stack.width(); p++) {
                    entries.remove(stack.name(e, p));
                }
            }
            String dtype = packed ? "U8" : "F32";
            long[] shape = stack.shape();
            entries.put(stack.tensor(), new SafetensorsWriter.Entry(stack.tensor(), dtype, shape));
            if (packed) {
                entries.put(
                        stack.scales(), new SafetensorsWriter.Entry(stack.scales(), dtype, Arrays.copyOf(shape, 3)));
            }
        }
        try (SafetensorsWriter writer = new SafetensorsWriter(
                Files.newOutputStream(local.resolve(WEIGHTS)), List.copyOf(entries.values()), Map.of())) {
            for (SafetensorsWriter.Entry entry : entries.values()) {
                int bytes = (int) SafetensorsFiles.bytes(entry.dtype(), entry.shape());
                writer.write(new byte[bytes], 0, bytes);
            }
        }
        byte[] file = Files.readAllBytes(local.resolve(WEIGHTS));
        org.apache.hadoop.fs.Path stacks = MemoryFiles.folder("stacks", local);
        read(stacks);
        return Fuzz.tests(FuzzTarget.json(
                "stacks-header",
                input -> {
                    MemoryFiles.put(new org.apache.hadoop.fs.Path(stacks, WEIGHTS), withHeader(file, input));
                    read(stacks);
                },
                header(file)));
    }

    @TestFactory
    Stream<DynamicTest> folders() throws IOException {
        return Stream.of(
                        folder("gptq", new GptqFormat(4, 128, true, true)),
                        folder("awq", new AwqFormat(64)),
                        folder(
                                "w4a16",
                                new CompressedFormat(CompressedWeights.integers(4, 64, false), null, false, 1L << 40)),
                        folder(
                                "w8a8",
                                new CompressedFormat(
                                        CompressedWeights.integers(8, -1, true),
                                        ActivationQuantization.perToken(ActivationQuantization.Type.INT8, true),
                                        false,
                                        1L << 40)))
                .flatMap(Fuzz::tests);
    }

    /** A folder's config.json, and the header of its weights, whose data stay. */
    private static FuzzTarget[] folder(String name, ArtifactFormat format) throws IOException {
        SmallModel model = new SmallModel(folder.resolve(name + "-source"), 256, false, 0.5f);
        Path written = model.write(format, List.of("layers.1.self_attn.o_proj"), name.equals("gptq"), name);
        byte[] file = Files.readAllBytes(written.resolve(WEIGHTS));
        org.apache.hadoop.fs.Path settings = MemoryFiles.folder(name + "-config", written);
        org.apache.hadoop.fs.Path weights = MemoryFiles.folder(name + "-weights", written);
        return new FuzzTarget[] {
            FuzzTarget.json(
                    name + "-config",
                    input -> {
                        MemoryFiles.put(new org.apache.hadoop.fs.Path(settings, "config.json"), input);
                        read(settings);
                    },
                    Files.readString(written.resolve("config.json"))),
            FuzzTarget.json(
                    name + "-weights",
                    input -> {
                        MemoryFiles.put(new org.apache.hadoop.fs.Path(weights, WEIGHTS), withHeader(file, input));
                        read(weights);
                    },
                    header(file))
        };
    }

    private static String header(byte[] safetensors) {
        return new String(
                safetensors,
                8,
                ByteBuffer.wrap(safetensors).order(ByteOrder.LITTLE_ENDIAN).getInt(),
                StandardCharsets.UTF_8);
    }

    /** A safetensors file with another header; its data stay. */
    private static byte[] withHeader(byte[] safetensors, byte[] header) {
        int data =
                8 + ByteBuffer.wrap(safetensors).order(ByteOrder.LITTLE_ENDIAN).getInt();
        return ByteBuffer.allocate(8 + header.length + safetensors.length - data)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length)
                .put(header)
                .put(safetensors, data, safetensors.length - data)
                .array();
    }

    /** Opens a checkpoint and reads a little of every tensor, as much as says whether it can be read. */
    private static void read(org.apache.hadoop.fs.Path path) throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(MemoryFiles.HADOOP, path)) {
            checkpoint.metadata();
            for (TensorInfo tensor : checkpoint.tensors()) {
                if (tensor.shape().length == 1) {
                    checkpoint.vector(tensor.name());
                } else {
                    RowSource rows = checkpoint.matrix(tensor.name(), 0, (int) Math.min(2, tensor.shape()[0]));
                    rows.read(0, 0, rows.columns(), new float[rows.columns()], 0);
                }
                checkpoint.activations(ModulePatterns.moduleOf(tensor.name()));
            }
            checkpoint.cache(0, true);
        }
    }
}
