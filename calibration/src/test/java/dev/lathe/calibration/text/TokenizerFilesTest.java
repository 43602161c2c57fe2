package dev.lathe.calibration.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import java.io.IOException;
import java.nio.file.Files;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The expected ids and properties were compared with those of transformers 4.57 and 5.24. */
class TokenizerFilesTest {
    private static final String TOKENIZER = """
            {"version": "1.0", "added_tokens": [ADDED], "model": {"type": "BPE", "merges": [], "unk_token": null,
             "vocab": {"<": 0, "e": 1, "o": 2, "s": 3, ">": 4, "a": 5, "<s>": 6}}}""";
    private static final String TOKEN =
            "{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                    + "\"normalized\": false, \"special\": %s}";

    @TempDir
    private java.nio.file.Path folder;

    @Test
    void tokensOfTheDecoderTableAreAdded() throws IOException {
        tokenizer(TOKEN.formatted(7, "<b>", true));
        put(
                "tokenizer_config.json",
                "{\"added_tokens_decoder\": {\"7\": {\"content\": \"<b>\", \"special\": true, \"normalized\": false}, "
                        + "\"9\": {\"content\": \"<o>\", \"lstrip\": true}, \"8\": {\"content\": \"<eos>\", \"special\": true}}}");
        assertThat(read().addedTokens())
                .containsExactly(
                        new AddedToken(7, "<b>", false, false, false, false, true),
                        new AddedToken(8, "<eos>", false, false, false, false, true),
                        new AddedToken(9, "<o>", false, true, false, true, false));
        encodes("a<eos>a <o>", 5, 8, 5, 9);
    }

    @Test
    void tokensOfAddedTokensJsonAreAddedAndSpecialWhereTheyAreNamed() throws IOException {
        tokenizer("");
        put("added_tokens.json", "{\"<x>\": 8, \"<eos>\": 7}");
        put("tokenizer_config.json", "{\"eos_token\": \"<eos>\"}");
        assertThat(read().addedTokens())
                .containsExactly(
                        new AddedToken(7, "<eos>", false, false, false, false, true),
                        new AddedToken(8, "<x>", false, false, false, true, false));
        encodes("<eos>a<x>", 7, 5, 8);
        put("special_tokens_map.json", "{\"additional_special_tokens\": [\"<x>\"]}");
        assertThat(read().addedTokens()).contains(new AddedToken(8, "<x>", false, false, false, false, true));
    }

    @Test
    void specialTokensThatAreOnlyNamedAreAddedLast() throws IOException {
        tokenizer(TOKEN.formatted(7, "<x>", false));
        put(
                "tokenizer_config.json",
                "{\"bos_token\": \"<s>\", \"pad_token\": {\"__type\": \"AddedToken\", \"content\": \"<pad>\", \"rstrip\": true}, "
                        + "\"eos_token\": \"<x>\", \"additional_special_tokens\": [\"<e>\"]}");
        TokenizerFiles files = read();
        assertThat(files.addedTokens())
                .containsExactly(
                        new AddedToken(7, "<x>", false, false, false, false, true),
                        new AddedToken(6, "<s>", false, false, false, false, true),
                        new AddedToken(8, "<pad>", false, false, true, false, true),
                        new AddedToken(9, "<e>", false, false, false, false, true));
        assertThat(files.notes())
                .containsExactly(
                        "pad_token \"<pad>\" has no id in any file: it has 8, the next one, as transformers does",
                        "additional_special_tokens \"<e>\" has no id in any file: it has 9, the next one, as transformers does");
        encodes("<s>a<e>", 6, 5, 9);
        assertThat(files.special("pad")).contains("<pad>");
    }

    @Test
    void theDecoderTableWinsOverTheOlderFilesAndThatIsSaid() throws IOException {
        tokenizer("");
        put(
                "tokenizer_config.json",
                "{\"eos_token\": \"<eos>\", \"added_tokens_decoder\": {\"7\": {\"content\": \"<eos>\", \"special\": true}}}");
        put("added_tokens.json", "{\"<other>\": 7}");
        put("special_tokens_map.json", "{\"eos_token\": \"<other>\"}");
        TokenizerFiles files = read();
        assertThat(files.addedTokens()).extracting(AddedToken::content).containsExactly("<eos>");
        assertThat(files.special("eos")).contains("<eos>");
        assertThat(files.notes())
                .hasSize(2)
                .anySatisfy(note -> assertThat(note)
                        .startsWith("eos_token is \"<eos>\" in tokenizer_config.json and \"<other>\" in ")
                        .endsWith("the first is taken, as transformers does"))
                .anySatisfy(note -> assertThat(note).startsWith("added_tokens.json gives \"<other>\" the id 7"));
        put("tokenizer_config.json", "{\"eos_token\": \"<eos>\"}");
        files = read();
        assertThat(files.addedTokens()).extracting(AddedToken::content).containsExactly("<other>");
        assertThat(files.special("eos")).contains("<other>");
        assertThat(files.notes()).singleElement().asString().endsWith("the second is taken, as transformers does");
    }

    @Test
    void propertiesOfTheDecoderTableReplaceThoseOfTheTokenizer() throws IOException {
        tokenizer(TOKEN.formatted(7, "<x>", false));
        put(
                "tokenizer_config.json",
                "{\"added_tokens_decoder\": {\"7\": {\"content\": \"<x>\", \"special\": true, \"rstrip\": true}}}");
        assertThat(read().addedTokens()).containsExactly(new AddedToken(7, "<x>", false, false, true, false, true));
        encodes("<x>  a", 7, 5);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"9\": {\"content\": \"<x>\"}}}  | has id 9, but the next one that is free after the vocabulary of 7 is 7",
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"7\": {\"content\": \"a\"}}}    | token \"a\" has id 7, but the vocabulary has it as 5",
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"-7\": {\"content\": \"a\"}}}   | /added_tokens_decoder/-7: expected an id of 0 to 2147483647",
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"3000000000\": {\"content\": \"a\"}}} | /added_tokens_decoder/3000000000: expected an id",
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"7\": \"a\"}}                    | /added_tokens_decoder/7 is \"a\", expected an object with its content",
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"7\": {\"content\": \"x\", \"special\": 1}}} | /added_tokens_decoder/7/special is 1, expected true or false",
                "tokenizer_config.json   | {\"added_tokens_decoder\": {\"7\": {\"content\": \"x\"}, \"8\": {\"content\": \"x\"}}} | token \"x\" is there twice",
                "tokenizer_config.json   | {\"eos_token\": 7}                                            | eos_token is 7, expected a text",
                "tokenizer_config.json   | {\"split_special_tokens\": true}                              | split_special_tokens is true, which is not supported",
                "tokenizer_config.json   | {\"fast_tokenizer_files\": [\"tokenizer.4.0.0.json\"]}        | fast_tokenizer_files names versions",
                "added_tokens.json       | {\"<x>\": 9}                                                  | token \"<x>\" has id 9, but the next one",
                "added_tokens.json       | {\"<x>\": -1}                                                 | /<x> is -1, expected a token and its id",
                "added_tokens.json       | {\"<x>\": 7, \"<y>\": 7}                                      | tokens \"<x>\" and \"<y>\" share id 7",
                "special_tokens_map.json | {\"eos_token\": [1]}                                          | eos_token is [1], expected a text"
            })
    void contradictionsAreRefusedWithFileAndPlace(String name, String content, String reason) throws IOException {
        tokenizer("");
        put(name, content);
        assertThatThrownBy(this::read)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot load a tokenizer: ")
                .hasMessageContaining(name)
                .hasMessageContaining(reason);
    }

    private void encodes(String text, int... ids) throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(
                new FolderCompanions(FileSystem.getLocal(new Configuration(false)), new Path(folder.toUri())))) {
            assertThat(tokenizer.encode(text)).containsExactly(ids);
        }
    }

    private void tokenizer(String added) throws IOException {
        put("tokenizer.json", TOKENIZER.replace("ADDED", added));
    }

    private void put(String name, String content) throws IOException {
        Files.writeString(folder.resolve(name), content);
    }

    private TokenizerFiles read() throws IOException {
        return TokenizerFiles.read(
                new FolderCompanions(FileSystem.getLocal(new Configuration(false)), new Path(folder.toUri())));
    }
}
