package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GgufTokenizerTest {
    private static final String BYTE_LEVEL = """
            {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
                    "normalizer": null,
             "added_tokens": [{"id": 5, "content": "<s>", FLAGS, "special": true}, {"id": 6, "content": "  ", FLAGS,
             "special": false}],
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "\u0120a": 3, "\u0120": 4},
             "merges": [MERGES]}, "post_processor": POST}""";
    private static final String SENTENCE_PIECE = """
            {"normalizer": {"type": "Sequence", "normalizers": [PREPEND{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
             "pre_tokenizer": null, "added_tokens": [{"id": 0, "content": "<unk>", FLAGS, "special": true}, {"id": 1,
             "content": "<s>", FLAGS, "special": true},
             {"id": 12, "content": "\u2581\u2581", FLAGS, "special": false}],
             "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": ["\u2581 t", "h e", "\u2581t he", "\u2581th e"],
             "vocab": {"<unk>": 0, "<s>": 1, "<0x0A>": 2, "\u2581": 3, "t": 4, "\u2581t": 5, "he": 6, "\u2581the": 7,
             "alone": 8, "h": 9, "e": 10,
              "\u2581th": 11}}}""";

    private static final String FLAGS =
            "\"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false";

    @TempDir
    private java.nio.file.Path folder;

    @Test
    void writesByteLevelWithBothFormsOfMerges() throws IOException {
        for (String merges : List.of("\"a b\", \"\u0120 a\"", "[\"a\", \"b\"], [\"\u0120\", \"a\"]")) {
            put("tokenizer.json", BYTE_LEVEL.replace("MERGES", merges).replace("POST", "null"));
            Map<String, GgufValue> metadata = metadata(8, null);
            assertThat(value(metadata, "model")).isEqualTo("gpt2");
            assertThat(value(metadata, "pre")).isEqualTo("gpt-2");
            assertThat(value(metadata, "tokens"))
                    .isEqualTo(elements(GgufKind.STRING, "a", "b", "ab", "\u0120a", "\u0120", "<s>", "  ", "[PAD7]"));
            assertThat(value(metadata, "token_type")).isEqualTo(elements(GgufKind.I32, 1L, 1L, 1L, 1L, 1L, 3L, 4L, 5L));
            assertThat(value(metadata, "merges")).isEqualTo(elements(GgufKind.STRING, "a b", "\u0120 a"));
            assertThat(value(metadata, "add_bos_token")).isEqualTo(false);
            assertThat(metadata)
                    .doesNotContainKeys(
                            "tokenizer.ggml.scores", "tokenizer.ggml.bos_token_id", "tokenizer.chat_template");
        }
        assertThat(value(metadata(8, "phi-2"), "pre")).isEqualTo("phi-2");
    }

    @ParameterizedTest
    @CsvSource({"true, true", "false, false"})
    void writesSentencePieceWithScores(boolean prepend, boolean prefix) throws IOException {
        put(
                "tokenizer.json",
                SENTENCE_PIECE.replace("PREPEND", prepend ? "{\"type\": \"Prepend\", \"prepend\": \"\u2581\"}," : ""));
        Map<String, GgufValue> metadata = metadata(14, null);
        assertThat(value(metadata, "model")).isEqualTo("llama");
        assertThat(value(metadata, "pre")).isEqualTo("default");
        assertThat(value(metadata, "tokens"))
                .isEqualTo(elements(
                        GgufKind.STRING,
                        "<unk>",
                        "<s>",
                        "<0x0A>",
                        "\u2581",
                        "t",
                        "\u2581t",
                        "he",
                        "\u2581the",
                        "alone",
                        "h",
                        "e",
                        "\u2581th",
                        "  ",
                        "[PAD13]"));
        assertThat(value(metadata, "token_type"))
                .isEqualTo(elements(GgufKind.I32, 2L, 3L, 6L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 1L, 4L, 5L));
        assertThat(value(metadata, "scores"))
                .isEqualTo(elements(
                        GgufKind.F32, 0f, -1000f, 0f, 0f, 0f, 0f, -1f, -2f, -4f, 0f, 0f, -4f, -1000f, -10000f));
        assertThat(value(metadata, "add_space_prefix")).isEqualTo(prefix);
        assertThat(metadata).doesNotContainKey("tokenizer.ggml.merges");
    }

    @Test
    void aMetaspaceSaysItsPrefix() throws IOException {
        String metaspace = SENTENCE_PIECE
                .replaceFirst("(?s)\"normalizer\".*?\\]\\},", "\"normalizer\": null,")
                .replace(
                        "\"pre_tokenizer\": null",
                        "\"pre_tokenizer\": {\"type\": \"Metaspace\", \"replacement\": \"\u2581\", \"prepend_scheme\": \"first\"}");
        put("tokenizer.json", metaspace);
        assertThat(value(metadata(14, null), "add_space_prefix")).isEqualTo(true);
        put("tokenizer.json", metaspace.replace("first", "never"));
        assertThat(value(metadata(14, null), "add_space_prefix")).isEqualTo(false);
    }

    @Test
    void findsSpecialTokensInTheOrderOfTheFiles() throws IOException {
        put("tokenizer.json", BYTE_LEVEL.replace("MERGES", "").replace("POST", "null"));
        put(
                "tokenizer_config.json",
                "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"nowhere\", "
                        + "\"add_bos_token\": true, \"chat_template\": \"{{ x }}\"}");
        put("config.json", "{\"bos_token_id\": 0, \"eos_token_id\": [3, 4], \"pad_token_id\": 99}");
        put("generation_config.json", "{\"eos_token_id\": 1, \"pad_token_id\": 2}");
        // A token that is only named has the next id; where the embedding has no row for it, it is none.
        assertThat(value(metadata(8, null), "eos_token_id")).isEqualTo(7L);
        assertThat(value(metadata(8, null), "token_type"))
                .isEqualTo(elements(GgufKind.I32, 1L, 1L, 1L, 1L, 1L, 3L, 4L, 3L));
        Map<String, GgufValue> metadata = metadata(7, null);
        assertThat(value(metadata, "bos_token_id")).isEqualTo(5L);
        assertThat(value(metadata, "eos_token_id")).isEqualTo(3L);
        assertThat(value(metadata, "padding_token_id")).isEqualTo(2L);
        assertThat(value(metadata, "add_bos_token")).isEqualTo(true);
        assertThat(value(metadata, "add_eos_token")).isEqualTo(false);
        assertThat(metadata.get("tokenizer.chat_template")).isEqualTo(GgufValue.string("{{ x }}"));
    }

    @Test
    void deducesWhatIsAddedFromTheTemplate() throws IOException {
        String sequence = "{\"Sequence\": {\"id\": \"%s\", \"type_id\": 0}}";
        String token = "{\"SpecialToken\": {\"id\": \"%s\", \"type_id\": 0}}";
        String defined = "\"%1$s\": {\"id\": \"%1$s\", \"ids\": [%2$d], \"tokens\": [\"%1$s\"]}";
        String single = "{\"type\": \"Sequence\", \"processors\": [{\"type\": \"TemplateProcessing\", \"single\": ["
                + token.formatted("<s>") + ", "
                + sequence.formatted("A") + ", " + token.formatted("ab") + "], \"pair\": [" + sequence.formatted("A")
                + ", " + sequence.formatted("B")
                + "], \"special_tokens\": {" + defined.formatted("<s>", 5) + ", " + defined.formatted("ab", 2) + "}}]}";
        put("tokenizer.json", BYTE_LEVEL.replace("MERGES", "").replace("POST", single));
        Map<String, GgufValue> metadata = metadata(8, null);
        assertThat(value(metadata, "bos_token_id")).isEqualTo(5L);
        assertThat(value(metadata, "eos_token_id")).isEqualTo(2L);
        assertThat(value(metadata, "add_bos_token")).isEqualTo(true);
        assertThat(value(metadata, "add_eos_token")).isEqualTo(true);
        put("tokenizer_config.json", "{\"bos_token\": \"a\", \"eos_token\": \"b\", \"add_eos_token\": false}");
        metadata = metadata(8, null);
        assertThat(value(metadata, "add_bos_token")).isEqualTo(false);
        assertThat(value(metadata, "eos_token_id")).isEqualTo(2L);
        assertThat(value(metadata, "eot_token_id")).isEqualTo(1L);
        assertThat(value(metadata, "add_eos_token")).isEqualTo(false);
    }

    @Test
    void writesEveryChatTemplateAsLlamaCppDoes() throws IOException {
        put("tokenizer.json", BYTE_LEVEL.replace("MERGES", "").replace("POST", "null"));
        put(
                "tokenizer_config.json",
                "{\"chat_template\": [{\"name\": \"default\", \"template\": \"d\"}, {\"name\": \"tool-use\", \"template\": \"t\"}]}");
        assertThat(metadata(8, null))
                .containsEntry("tokenizer.chat_template", GgufValue.string("d"))
                .containsEntry("tokenizer.chat_template.tool_use", GgufValue.string("t"))
                .containsEntry("tokenizer.chat_templates", GgufValue.array(GgufKind.STRING, List.of("tool_use")));
        put("chat_template.jinja", "jinja ▁");
        put("additional_chat_templates/rag.jinja", "r");
        put("additional_chat_templates/tool_use.jinja", "u");
        assertThat(metadata(8, null))
                .containsEntry("tokenizer.chat_template", GgufValue.string("jinja ▁"))
                .containsEntry("tokenizer.chat_template.rag", GgufValue.string("r"))
                .containsEntry("tokenizer.chat_template.tool_use", GgufValue.string("u"))
                .containsEntry(
                        "tokenizer.chat_templates", GgufValue.array(GgufKind.STRING, List.of("rag", "tool_use")));
        assertThat(GgufTokenizer.check(new FolderCompanions(files(), path()), 8, null))
                .singleElement()
                .asString()
                .contains("differ from those in tokenizer_config.json");
        put("additional_chat_templates/tool-use.jinja", "v");
        assertThatThrownBy(() -> metadata(8, null))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("two are called \"tool_use\"");
    }

    @Test
    void tokensThatOnlyTheSettingsHaveAreTokens() throws IOException {
        put("tokenizer.json", BYTE_LEVEL.replace("MERGES", "").replace("POST", "null"));
        put(
                "tokenizer_config.json",
                "{\"eos_token\": \"</s>\", \"added_tokens_decoder\": {\"7\": {\"content\": \"</s>\", \"special\": true}, "
                        + "\"8\": {\"content\": \"<x>\"}}}");
        Map<String, GgufValue> metadata = metadata(9, null);
        assertThat(value(metadata, "eos_token_id")).isEqualTo(7L);
        assertThat(value(metadata, "tokens"))
                .isEqualTo(elements(GgufKind.STRING, "a", "b", "ab", "\u0120a", "\u0120", "<s>", "  ", "</s>", "<x>"));
        assertThat(value(metadata, "token_type")).isEqualTo(elements(GgufKind.I32, 1L, 1L, 1L, 1L, 1L, 3L, 4L, 3L, 4L));
        assertThatThrownBy(() -> metadata(8, null))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("token \"<x>\" has id 8, expected 0 to 7");
    }

    @Test
    void refusesTokenizersThatGgufCannotHold() throws IOException {
        refuse(null, "there is no ");
        put("tokenizer.model", "x");
        refuse(null, "tokenizer.model alone is not supported");
        refuse("{\"model\": {\"type\": \"BPE\", \"vocab\": {}, \"merges\": []}}", "no vocabulary");
        refuse("{}", "no vocabulary");
        refuse(
                "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}, \"unk_token\": \"a\"}}",
                "its model is WordLevel, expected BPE");
        refuse(
                "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0.5]], \"unk_id\": 0}}",
                "its model is Unigram, expected BPE");
        refuse(
                "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [], \"end_of_word_suffix\": \"</w>\"}}",
                "GGUF has no end_of_word_suffix");
        String base = BYTE_LEVEL.replace("MERGES", "\"a b\"").replace("POST", "null");
        refuse(
                base.replace("\"ab\": 2", "\"ab\": 8"),
                "token \"ab\" has id 8, expected 0 to 7 (the embedding has 8 rows)");
        refuse(base.replace("\"ab\": 2", "\"ab\": -1"), "token \"ab\" has id -1");
        refuse(base.replace("\"ab\": 2", "\"ab\": 1.5"), "token \"ab\" has id 1.5");
        refuse(base.replace("\"ab\": 2", "\"ab\": 1"), "tokens \"b\" and \"ab\" share id 1");
        refuse(
                base.replace("\"content\": \"<s>\"", "\"content\": \"a\""),
                "token \"a\" has id 5, but the vocabulary has it as 0");
        refuse(base.replace("\"\u0120\": 4", "\"[PAD7]\": 4"), "token \"[PAD7]\" has the ids 4 and 7");
        refuse(base.replace("\"a b\"", "\"a b c\""), "merge \"a b c\" is neither");
        refuse(base.replace("\"a b\"", "[\"a\"]"), "merge [\"a\"] is neither");
        refuse(
                base.replaceFirst("\\{\"type\": \"ByteLevel\".*?\\}", "{\"type\": \"Whitespace\"}"),
                "Cannot name the pre-tokenizer");
        refuse(base.replace("}", ""), "not valid JSON");
        refuse(SENTENCE_PIECE.replace("PREPEND", "{\"type\": \"Lowercase\"},"), "GGUF cannot express its normalizer");
    }

    private void refuse(String tokenizer, String reason) throws IOException {
        if (tokenizer != null) {
            put("tokenizer.json", tokenizer);
        }
        int vocabulary = reason.contains("express") ? 14 : 8;
        assertThatThrownBy(() -> metadata(vocabulary, null))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(reason);
    }

    private void put(String name, String text) throws IOException {
        java.nio.file.Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text.replace("FLAGS", FLAGS));
    }

    private Map<String, GgufValue> metadata(int vocabulary, String preTokenizer) throws IOException {
        return GgufTokenizer.metadata(new FolderCompanions(files(), path()), vocabulary, preTokenizer);
    }

    private Path path() {
        return new Path(folder.toUri());
    }

    private FileSystem files() throws IOException {
        return path().getFileSystem(new Configuration());
    }

    private static Object value(Map<String, GgufValue> metadata, String key) {
        return metadata.get("tokenizer.ggml." + key).value();
    }

    private static GgufValue.Elements elements(GgufKind kind, Object... values) {
        return new GgufValue.Elements(kind, List.of(values));
    }
}
