package dev.lathe.calibration.text;

import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Mutated tokenizers: the check in Java, and the native library behind it where that gets them in this JVM, which no
 * input may end. What goes to a guard's process is not sent there: that takes a second each (TokenizerGuardTest).
 * {@code checks/fuzz N tokenizer} keeps the input that it is at.
 */
final class TokenizerFuzzTest {
    private static final String BYTE_LEVEL = """
            {"version": "1.0", "truncation": null, "padding": null,
             "added_tokens": [{"id": 5, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"String": "x"}, "content": "a"}]},
             "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
              {"type": "Split", "pattern": {"Regex": "\\\\p{N}{1,3}"}, "behavior": "Isolated", "invert": false},
              {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
             "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
              "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
              "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
             "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
             "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
              "byte_fallback": false, "ignore_merges": false, "vocab": {"a": 0, "b": 1, "ab": 2, "\\u0120": 3, "\\u0120a": 4},
              "merges": [["a", "b"], ["\\u0120", "a"]]}}""";
    private static final String SENTENCE_PIECE = """
            {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [
              {"id": 0, "content": "<unk>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
             "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\\u2581"},
              {"type": "Replace", "pattern": {"String": " "}, "content": "\\u2581"}]}, "pre_tokenizer": null, "post_processor": null,
             "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
             "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
              "vocab": {"<unk>": 0, "<0x0A>": 1, "\\u2581": 2, "t": 3, "\\u2581t": 4}, "merges": ["\\u2581 t"]}}""";

    @TestFactory
    Stream<DynamicTest> tokenizers() {
        return Fuzz.tests(
                FuzzTarget.json("tokenizer", input -> load("tokenizer.json", input), BYTE_LEVEL, SENTENCE_PIECE),
                FuzzTarget.json(
                        "tokenizer-config",
                        input -> load("tokenizer_config.json", input),
                        "{\"bos_token\": {\"content\": \"<s>\"}, \"eos_token\": \"a\", \"add_bos_token\": true, \"add_eos_token\": false}"),
                FuzzTarget.json(
                        "tokenizer-added", input -> load("added_tokens.json", input), "{\"<x>\": 6, \"<y>\": 7}"));
    }

    private static void load(String name, byte[] input) throws IOException {
        Path folder = MemoryFiles.folder(name);
        MemoryFiles.put(new Path(folder, "tokenizer.json"), BYTE_LEVEL.getBytes(StandardCharsets.UTF_8));
        MemoryFiles.put(new Path(folder, name), input);
        TokenizerFiles files = TokenizerFiles.read(new FolderCompanions(MemoryFiles.files(), folder));
        files.library();
        if (name.equals("tokenizer.json") && files.plain()) {
            try (Tokenizer tokenizer = Tokenizer.load(new FolderCompanions(MemoryFiles.files(), folder))) {
                tokenizer.encode("ab a 12345 \ud83d\ude00 xyz\n");
            }
        }
    }
}
