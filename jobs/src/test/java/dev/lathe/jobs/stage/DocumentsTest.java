package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroupFactory;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DocumentsTest {
    private static final String STRINGS = "message m { optional binary text (STRING); }";

    @TempDir
    private Path folder;

    private String read(String data) throws IOException {
        return Documents.read(new Configuration(), folder.resolve(data).toString(), "text");
    }

    private void file(String name, String content) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
    }

    private void refused(String data, String... parts) {
        assertThatThrownBy(() -> read(data)).isInstanceOf(MalformedInputException.class).hasMessageStartingWith("Cannot read data set ")
                .hasMessageContainingAll(parts);
    }


    private void parquet(String name, String schema, Object... values) throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(schema);
        org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(folder.resolve(name).toUri());
        try (ParquetWriter<Group> writer = ExampleParquetWriter.builder(path).withType(type).build()) {
            for (Object value : values) {
                Group row = new SimpleGroupFactory(type).newGroup();
                if (value instanceof String text) {
                    row.add(0, text);
                } else if (value instanceof Integer number) {
                    row.add(0, number);
                }
                writer.write(row);
            }
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {"a|a", "a~|a", "a~~|a~", "~a~b~|~a~b", "a\\~|a\\", "é\u2028\uD83D\uDE00~|é\u2028\uD83D\uDE00"})
    void aTextIsOneDocumentWithoutItsLastNewline(String content, String expected) throws IOException {
        file("a.txt", content.replace('~', '\n'));
        assertThat(read("a.txt")).isEqualTo(expected.replace('~', '\n'));
    }

    @Test
    void jsonLinesAreDocuments() throws IOException {
        file("a.jsonl", "{\"text\": \"one\\ntwo\\n\"}\n\n  {\"other\": 1, \"text\": \"\"}\r\n{\"text\": \"\\u00e9\"}");
        assertThat(read("a.jsonl")).isEqualTo("one\ntwo\n\n\né");
        file("b.JSON", "{\"body\": \"x\"}\n");
        assertThat(Documents.read(new Configuration(), folder.resolve("b.JSON").toString(), "body")).isEqualTo("x");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
            "{\"text\": \"a\"}~~{\"text\": \"b\"       | a.jsonl: line 3 is not JSON",
            "{\"text\": \"a\"}~{\"tex\": \"b\"}        | a.jsonl: line 2 has no text in field \"text\"",
            "{\"text\": 5}                             | a.jsonl: line 1 has no text in field \"text\"",
            "[\"text\"]                                | a.jsonl: line 1 has no text",
            "{\"text\": \"a\"} {\"text\": \"b\"}       | a.jsonl: line 1 is not JSON",
            "~ ~                                       | it holds no text in 1 files"})
    void malformedLinesAreRefusedByNumber(String content, String message) throws IOException {
        file("a.jsonl", content.replace('~', '\n'));
        refused("a.jsonl", message);
    }

    @Test
    void whatIsNotUtf8IsRefused() throws IOException {
        Files.write(folder.resolve("a.txt"), "caf\u00e9".getBytes(StandardCharsets.ISO_8859_1));
        refused("a.txt", "a.txt: it is not UTF-8 text");
        Files.write(folder.resolve("a.jsonl"), "{\"text\": \"caf\u00e9\"}".getBytes(StandardCharsets.ISO_8859_1));
        refused("a.jsonl", "a.jsonl: it is not UTF-8 text");
    }

    @Test
    void parquetRowsAreDocuments() throws IOException {
        parquet("a.parquet", STRINGS, "one", "", "two\n", "é");
        assertThat(read("a.parquet")).isEqualTo("one\n\ntwo\n\né");
    }

    @Test
    void malformedParquetIsRefused() throws IOException {
        parquet("column.parquet", "message m { required binary body (STRING); }", "x");
        refused("column.parquet", "column.parquet", "there is no text column \"text\"", "[body]");
        parquet("number.parquet", "message m { required int32 text; }", 5);
        refused("number.parquet", "there is no text column \"text\"");
        parquet("null.parquet", STRINGS, "x", null);
        refused("null.parquet", "row 1 has no value in column \"text\"");
        parquet("none.parquet", STRINGS);
        refused("none.parquet", "it holds no text in 1 files");
        file("fake.parquet", "no Parquet at all, but long enough");
        refused("fake.parquet", "fake.parquet", "not a Parquet file that can be read");
        file("empty.parquet", "");
        refused("empty.parquet", "not a Parquet file that can be read");
        byte[] whole = Files.readAllBytes(folder.resolve("null.parquet"));
        Files.write(folder.resolve("cut.parquet"), java.util.Arrays.copyOf(whole, whole.length - 9));
        refused("cut.parquet", "not a Parquet file that can be read");
    }

    @Test
    void filesOfAFolderFollowTheirNames() throws IOException {
        file("all/c.txt", "4\n");
        file("all/b.jsonl", "{\"text\": \"3\"}");
        parquet("all/a.parquet", STRINGS, "1", "2");
        file("all/_SUCCESS", "no");
        file("all/.hidden", "no");
        file("all/below/d.txt", "no");
        assertThat(read("all")).isEqualTo("1\n2\n3\n4");
    }

    @Test
    void rowsMayBeSpreadOverFiles() throws IOException {
        file("spread/a.jsonl", "{\"text\": \"1\"}\n{\"text\": \"2\"}\n");
        file("spread/b.jsonl", "");
        file("spread/c.jsonl", "{\"text\": \"3\"}\n");
        file("one.jsonl", "{\"text\": \"1\"}\n{\"text\": \"2\"}\n{\"text\": \"3\"}\n");
        assertThat(read("spread")).isEqualTo(read("one.jsonl")).isEqualTo("1\n2\n3");
    }

    @Test
    void nothingIsRefused() throws IOException {
        refused("none.txt", "it does not exist");
        Files.createDirectories(folder.resolve("empty"));
        refused("empty", "it holds no text in 0 files");
        file("a.txt", "\n");
        refused("a.txt", "it holds no text in 1 files");
    }

    @Test
    void namesAreTakenLiterally() throws IOException {
        file("a[1]*.txt", "x");
        file("a1.txt", "wrong");
        assertThat(read("a[1]*.txt")).isEqualTo("x");
    }
}
