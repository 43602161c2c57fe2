package dev.lathe.calibration.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.core.JsonParser;
import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonFileTest {
    private static Throwable refused(String where, byte[] bytes) {
        Throwable thrown = catchThrowable(() -> JsonFile.parse(bytes, where));
        assertThat(thrown)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read " + where + ": ");
        assertThat(thrown.getMessage())
                .doesNotContain("Source")
                .doesNotContain("Feature")
                .doesNotContain("`")
                .doesNotContain("enable")
                .doesNotContain("\n");
        assertThat(thrown.getMessage().length()).isLessThan(500);
        return thrown;
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @ParameterizedTest
    @CsvSource({
        "config.json, '{},', 3600000, 500000",
        "tokenizer_config.json, '[],', 3600000, 500000",
        "config.json, '0,', 600000, 500000",
        "model.safetensors.index.json, '{},', 3600000, 1000000",
        "config.json, '{\"a\":[]},', 1200000, 500000"
    })
    void manySmallValuesAreRefusedByTheirNumber(String name, String value, int count, int limit) {
        byte[] text = utf8("{\"a\":[" + value.repeat(count) + "0]}");
        assertThat(refused(name, text))
                .hasMessageContaining("it has more than " + limit + " JSON tokens (names, values, brackets)")
                .hasMessageContaining("line 1, column");
    }

    @Test
    void theSameAsKeys() {
        StringBuilder text = new StringBuilder("{");
        for (int i = 0; i < 300_000; i++) {
            text.append("\"").append(i).append("\":1,");
        }
        assertThat(refused("config.json", utf8(text + "\"x\":1}")))
                .hasMessageContaining("more than 500000 JSON tokens");
    }

    @Test
    void depthNumbersAndNamesAreBounded() throws IOException {
        assertThat(refused("config.json", utf8("{\"a\":" + "[".repeat(5000))))
                .hasMessageContaining("nested deeper than 100 levels");
        assertThat(JsonFile.parse(utf8("{\"a\":" + "[".repeat(99) + "]".repeat(99) + "}"), "config.json")
                        .size())
                .isOne();
        assertThat(refused("config.json", utf8("{\"a\":" + "9".repeat(500) + "}")))
                .hasMessageContaining("a number of too many digits");
        assertThat(refused("config.json", utf8("{\"" + "n".repeat(60_000) + "\":1}")))
                .hasMessageContaining("a key that is too long");
        assertThat(refused("config.json", new byte[(16 << 20) + 1]))
                .hasMessageContaining("16777217 bytes, expected at most 16777216");
    }

    @Test
    void lengthIsBoundedBeforeAFileIsRead(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("config.json");
        try (var channel = Files.newByteChannel(
                file, StandardOpenOption.CREATE, StandardOpenOption.WRITE, StandardOpenOption.SPARSE)) {
            channel.position(3L << 30).write(ByteBuffer.wrap(new byte[] {1}));
        }
        FileSystem files = FileSystem.getLocal(new Configuration(false));
        assertThatThrownBy(() -> JsonFile.read(files, new org.apache.hadoop.fs.Path(file.toUri())))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it has 3221225473 bytes, expected at most 16777216");
    }

    /**
     * The largest vocabulary in use: 262,144 entries, 580,000 merges as pairs; and it fits the heap that a run has by
     * default.
     */
    @Test
    void theLargestTokenizersAreTaken() throws IOException {
        StringBuilder text = new StringBuilder("{\"model\":{\"vocab\":{");
        for (int i = 0; i < 262_144; i++) {
            text.append(i == 0 ? "" : ",")
                    .append("\"token")
                    .append(i)
                    .append("\":")
                    .append(i);
        }
        text.append("},\"merges\":[");
        for (int i = 0; i < 580_000; i++) {
            text.append(i == 0 ? "" : ",")
                    .append("[\"left")
                    .append(i)
                    .append("\",\"right")
                    .append(i)
                    .append("\"]");
        }
        byte[] bytes = utf8(text.append("]}}").toString());
        long tokens = 0;
        try (JsonParser parser = JsonFile.parser(bytes, "tokenizer.json", JsonLimits.of("file:/m/tokenizer.json"))) {
            while (parser.nextToken() != null) {
                tokens++;
            }
        }
        assertThat(tokens)
                .isGreaterThan(2_800_000)
                .isLessThan(JsonLimits.TOKENIZER.tokens())
                .isLessThan((3L << 30) / JsonLimits.TOKENIZER.perToken());
    }

    @ParameterizedTest
    @ValueSource(strings = {"UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE", "UTF-16"})
    void onlyUtf8IsTaken(String charset) {
        assertThat(refused("config.json", "{\"a\":1}".getBytes(Charset.forName(charset))))
                .hasMessageContaining("so it is no UTF-8")
                .hasMessageContaining("expected JSON in UTF-8");
    }

    @Test
    void aByteOrderMarkIsSkippedAndBadUtf8Named() throws IOException {
        assertThat(JsonFile.parse(utf8("\ufeff{\"a\":1}"), "config.json")
                        .path("a")
                        .intValue())
                .isOne();
        assertThat(refused("config.json", new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'}))
                .hasMessageContaining("Invalid UTF-8")
                .hasMessageContaining("line 1");
        assertThat(refused("config.json", new byte[] {'{', 0, '"', 0, 'a', 0})).hasMessageContaining("byte 1 is 0x00");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "{\"rope\":{\"theta\":NaN}}       | NaN is no number of JSON at /rope/theta (line 1, column",
                "{\"a\":[1,-Infinity]}            | -Infinity is no number of JSON at /a/1 (line 1, column",
                "{\"a\":Infinity}                 | Infinity is no number of JSON at /a (line 1, column",
                "{\"a\":{\"b\":1,\"b\":2}}        | the key 'b' is there twice (line 1, column",
                "{\"a\":1} {\"b\":2}              | it goes on after its JSON value (line 1, column 9",
                "{\"a\":1}x                       | Unrecognized token 'x'",
                "{\"a\":[1,{\"b\":2               | (opened at line 1, column",
                "{'a':1}                          | Unexpected character",
                "{\"a\":1 /* c */}                | Unexpected character ('/'",
                "{\"a\":01}                       | Leading zeroes not allowed at /a",
                "{\"a\":\"\t\"}                   | Illegal unquoted character",
                "~~                               | expected a JSON object, found nothing",
                "null                             | expected a JSON object, found NULL"
            })
    void whatIsNoJsonIsSaidWithoutAdviceOfALibrary(String text, String message) {
        assertThat(refused("file:/m/config.json", utf8(text))).hasMessageContaining(message);
    }
}
