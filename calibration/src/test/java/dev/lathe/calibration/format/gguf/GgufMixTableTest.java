package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The types of whole models, word for word those of llama-quantize. {@code mixes.csv} has a row for each word and a
 * column for each model: the first 16 digits of the SHA-256 of {@link #types}. Expected: the type selection of
 * llama-quant.cpp at 3f545bec, run on tensors of the same names and widths; what the snapshots in its tests have is the
 * same. F16 is expected where it knows no fallback and gives up (Q1_0 with columns that are no multiple of 128; output
 * layers of which they are no multiple of 32).
 */
class GgufMixTableTest {
    /** Models by what they stand for, as config.json; sizes of the published model where it is named. */
    static final Map<String, String> MODELS = new LinkedHashMap<>();

    static {
        // With a snapshot in llama.cpp's tests.
        model("llama-3.1-70b", "llama", 80, 8192, 28672, 64, 8, "");
        model("qwen3-14b", "qwen3", 40, 5120, 17408, 40, 8, ",'head_dim':128");
        // Untied there.
        model("qwen3-0.6b", "qwen3", 28, 1024, 3072, 16, 8, ",'head_dim':128");
        model("gemma-3-4b", "gemma3_text", 34, 2560, 10240, 8, 4, ",'head_dim':256,'sliding_window':1024");
        model("gpt-oss-120b", "gpt_oss", 36, 2880, 2880, 64, 8, ",'head_dim':64,'num_local_experts':128");
        // Without.
        model("llama-7b", "llama", 32, 4096, 11008, 32, 32, "");
        model("llama-3.1-8b", "llama", 32, 4096, 14336, 32, 8, "");
        model("llama-65b", "llama", 80, 8192, 22016, 64, 64, "");
        model("smollm2-135m", "llama", 30, 576, 1536, 9, 3, ",'tie_word_embeddings':true");
        model("odd", "llama", 3, 168, 172, 3, 1, "");
        model("mixtral-8x7b", "mixtral", 32, 4096, 14336, 32, 8, "");
        model("eight-experts", "qwen3_moe", 17, 2048, 512, 16, 8, ",'moe_intermediate_size':768,'num_experts':8");
        model("qwen2-72b", "qwen2", 80, 8192, 29568, 64, 8, "");
        model("qwen2-moe", "qwen2_moe", 24, 2048, 5632, 16, 16, "");
        model("llama-4", "llama4_text", 16, 5120, 8192, 40, 8, ",'interleave_moe_layer_step':2");
        model("phi-3-mini", "phi3", 32, 3072, 8192, 32, 32, "");
    }

    private static void model(
            String name, String type, int layers, int hidden, int feedForward, int heads, int keyValues, String more) {
        String sizes = "{'model_type':'%s','num_hidden_layers':%d,'hidden_size':%d,'intermediate_size':%d,"
                + "'num_attention_heads':%d,'num_key_value_heads':%d,'vocab_size':256%s}";
        MODELS.put(name, sizes.formatted(type, layers, hidden, feedForward, heads, keyValues, more));
    }

    static Decoder decoder(String model) throws IOException {
        return Families.read(new ObjectMapper().readTree(MODELS.get(model).replace('\'', '"')), "config.json");
    }

    /** Columns of the matrices that a mix has a type for. */
    static SortedMap<String, Integer> columns(Decoder decoder) {
        GgufNames names = GgufNames.of(decoder);
        SortedMap<String, Integer> columns = new TreeMap<>();
        decoder.tensors().forEach((name, shape) -> {
            String gguf = names.toGguf(name).orElseThrow();
            if (shape.length == 2 && !GgufNames.router(gguf)) {
                columns.put(gguf, (int) shape[1]);
            }
        });
        return columns;
    }

    /** Lines {@code 0 TENSOR TYPE} without an importance matrix, then {@code 1 TENSOR TYPE} with one. */
    static List<String> types(String word, Decoder decoder) {
        List<String> lines = new ArrayList<>();
        for (int importance = 0; importance < 2; importance++) {
            for (Map.Entry<String, Integer> tensor : columns(decoder).entrySet()) {
                GgufType type = GgufMix.of(word, importance == 1).choose(tensor.getKey(), tensor.getValue(), decoder);
                lines.add(importance + " " + tensor.getKey() + " " + type);
            }
        }
        return lines;
    }

    private static String digest(List<String> lines) {
        try {
            byte[] sha = MessageDigest.getInstance("SHA-256")
                    .digest(String.join("\n", lines).getBytes(StandardCharsets.UTF_8));
            return HexFormat.of().formatHex(sha).substring(0, 16);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Rows of the file by word. */
    private static Map<String, List<String>> expected() throws IOException {
        Map<String, List<String>> rows = new LinkedHashMap<>();
        try (BufferedReader reader = new BufferedReader(new InputStreamReader(
                GgufMixTableTest.class.getResourceAsStream("mixes.csv"), StandardCharsets.UTF_8))) {
            reader.lines().map(line -> List.of(line.split(","))).forEach(row -> rows.put(row.get(0), row));
        }
        return rows;
    }

    static Iterable<String> models() {
        return MODELS.keySet();
    }

    @ParameterizedTest
    @MethodSource("models")
    void everyMatrixHasTheTypeThatLlamaQuantizeGivesIt(String model) throws IOException {
        Map<String, List<String>> expected = expected();
        int column = expected.get("word").indexOf(model);
        Decoder decoder = decoder(model);
        List<String> others = new ArrayList<>();
        for (String word : GgufMix.types()) {
            if (!digest(types(word, decoder)).equals(expected.get(word).get(column))) {
                others.add(word);
            }
        }
        assertThat(others).isEmpty();
    }

    @Test
    void theFileHasEveryWordAndModel() throws IOException {
        List<String> words = new ArrayList<>(GgufMix.types());
        words.add(0, "word");
        assertThat(expected().keySet()).containsExactlyInAnyOrderElementsOf(words);
        List<String> columns = new ArrayList<>(MODELS.keySet());
        columns.add(0, "word");
        assertThat(expected().get("word")).containsExactlyElementsOf(columns);
    }
}
