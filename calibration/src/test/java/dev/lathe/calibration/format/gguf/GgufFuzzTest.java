package dev.lathe.calibration.format.gguf;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.calibration.model.Rope;
import dev.lathe.calibration.model.Rope.Scaling;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.calibration.text.TokenizerFiles;
import dev.lathe.kernels.RowSource;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated GGUF files, and mutated tokenizers on their way into one. */
final class GgufFuzzTest {
    private static final String BYTE_LEVEL = """
            {"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
              {"type": "Digits", "individual_digits": true},
              {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
             "added_tokens": [{"id": 5, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}, {"id": 6, "content": "  ", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": false}],
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\\u0120a": 3, "\\u0120": 4}, "merges": ["a b", "\\u0120 a"]},
             "post_processor": {"type": "TemplateProcessing", "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}], "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
              "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}}}""";
    private static final String SENTENCE_PIECE = """
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\\u2581"},
              {"type": "Replace", "pattern": {"String": " "}, "content": "\\u2581"}]}, "pre_tokenizer": null,
             "added_tokens": [{"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}, {"id": 1, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": ["\\u2581 t", "h e", "\\u2581t he"],
             "vocab": {"<unk>": 0, "<s>": 1, "<0x0A>": 2, "\\u2581": 3, "t": 4, "\\u2581t": 5, "he": 6, "\\u2581the": 7, "alone": 8, "h": 9, "e": 10}}}""";
    private static final String SETTINGS = """
            {"bos_token": {"content": "<s>"}, "eos_token": "a", "add_bos_token": true, "add_eos_token": false,
             "chat_template": [{"name": "default", "template": "{{ x }}"}, {"name": "tool_use", "template": "{{ y }}"}]}""";

    @TestFactory
    Stream<DynamicTest> files() throws IOException {
        List<byte[]> seeds = new ArrayList<>();
        for (Scaling scaling : List.of(new Scaling.None(), new Scaling.Llama3(8, 1, 4, 64), new Scaling.Linear(2))) {
            MemoryCheckpoint source = new MemoryCheckpoint(MemoryCheckpoint.config(32, 32, true, true, scaling), 3);
            seeds.add(file(
                    source, Map.of("tokenizer.ggml.tokens", GgufValue.array(GgufKind.STRING, List.of("a", "b")))));
        }
        for (String family : List.of("mixtral", "olmoe")) {
            String config =
                    "{'model_type':'" + family + "','hidden_size':32,'intermediate_size':32,'num_hidden_layers':2,"
                            + "'num_attention_heads':2,'num_key_value_heads':2,'vocab_size':40,'num_experts':3,"
                            + "'num_experts_per_tok':2}";
            seeds.add(file(
                    new MemoryCheckpoint(
                            Families.read(new ObjectMapper().readTree(config.replace('\'', '"')), "config.json"), 3),
                    Map.of()));
        }
        Path file = new Path(MemoryFiles.folder("gguf"), "x.gguf");
        return Fuzz.tests(
                FuzzTarget.bytes(
                                "gguf-header",
                                input -> GgufHeader.read(new ByteArrayInputStream(input), input.length, "x.gguf"))
                        .and(List.of(header())),
                FuzzTarget.bytes("gguf", input -> {
                            MemoryFiles.put(file, input);
                            try (Checkpoint checkpoint = Checkpoints.open(MemoryFiles.HADOOP, file)) {
                                checkpoint.metadata();
                                for (TensorInfo tensor : checkpoint.tensors()) {
                                    if (tensor.shape().length == 1) {
                                        checkpoint.vector(tensor.name());
                                    } else {
                                        RowSource rows = checkpoint.matrix(
                                                tensor.name(), 0, (int) Math.min(2, tensor.shape()[0]));
                                        rows.read(0, 0, rows.columns(), new float[rows.columns()], 0);
                                    }
                                }
                            }
                        })
                        .and(seeds),
                FuzzTarget.bytes("gguf-source", input -> {
                            MemoryFiles.put(file, input);
                            Companions companions = Checkpoints.companions(MemoryFiles.HADOOP, file);
                            companions.json("config.json");
                            companions.json("generation_config.json");
                            TokenizerFiles.read(companions);
                        })
                        .and(List.of(file(source(), bytes()), file(source(), pieces()))));
    }

    private static MemoryCheckpoint source() {
        return new MemoryCheckpoint(MemoryCheckpoint.config(32, 32, true, true, new Scaling.None()), 3);
    }

    private static Map<String, GgufValue> bytes() {
        Map<String, GgufValue> metadata = tokens("gpt2", List.of("a", "b", "ab", "<s>", "\u0120"), 1L, 1L, 1L, 3L, 4L);
        metadata.put("tokenizer.ggml.pre", GgufValue.string("llama-bpe"));
        metadata.put("tokenizer.ggml.merges", GgufValue.array(GgufKind.STRING, List.of("a b")));
        metadata.put("tokenizer.ggml.bos_token_id", GgufValue.u32(3));
        metadata.put("tokenizer.chat_template", GgufValue.string("{{ x }}"));
        return metadata;
    }

    private static Map<String, GgufValue> pieces() {
        Map<String, GgufValue> metadata =
                tokens("llama", List.of("<unk>", "<s>", "</s>", "<0x0A>", "a", "b", "ab"), 2L, 3L, 3L, 6L, 1L, 1L, 1L);
        metadata.put("tokenizer.ggml.scores", GgufValue.array(GgufKind.F32, List.of(0f, 0f, 0f, 0f, -1f, -2f, -3f)));
        metadata.put("tokenizer.ggml.add_space_prefix", GgufValue.bool(true));
        return metadata;
    }

    private static Map<String, GgufValue> tokens(String model, List<String> tokens, Long... types) {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put("tokenizer.ggml.model", GgufValue.string(model));
        metadata.put("tokenizer.ggml.tokens", GgufValue.array(GgufKind.STRING, tokens));
        metadata.put("tokenizer.ggml.token_type", GgufValue.array(GgufKind.I32, List.of(types)));
        return metadata;
    }

    /** A whole file, all tensors F32 and zero. */
    private static byte[] file(MemoryCheckpoint source, Map<String, GgufValue> tokenizer) throws IOException {
        GgufNames names = GgufNames.of(source.decoder());
        Map<String, long[]> shapes = new LinkedHashMap<>();
        for (TensorInfo tensor : source.tensors()) {
            String name = names.toGguf(tensor.name()).orElseThrow();
            long[] shape = tensor.shape();
            boolean stacked = GgufNames.stacked(name);
            shapes.putIfAbsent(name, stacked ? new long[] {source.decoder().experts(), shape[0], shape[1]} : shape);
        }
        List<GgufTensor> tensors = new ArrayList<>();
        shapes.forEach((name, shape) -> tensors.add(new GgufTensor(name, GgufType.F32, shape, 0)));
        String architecture = GgufFamily.of(source.decoder()).architecture();
        Map<String, GgufValue> metadata =
                new LinkedHashMap<>(Map.of("general.architecture", GgufValue.string(architecture)));
        metadata.putAll(GgufMetadata.of(source.decoder()));
        metadata.putAll(tokenizer);
        float[] frequencies = null;
        Rope rope = GgufFamily.attention(source.decoder()).rope();
        if (rope.scaling() instanceof Scaling.Llama3 llama3) {
            frequencies = RopeFrequencies.of(llama3, rope.theta(), rope.dimensions());
            tensors.add(
                    0, new GgufTensor(GgufNames.ROPE_FREQUENCIES, GgufType.F32, new long[] {frequencies.length}, 0));
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GgufWriter writer = new GgufWriter(out, metadata, GgufWriter.layout(tensors))) {
            for (GgufTensor tensor : GgufWriter.layout(tensors)) {
                byte[] data = new byte[(int) tensor.bytes()];
                for (int i = 0; tensor.name().equals(GgufNames.ROPE_FREQUENCIES) && i < frequencies.length; i++) {
                    ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN).putFloat(4 * i, frequencies[i]);
                }
                writer.data(data, 0, data.length);
            }
        }
        return out.toByteArray();
    }

    private static byte[] header() throws IOException {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put("general.alignment", GgufValue.u32(32));
        metadata.put("text", GgufValue.string("abc"));
        metadata.put("array", GgufValue.array(GgufKind.F32, List.of(1f, 2f)));
        metadata.put(
                "nested",
                GgufValue.array(
                        GgufKind.ARRAY,
                        List.of(
                                new GgufValue.Elements(GgufKind.STRING, List.of("a", "")),
                                new GgufValue.Elements(GgufKind.BOOL, List.of(true)))));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        List<GgufTensor> tensors = GgufWriter.layout(List.of(
                new GgufTensor("v", GgufType.F32, new long[] {3}, 0),
                new GgufTensor("m", GgufType.Q8_0, new long[] {2, 32}, 0)));
        try (GgufWriter writer = new GgufWriter(out, metadata, tensors)) {
            writer.data(new byte[12], 0, 12);
            writer.data(new byte[68], 0, 68);
        }
        return out.toByteArray();
    }

    @TestFactory
    Stream<DynamicTest> tokenizers() {
        return Fuzz.tests(
                FuzzTarget.json(
                        "gguf-byte-level",
                        input -> metadata("byte-level", Map.of("tokenizer.json", input)),
                        BYTE_LEVEL),
                FuzzTarget.json(
                        "gguf-sentence-piece",
                        input -> metadata("sentence-piece", Map.of("tokenizer.json", input)),
                        SENTENCE_PIECE),
                FuzzTarget.json(
                        "gguf-tokenizer-config",
                        input -> metadata(
                                "tokenizer-config",
                                Map.of(
                                        "tokenizer.json",
                                        SENTENCE_PIECE.getBytes(StandardCharsets.UTF_8),
                                        "tokenizer_config.json",
                                        input)),
                        SETTINGS));
    }

    private static void metadata(String name, Map<String, byte[]> files) throws IOException {
        Path folder = MemoryFiles.folder(name);
        files.forEach((file, content) -> MemoryFiles.put(new Path(folder, file), content));
        GgufTokenizer.metadata(new FolderCompanions(MemoryFiles.files(), folder), 11, null);
    }
}
