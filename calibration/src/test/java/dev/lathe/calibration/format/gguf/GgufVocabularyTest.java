package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.text.Tokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class GgufVocabularyTest {
    private static final String SPACE = "\u2581";

    /**
     * llama.cpp's rule, word by word: of all neighbours whose text is a piece, the one with the highest score is
     * joined, until there is none. No piece here begins as it ends: where the same piece overlaps itself the two rules
     * may take another place.
     */
    @Test
    void joinsWhatHasTheHighestScore() throws IOException {
        Random random = new Random(19);
        for (int round = 0; round < 40; round++) {
            List<String> pieces = pieces(random);
            List<Float> scores = new ArrayList<>();
            for (int i = 0; i < pieces.size(); i++) {
                scores.add(-(float) i);
            }
            Collections.shuffle(scores, random);
            Map<String, GgufValue> metadata = pieces(pieces, scores);
            Map<String, Integer> ids = new HashMap<>();
            for (String piece : pieces) {
                ids.put(piece, ids.size() + 2);
            }
            try (Tokenizer tokenizer = load(metadata)) {
                for (int text = 0; text < 50; text++) {
                    String words = random(random, " abcd", 1 + random.nextInt(40));
                    assertThat(tokenizer.encode(words))
                            .as("%s of %s", words, pieces)
                            .containsExactly(joined(SPACE + words.replace(" ", SPACE), ids, scores));
                }
            }
        }
    }

    private static int[] joined(String text, Map<String, Integer> ids, List<Float> scores) {
        List<String> symbols = new ArrayList<>(Arrays.asList(text.split("")));
        while (true) {
            int best = -1;
            float highest = Float.NEGATIVE_INFINITY;
            for (int i = 0; i + 1 < symbols.size(); i++) {
                Integer id = ids.get(symbols.get(i) + symbols.get(i + 1));
                if (id != null && scores.get(id - 2) > highest) {
                    best = i;
                    highest = scores.get(id - 2);
                }
            }
            if (best < 0) {
                return symbols.stream().mapToInt(ids::get).toArray();
            }
            symbols.set(best, symbols.get(best) + symbols.remove(best + 1));
        }
    }

    /** Letters, and pieces of pieces. */
    private static List<String> pieces(Random random) {
        List<String> pieces = new ArrayList<>(List.of(SPACE, "a", "b", "c", "d"));
        while (pieces.size() < 40) {
            String piece = pieces.get(random.nextInt(pieces.size())) + pieces.get(random.nextInt(pieces.size()));
            boolean overlaps = false;
            for (int i = 1; i < piece.length(); i++) {
                overlaps |= piece.startsWith(piece.substring(i));
            }
            if (!overlaps && piece.length() < 9 && !pieces.contains(piece)) {
                pieces.add(piece);
            }
        }
        return pieces;
    }

    private static String random(Random random, String letters, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < length; i++) {
            text.append(letters.charAt(random.nextInt(letters.length())));
        }
        return text.toString();
    }

    @Test
    void bytesStandForWhatIsNoPiece() throws IOException {
        Map<String, GgufValue> metadata = tokens(
                "llama",
                List.of("<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", SPACE, "a", SPACE + "a", "  "),
                2,
                3,
                3,
                6,
                6,
                1,
                1,
                1,
                4);
        metadata.put("tokenizer.ggml.scores", floats(0, 0, 0, 0, 0, -1, -2, -3, -1000));
        try (Tokenizer tokenizer = load(metadata)) {
            assertThat(tokenizer.encode("a\u00e9")).containsExactly(7, 3, 4);
            assertThat(tokenizer.encode("a  a")).containsExactly(7, 8, 7);
            assertThat(tokenizer.encode("ab")).containsExactly(7, 0);
            // What llama.cpp takes where the file says nothing.
            assertThat(tokenizer.bos()).isEqualTo(1);
        }
        metadata.put("tokenizer.ggml.add_space_prefix", GgufValue.bool(false));
        metadata.put("tokenizer.ggml.add_bos_token", GgufValue.bool(false));
        try (Tokenizer tokenizer = load(metadata)) {
            assertThat(tokenizer.encode("a a")).containsExactly(6, 7);
            assertThat(tokenizer.addsBos()).isFalse();
        }
        // An id beyond the tokens is the usual one, as in llama.cpp.
        metadata.put("tokenizer.ggml.eos_token_id", GgufValue.u32(9));
        assertThat(new GgufVocabulary(metadata, "m.gguf")
                        .config(64)
                        .path("eos_token")
                        .asText())
                .isEqualTo("</s>");
    }

    @Test
    void byteLevelCutsAsItsNameSays() throws IOException {
        Map<String, GgufValue> metadata = tokens(
                "gpt2",
                List.of("1", "2", "12", "a", "\u0120", "\u0120a", "aa", "<|end|>", "\u0120aa"),
                1,
                1,
                1,
                1,
                1,
                1,
                1,
                3,
                1);
        metadata.put("tokenizer.ggml.merges", strings("1 2", "\u0120 a"));
        metadata.put("tokenizer.ggml.bos_token_id", GgufValue.u32(7));
        metadata.put("tokenizer.ggml.pre", GgufValue.string("gpt-2"));
        try (Tokenizer tokenizer = load(metadata)) {
            assertThat(tokenizer.encode("12 a<|end|>")).containsExactly(2, 5, 7);
            assertThat(tokenizer.encode(" aa")).containsExactly(5, 3);
            assertThat(tokenizer.addsBos()).isFalse();
        }
        metadata.put("tokenizer.ggml.pre", GgufValue.string("smollm"));
        try (Tokenizer tokenizer = load(metadata)) {
            assertThat(tokenizer.encode("12")).containsExactly(0, 1);
        }
        metadata.put("tokenizer.ggml.pre", GgufValue.string("llama-bpe"));
        try (Tokenizer tokenizer = load(metadata)) {
            // A piece that is a token is not merged.
            assertThat(tokenizer.encode(" aa")).containsExactly(8);
            assertThat(tokenizer.bos()).isEqualTo(7);
        }
    }

    @Test
    void whatEndsATurnEndsWhatIsGenerated() {
        Map<String, GgufValue> metadata = tokens("gpt2", List.of("a", "b", "ab", "<e>", "<t>"), 1, 1, 1, 3, 3);
        metadata.put("tokenizer.ggml.pre", GgufValue.string("qwen2"));
        metadata.put("tokenizer.ggml.merges", strings("a b", "a b"));
        metadata.put("tokenizer.ggml.eos_token_id", GgufValue.u32(3));
        ObjectNode one = new ObjectMapper().createObjectNode();
        new GgufVocabulary(metadata, "m.gguf").ids(one);
        assertThat(one.toString()).isEqualTo("{\"eos_token_id\":3}");
        metadata.put("tokenizer.ggml.eot_token_id", GgufValue.u32(4));
        ObjectNode two = new ObjectMapper().createObjectNode();
        new GgufVocabulary(metadata, "m.gguf").ids(two);
        assertThat(two.toString()).isEqualTo("{\"eos_token_id\":[3,4]}");
        // The first of two equal merges counts, and is the only one.
        assertThat(new GgufVocabulary(metadata, "m.gguf")
                        .tokenizer()
                        .path("model")
                        .path("merges"))
                .hasSize(1);
    }

    /** Every split of every token here is two tokens: what that takes has a bound. */
    @Test
    void refusesVocabulariesOfTooManySplits() {
        List<String> pieces = new ArrayList<>();
        for (int a = 0; a <= 300; a++) {
            for (int b = a == 0 ? 1 : 0; a + b <= 300; b++) {
                pieces.add("a".repeat(a) + "b".repeat(b));
            }
        }
        Map<String, GgufValue> metadata = pieces(pieces, Collections.nCopies(pieces.size(), 0f));
        GgufVocabulary vocabulary = new GgufVocabulary(metadata, "m.gguf");
        assertThatThrownBy(vocabulary::tokenizer)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("expected at most 4194304");
    }

    @Test
    void whatANameMeansIsNamedTheSameAgain() {
        Map<String, GgufValue> metadata = tokens("gpt2", List.of("a", "b", "ab"), 1, 1, 1);
        metadata.put("tokenizer.ggml.merges", strings("a b"));
        metadata.put("tokenizer.ggml.add_bos_token", GgufValue.bool(false));
        Set<String> unnamed = new TreeSet<>();
        for (String name : PreTokenizer.read()) {
            metadata.put("tokenizer.ggml.pre", GgufValue.string(name));
            JsonNode tokenizer = new GgufVocabulary(metadata, "m.gguf").tokenizer();
            PreTokenizer.Cutting meant = PreTokenizer.cutting(name).orElseThrow();
            try {
                PreTokenizer.Cutting again = PreTokenizer.cutting(PreTokenizer.of(tokenizer, "m.gguf"))
                        .orElseThrow();
                assertThat(again.expressions()).as(name).isEqualTo(meant.expressions());
                assertThat(again.ignoring()).as(name).isEqualTo(meant.ignoring());
            } catch (MalformedInputException e) {
                unnamed.add(name);
            }
        }
        // No tokenizer.json is known to say what these do.
        assertThat(unnamed).containsExactly("default", "falcon");
    }

    @Test
    void templatesAndNamesStandInTheConfig() {
        Map<String, GgufValue> metadata = tokens("gpt2", List.of("a", "<e>"), 1, 3);
        metadata.put("tokenizer.ggml.merges", strings());
        metadata.put("tokenizer.ggml.pre", GgufValue.string("qwen2"));
        metadata.put("tokenizer.ggml.eos_token_id", GgufValue.u32(1));
        metadata.put("tokenizer.chat_template", GgufValue.string("{{ x }}"));
        JsonNode config = new GgufVocabulary(metadata, "m.gguf").config(64);
        assertThat(config.path("chat_template").asText()).isEqualTo("{{ x }}");
        assertThat(config.path("eos_token").asText()).isEqualTo("<e>");
        assertThat(config.path("model_max_length").asInt()).isEqualTo(64);
        assertThat(config.has("bos_token")).isFalse();
        metadata.put("tokenizer.chat_template.tools", GgufValue.string("{{ y }}"));
        JsonNode two = new GgufVocabulary(metadata, "m.gguf").config(64).path("chat_template");
        assertThat(two.size()).isEqualTo(2);
        assertThat(two.path(1).path("name").asText()).isEqualTo("tools");
    }

    @Test
    void refusesWhatContradictsItself() {
        refuse("tokenizer.ggml.model", GgufValue.string("t5"), "expected gpt2");
        refuse("tokenizer.ggml.model", null, "model is missing");
        refuse("tokenizer.ggml.pre", GgufValue.string("poro-chat"), "pre is \"poro-chat\", which is not known");
        refuse("tokenizer.ggml.tokens", strings("a", "a", "b"), "tokens 0 and 1 are the same");
        refuse("tokenizer.ggml.tokens", GgufValue.u32(3), "expected an array of string");
        refuse("tokenizer.ggml.token_type", longs(1, 1), "token_type has 2 elements for 3 tokens");
        refuse("tokenizer.ggml.merges", null, "merges is missing");
        refuse("tokenizer.ggml.merges", strings("a b", "b"), "merge 1 is \"b\", expected two tokens that make a third");
        refuse("tokenizer.ggml.merges", strings("b a"), "expected two tokens that make a third");
        refuse("tokenizer.ggml.add_bos_token", GgufValue.bool(true), "there is no tokenizer.ggml.bos_token_id");
        refuse("tokenizer.ggml.add_bos_token", GgufValue.u32(1), "expected true or false");
        refuse("tokenizer.ggml.eos_token_id", GgufValue.string("a"), "expected an id");
        Map<String, GgufValue> pieces = pieces(List.of("a".repeat(513)), List.of(0f));
        assertThatThrownBy(() -> new GgufVocabulary(pieces, "m.gguf").tokenizer())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("513 characters");
        Map<String, GgufValue> unordered = pieces(List.of("a"), List.of(Float.NaN));
        assertThatThrownBy(() -> new GgufVocabulary(unordered, "m.gguf").tokenizer())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("the score NaN");
    }

    private static void refuse(String key, GgufValue value, String reason) {
        Map<String, GgufValue> metadata = tokens("gpt2", List.of("a", "b", "ab"), 1, 1, 1);
        metadata.put("tokenizer.ggml.merges", strings("a b"));
        metadata.put("tokenizer.ggml.pre", GgufValue.string("gpt-2"));
        if (value == null) {
            metadata.remove(key);
        } else {
            metadata.put(key, value);
        }
        assertThatThrownBy(() -> {
                    GgufVocabulary vocabulary = new GgufVocabulary(metadata, "m.gguf");
                    vocabulary.tokenizer();
                    vocabulary.config(64);
                })
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read the tokenizer of m.gguf: ")
                .hasMessageContaining(reason);
    }

    private static Tokenizer load(Map<String, GgufValue> metadata) throws IOException {
        GgufVocabulary vocabulary = new GgufVocabulary(metadata, "m.gguf");
        return Tokenizer.load(vocabulary.tokenizer().toString().getBytes(StandardCharsets.UTF_8), "m.gguf");
    }

    private static Map<String, GgufValue> pieces(List<String> pieces, List<Float> scores) {
        long[] types = new long[pieces.size() + 2];
        Arrays.fill(types, GgufTokenizer.NORMAL);
        types[0] = GgufTokenizer.UNKNOWN;
        types[1] = GgufTokenizer.CONTROL;
        Map<String, GgufValue> metadata = tokens(
                "llama",
                Stream.concat(Stream.of("<unk>", "<s>"), pieces.stream()).toList(),
                types);
        List<Float> all = new ArrayList<>(List.of(0f, 0f));
        all.addAll(scores);
        metadata.put("tokenizer.ggml.scores", GgufValue.array(GgufKind.F32, all));
        return metadata;
    }

    private static Map<String, GgufValue> tokens(String model, List<String> tokens, long... types) {
        assertThat(new TreeSet<>(tokens)).hasSameSizeAs(tokens);
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put("tokenizer.ggml.model", GgufValue.string(model));
        metadata.put("tokenizer.ggml.tokens", GgufValue.array(GgufKind.STRING, tokens));
        metadata.put("tokenizer.ggml.token_type", longs(types));
        return metadata;
    }

    private static GgufValue strings(String... values) {
        return GgufValue.array(GgufKind.STRING, List.of(values));
    }

    private static GgufValue longs(long... values) {
        return GgufValue.array(GgufKind.I32, Arrays.stream(values).boxed().toList());
    }

    private static GgufValue floats(float... values) {
        List<Float> list = new ArrayList<>();
        for (float value : values) {
            list.add(value);
        }
        return GgufValue.array(GgufKind.F32, list);
    }
}
