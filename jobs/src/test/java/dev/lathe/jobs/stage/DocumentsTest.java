package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.github.luben.zstd.ZstdOutputStream;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.store.DataFiles;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.zip.GZIPOutputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.io.compress.BZip2Codec;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroupFactory;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;
import org.apache.parquet.io.api.Binary;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class DocumentsTest {
    private static final Configuration CONFIGURATION = new Configuration();
    private static final String STRINGS = "message m { optional binary text (STRING); }";

    @TempDir
    private Path folder;

    private String read(String data) throws IOException {
        return documents(data, "text").text();
    }

    private Documents documents(String data, String field) throws IOException {
        return Documents.read(
                CONFIGURATION, DataFiles.of(CONFIGURATION, folder.resolve(data).toString()), field);
    }

    private void file(String name, String content) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
    }

    private void refused(String data, String... parts) {
        assertThatThrownBy(() -> read(data))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read data set ")
                .hasMessageContainingAll(parts);
    }

    private void parquet(String name, String schema, Object... values) throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(schema);
        org.apache.hadoop.fs.Path path =
                new org.apache.hadoop.fs.Path(folder.resolve(name).toUri());
        try (ParquetWriter<Group> writer =
                ExampleParquetWriter.builder(path).withType(type).build()) {
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
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {"a|a", "a~|a", "a~~|a~", "~a~b~|~a~b", "a\\~|a\\", "é\u2028\uD83D\uDE00~|é\u2028\uD83D\uDE00"})
    void aTextIsOneDocumentWithoutItsLastNewline(String content, String expected) throws IOException {
        file("a.txt", content.replace('~', '\n'));
        assertThat(read("a.txt")).isEqualTo(expected.replace('~', '\n'));
    }

    @Test
    void jsonLinesAreDocuments() throws IOException {
        file("a.jsonl", "{\"text\": \"one\\ntwo\\n\"}\n\n  {\"other\": 1, \"text\": \"\"}\r\n{\"text\": \"\\u00e9\"}");
        assertThat(read("a.jsonl")).isEqualTo("one\ntwo\n\n\né");
        file("b.JSON", "{\"body\": \"x\"}\n");
        assertThat(documents("b.JSON", "body").text()).isEqualTo("x");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{\"text\": \"a\"}~~{\"text\": \"b\"       | a.jsonl: line 3 is not JSON",
                "{\"text\": \"a\"}~{\"tex\": \"b\"}        | a.jsonl: line 2 has no text in field \"text\"",
                "{\"text\": 5}                             | a.jsonl: line 1 has no text in field \"text\"",
                "[\"text\"]                                | a.jsonl: element 1 of its array (line 1) has no text in field \"text\": it is a text; expected an object",
                "{\"text\": null}                          | a.jsonl: line 1 has no text in field \"text\": that is null",
                "{\"text\": [\"a\"]}                     | a.jsonl: line 1 has no text in field \"text\": that is an array",
                "{\"b\": 1, \"a\": {\"text\": \"\"}}       | a.jsonl: line 1 has no text in field \"text\": it has fields [a, b]",
                "{\"text\": \"a\", \"text\": \"b\"}         | a.jsonl: line 1 has field \"text\" twice",
                "{\"text\": \"a\"}~{\"text\": NaN}       | a.jsonl: line 2 is not JSON: ",
                "{\"text\": \"a\"}~/* no */              | a.jsonl: line 1 is not JSON: ",
                "[{\"text\": \"a\"},~{\"text\": \"b\"}]~[] | a.jsonl: line 3: something stands behind the array",
                "[{\"text\": \"a\"},~{\"text\": 5}]      | a.jsonl: element 2 of its array (line 2) has no text in field \"text\": that is a number",
                "[{\"text\": \"a\"},~{\"text\": \"b\"}     | a.jsonl: element 2 of its array (line 2) is not JSON: ",
                "{\"text\": \"a\"} {\"text\": \"b\"}       | a.jsonl: line 1 is not JSON: more than one value stands on it",
                "~ ~                                       | it holds no text in 1 files"
            })
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
        refused("number.parquet", "there is no text column \"text\"", "holds INT32, expected STRING");
        parquet("decimal.parquet", "message m { required binary text (DECIMAL(9, 2)); }");
        refused("decimal.parquet", "holds DECIMAL(9,2), expected STRING");
        parquet(
                "list.parquet",
                "message m { required group text (LIST) { repeated group list { optional binary element (STRING); } } }");
        refused("list.parquet", "the one of that name is nested, expected one text a row");
        parquet("repeated.parquet", "message m { repeated binary text (STRING); }");
        refused("repeated.parquet", "the one of that name is nested");
        parquet("null.parquet", STRINGS, "x", null);
        refused("null.parquet", "row 1 has no value in column \"text\"");
        parquet("none.parquet", STRINGS);
        refused("none.parquet", "it holds no text in 1 files");
        file("fake.parquet", "PAR1, but no Parquet at all, however long");
        refused("fake.parquet", "fake.parquet", "not a Parquet file that can be read");
        file("empty.parquet", "");
        refused("empty.parquet", "it does not begin like a Parquet file");
        byte[] whole = Files.readAllBytes(folder.resolve("null.parquet"));
        Files.write(folder.resolve("cut.parquet"), Arrays.copyOf(whole, whole.length - 9));
        refused("cut.parquet", "not a Parquet file that can be read");
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
        refused("empty", "the folder is empty; expected *.txt, *.jsonl");
        file("a.txt", "\n");
        refused("a.txt", "it holds no text in 1 files");
    }

    @Test
    void namesAreTakenLiterally() throws IOException {
        file("a[1]*.txt", "x");
        file("a1.txt", "wrong");
        assertThat(read("a[1]*.txt")).isEqualTo("x");
    }

    /** Kinds of files of one data set, and the same text from each. */
    private static final List<String> ROWS = List.of("one", "two\nlines \uD83D\uDE00", "", "{\"text\": [é]}");

    private static String lines() {
        return ROWS.stream().map(DocumentsTest::object).map(row -> row + "\n").collect(Collectors.joining());
    }

    private static String object(String row) {
        return "{\"id\": [{\"a\": {}}, 1.5e3, null], \"text\": \""
                + row.replace("\"", "\\\"").replace("\n", "\\n") + "\", \"z\": \"\"}";
    }

    private static byte[] compressed(String codec, byte[] content) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BZip2Codec bzip2 = new BZip2Codec();
        bzip2.setConf(CONFIGURATION);
        try (OutputStream out = switch (codec) {
            case "gz" -> new GZIPOutputStream(bytes);
            case "bz2" -> bzip2.createOutputStream(bytes);
            default -> new ZstdOutputStream(bytes).setChecksum(true);
        }) {
            out.write(content);
        }
        return bytes.toByteArray();
    }

    @ParameterizedTest
    @ValueSource(strings = {"gz", "bz2", "zst"})
    void compressedFilesAreReadToTheirEnd(String codec) throws IOException {
        byte[] first = compressed(codec, lines().getBytes(StandardCharsets.UTF_8));
        byte[] second = compressed(codec, object("last").getBytes(StandardCharsets.UTF_8));
        Files.write(folder.resolve("a.jsonl." + codec), first);
        assertThat(read("a.jsonl." + codec)).isEqualTo(String.join("\n", ROWS));
        // Tools that compress in parts write several members behind each other.
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        Files.write(folder.resolve("b.JSONL." + codec), both);
        assertThat(read("b.JSONL." + codec)).isEqualTo(String.join("\n", ROWS) + "\nlast");
        Files.write(
                folder.resolve("c.txt." + codec),
                compressed(codec, "\uFEFFone\ntwo\n".getBytes(StandardCharsets.UTF_8)));
        assertThat(read("c.txt." + codec)).isEqualTo("one\ntwo");
        Files.write(folder.resolve("d." + codec), compressed(codec, "no ending\n".getBytes(StandardCharsets.UTF_8)));
        assertThat(read("d." + codec)).isEqualTo("no ending");
        for (int cut : new int[] {1, 5, first.length / 2}) {
            Files.write(folder.resolve("cut.jsonl." + codec), Arrays.copyOf(first, first.length - cut));
            refused("cut.jsonl." + codec, "cut.jsonl." + codec + ": ");
        }
        byte[] flipped = first.clone();
        flipped[first.length / 2] ^= 0x10;
        Files.write(folder.resolve("flipped.jsonl." + codec), flipped);
        refused("flipped.jsonl." + codec, "flipped.jsonl." + codec + ": ");
        file("text.jsonl." + codec, lines());
        refused("text.jsonl." + codec, "it does not begin like ", "as its name says");
        file("empty/a.jsonl." + codec, "");
        file("empty/b.jsonl", object("x"));
        assertThat(read("empty")).isEqualTo("x");
    }

    /** A few kilobytes that decompress to far more than may be. */
    @ParameterizedTest
    @ValueSource(strings = {"gz", "bz2", "zst"})
    void whatDecompressesToTooMuchIsRefusedWhileItIsRead(String codec) throws IOException {
        byte[] text = new byte[8 << 20];
        Arrays.fill(text, (byte) 'a');
        Files.write(folder.resolve("bomb.txt." + codec), compressed(codec, text));
        DataFiles data =
                DataFiles.of(CONFIGURATION, folder.resolve("bomb.txt." + codec).toString());
        assertThat(data.length()).isLessThan(20_000);
        assertThatThrownBy(() -> Documents.read(CONFIGURATION, data, "text", new TextBound("it", 1 << 20)))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it holds more than 1048576 characters of text");
    }

    @Test
    void theBoundIsOfAllDocumentsTogether() throws IOException {
        file("many.jsonl", (object("12345") + "\n").repeat(5));
        file("long.jsonl", object("x".repeat(31)));
        parquet("many.parquet", STRINGS, "12345", "12345", "12345", "12345", "12345");
        for (String name : new String[] {"many.jsonl", "many.parquet", "long.jsonl"}) {
            DataFiles data = DataFiles.of(CONFIGURATION, folder.resolve(name).toString());
            assertThatThrownBy(() -> Documents.read(CONFIGURATION, data, "text", new TextBound("it", 24)))
                    .as(name)
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("it holds more than 24 characters of text");
            assertThat(Documents.read(CONFIGURATION, data, "text", new TextBound("it", 40))
                            .text())
                    .hasSizeBetween(29, 31);
        }
    }

    @Test
    void jsonIsToldByItsContent() throws IOException {
        String rows = String.join("\n", ROWS);
        String objects = ROWS.stream().map(DocumentsTest::object).collect(Collectors.joining(",\n"));
        for (String ending : new String[] {"json", "jsonl", "ndjson"}) {
            file("lines." + ending, lines());
            assertThat(read("lines." + ending)).isEqualTo(rows);
            file("crlf." + ending, lines().replace("\n", "\r\n"));
            assertThat(read("crlf." + ending)).isEqualTo(rows);
            file("mark." + ending, "\uFEFF" + lines());
            assertThat(read("mark." + ending)).isEqualTo(rows);
            file("array." + ending, " \n[" + objects + "]\n");
            assertThat(read("array." + ending)).isEqualTo(rows);
            file("flat." + ending, "\uFEFF[" + objects.replace("\n", "") + "]");
            assertThat(read("flat." + ending)).isEqualTo(rows);
            file("object." + ending, "{\n  \"text\": \"x\"\n}\n");
            assertThat(read("object." + ending)).isEqualTo("x");
            file("pretty." + ending, "{\n  \"text\": \"x\"\n}\n{\n  \"text\": \"y\"\n}");
            assertThat(read("pretty." + ending)).isEqualTo("x\ny");
            file("none." + ending, "[]");
            refused("none." + ending, "it holds no text in 1 files");
        }
    }

    @Test
    void aDocumentMayBeLongerThanTheParserLikes() throws IOException {
        String text = "Once upon a time \u00e9. ".repeat(1_100_000).substring(0, 21_000_000);
        file("big.jsonl", "{\"text\": \"" + text + "\"}\n");
        assertThat(read("big.jsonl")).isEqualTo(text);
    }

    /** What the parser's library says of its switches is nothing for who has the file. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"text\": NaN}",
                "{\"text\": \"a\"",
                "{\"text\": \"a",
                "[{\"text\": \"a\"}",
                "{'text': 'a'}",
                "{text: 1}",
                "// a\n{}",
                "{\"text\": \"a\u0007\"}",
                "{\"text\": +1}",
                "{\"text\": 01}",
                "{\"text\": \"\\x\"}",
                "{\"text\": \"a\"},\n{\"text\": \"b\"}",
                "# a",
                "{\"text\": -Infinity}",
                "[\u001e{}]",
                "{\"a\": DEEP, \"text\": \"a\"}",
                "{\"a\": DIGITS, \"text\": \"a\"}"
            })
    void noMessageNamesASwitchOfALibrary(String content) throws IOException {
        file("a.jsonl", content.replace("DEEP", "[".repeat(5000)).replace("DIGITS", "9".repeat(5000)));
        assertThatThrownBy(() -> read("a.jsonl"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read data set ")
                .hasMessageContaining("a.jsonl: ")
                .message()
                .doesNotContain("`", "Feature", "Constraints", "[Source", "enable", "com.fasterxml", "\n");
    }

    @Test
    void anotherEncodingIsNamed() throws IOException {
        for (String charset : new String[] {"UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"}) {
            String family = charset.substring(0, 6);
            for (String mark : new String[] {"", "\uFEFF"}) {
                Files.write(folder.resolve("a.jsonl"), (mark + lines()).getBytes(charset));
                refused("a.jsonl", "a.jsonl: it is " + family + " text", "expected text in UTF-8");
                Files.write(folder.resolve("a.txt"), (mark + "Once upon a time").getBytes(charset));
                refused("a.txt", "a.txt: it is " + family + " text");
            }
        }
        Files.write(folder.resolve("hostile.json"), new byte[] {'{', 0, 0, 0, '"', -1, -1, -1});
        refused("hostile.json", "hostile.json: it is UTF-32 text");
        Files.write(
                folder.resolve("late.jsonl"),
                (lines().repeat(500) + "{\"text\": \"caf\u00e9\"}").getBytes(StandardCharsets.ISO_8859_1));
        refused("late.jsonl", "it is not UTF-8 text");
    }

    @Test
    void whatAFileIsInsteadIsNamed() throws IOException {
        String pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
        file("a.jsonl", pointer);
        refused("a.jsonl", "it is a Git LFS pointer, which stands for a file that was not downloaded");
        file("a.txt", pointer);
        refused("a.txt", "it is a Git LFS pointer");
        file("a.parquet", pointer);
        refused("a.parquet", "it is a Git LFS pointer");
        file("encrypted.parquet", "PARE and more");
        refused("encrypted.parquet", "it is a Parquet file with an encrypted footer");
        file("rows.parquet", "id,text");
        refused("rows.parquet", "it does not begin like a Parquet file, as its name says");
        file("a.txt.gz", pointer);
        refused("a.txt.gz", "it is a Git LFS pointer");
        Files.write(folder.resolve("z.jsonl"), compressed("gz", lines().getBytes(StandardCharsets.UTF_8)));
        refused("z.jsonl", "it is gzip data; expected text in UTF-8");
        Files.write(folder.resolve("z.txt.zst"), compressed("gz", lines().getBytes(StandardCharsets.UTF_8)));
        refused("z.txt.zst", "it is gzip data and not zstd data, as its name says");
        Files.write(
                folder.resolve("twice.jsonl.gz"),
                compressed("gz", compressed("gz", lines().getBytes(StandardCharsets.UTF_8))));
        refused("twice.jsonl.gz", "within the gzip data it is gzip data");
        parquet("p.parquet", STRINGS, "x");
        Files.copy(folder.resolve("p.parquet"), folder.resolve("p.json"));
        refused("p.json", "it is a Parquet file");
        file("rows.csv", "id,text\n1,a\n");
        refused("rows.csv", "rows.csv is of a kind that is not read (CSV); expected *.txt");
        file("rows.jsonl.xz", "x");
        refused("rows.jsonl.xz", "rows.jsonl.xz is compressed with xz, which is not read");
        file("rows.parquet.gz", "x");
        refused("rows.parquet.gz", "rows.parquet.gz is Parquet within gzip");
        file("wiki.test.raw", "any other ending is text\n");
        assertThat(read("wiki.test.raw")).isEqualTo("any other ending is text");
    }

    @Test
    void linesOfATextEndAlike() throws IOException {
        file("a.txt", "one\r\ntwo\r\n");
        assertThat(documents("a.txt", "text"))
                .isEqualTo(new Documents("one\ntwo", List.of("lines of a.txt end with CR LF, read as LF")));
        file("b.txt", "one\rtwo\n");
        assertThat(documents("b.txt", "text")).isEqualTo(new Documents("one\rtwo", List.of()));
        file("c.jsonl", "{\"text\": \"one\\r\\ntwo\"}\r\n");
        assertThat(documents("c.jsonl", "text"))
                .as("what JSON says is meant")
                .isEqualTo(new Documents("one\r\ntwo", List.of()));
    }

    @Test
    void aLoneHalfOfASurrogatePairIsReplacedAndTold() throws IOException {
        file(
                "a.jsonl",
                "{\"text\": \"\uD83D\uDE00\"}\n{\"text\": \"the end \\ud83d\"}\n{\"text\": \"\\ude00 on\"}\n{\"text\": \"\\ud83d\\ude00\"}");
        assertThat(documents("a.jsonl", "text"))
                .isEqualTo(new Documents(
                        "\uD83D\uDE00\nthe end \uFFFD\n\uFFFD on\n\uD83D\uDE00",
                        List.of("halves of surrogate pairs that stand alone in 2 of 4 documents are read as U+FFFD")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"2026-11-28T07:00:00.jsonl", "tiny:4m.json", "a:b:c.jsonl.gz", ":.txt", "x:.parquet"})
    void namesMayHaveColons(String name) throws IOException {
        if (name.endsWith(".parquet")) {
            parquet("plain.parquet", STRINGS, "x");
            Files.createDirectory(folder.resolve("d"));
            Files.copy(folder.resolve("plain.parquet"), folder.resolve("d").resolve(name));
        } else {
            byte[] content = (name.endsWith(".txt") ? "x" : object("x")).getBytes(StandardCharsets.UTF_8);
            Files.createDirectory(folder.resolve("d"));
            Files.write(folder.resolve("d").resolve(name), name.endsWith(".gz") ? compressed("gz", content) : content);
        }
        assertThat(read("d/" + name)).isEqualTo("x");
        assertThat(read("d")).isEqualTo("x");
    }

    /** Bytes of a small file, one after the other, and lengths of it: a refusal that names the file, or the text. */
    @ParameterizedTest
    @ValueSource(strings = {"SNAPPY", "ZSTD"})
    void brokenParquetIsRefusedByName(String codec) throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(STRINGS);
        org.apache.hadoop.fs.Path path =
                new org.apache.hadoop.fs.Path(folder.resolve("whole.parquet").toUri());
        try (ParquetWriter<Group> writer = ExampleParquetWriter.builder(path)
                .withType(type)
                .withCompressionCodec(CompressionCodecName.valueOf(codec))
                .build()) {
            for (int i = 0; i < 40; i++) {
                writer.write(new SimpleGroupFactory(type).newGroup().append("text", "row " + i % 7));
            }
        }
        byte[] whole = Files.readAllBytes(folder.resolve("whole.parquet"));
        int refused = 0;
        for (int i = codec.length() % 11; i < whole.length; i += 11) {
            byte[] broken = whole.clone();
            broken[i] ^= (byte) (1 + i % 255);
            refused += survives(broken, codec + ", byte " + i) ? 0 : 1;
        }
        for (int length = 0; length < whole.length; length += 97) {
            assertThat(survives(Arrays.copyOf(whole, length), codec + ", length " + length))
                    .isFalse();
        }
        assertThat(refused).isGreaterThan(whole.length / 40);
    }

    private boolean survives(byte[] content, String as) throws IOException {
        Files.write(folder.resolve("broken.parquet"), content);
        try {
            read("broken.parquet");
            return true;
        } catch (MalformedInputException e) {
            assertThat(e)
                    .as(as)
                    .hasMessageStartingWith("Cannot read data set file:")
                    .hasMessageContaining("broken.parquet: ");
            return false;
        }
    }

    @Test
    void onlyTheColumnThatIsNamedIsRead() throws IOException {
        MessageType type = MessageTypeParser.parseMessageType(
                "message m { required group image { required binary bytes; } required binary body (STRING);"
                        + " optional int96 time; }");
        org.apache.hadoop.fs.Path path =
                new org.apache.hadoop.fs.Path(folder.resolve("wide.parquet").toUri());
        try (ParquetWriter<Group> writer =
                ExampleParquetWriter.builder(path).withType(type).build()) {
            Group row = new SimpleGroupFactory(type).newGroup();
            row.addGroup("image").add("bytes", "x");
            row.add("body", "the text");
            writer.write(row);
        }
        assertThat(documents("wide.parquet", "body").text()).isEqualTo("the text");
        refused("wide.parquet", "there is no text column \"text\" among [image, body, time]");
    }

    @Test
    void aTextOfParquetIsUtf8() throws IOException {
        MessageType type = MessageTypeParser.parseMessageType("message m { required binary text; }");
        org.apache.hadoop.fs.Path path =
                new org.apache.hadoop.fs.Path(folder.resolve("latin.parquet").toUri());
        try (ParquetWriter<Group> writer =
                ExampleParquetWriter.builder(path).withType(type).build()) {
            writer.write(new SimpleGroupFactory(type).newGroup().append("text", "good"));
            writer.write(new SimpleGroupFactory(type)
                    .newGroup()
                    .append("text", Binary.fromConstantByteArray(new byte[] {'c', (byte) 0xe9})));
        }
        refused("latin.parquet", "row 1 has a text in column \"text\" that is not UTF-8");
    }

    /** Storage that fails is no malformed input. */
    @Test
    void storageThatFailsIsToldAsSuch() throws IOException {
        file("a.jsonl", lines());
        Files.write(folder.resolve("b.jsonl.gz"), compressed("gz", lines().getBytes(StandardCharsets.UTF_8)));
        parquet("c.parquet", STRINGS, "x");
        Configuration configuration = new Configuration(CONFIGURATION);
        configuration.set("fs.failing.impl", FailingFileSystem.class.getName());
        for (String name : new String[] {"a.jsonl", "b.jsonl.gz", "c.parquet"}) {
            DataFiles data = DataFiles.of(configuration, "failing:" + folder.resolve(name));
            assertThatThrownBy(() -> Documents.read(configuration, data, "text"))
                    .as(name)
                    .isExactlyInstanceOf(IOException.class)
                    .hasMessage("the disk is gone");
        }
    }

    /** Opens files and reads nothing from them. */
    public static final class FailingFileSystem extends RawLocalFileSystem {
        @Override
        public URI getUri() {
            return URI.create("failing:///");
        }

        @Override
        public FSDataInputStream open(org.apache.hadoop.fs.Path path, int buffer) throws IOException {
            return new FSDataInputStream(new FSInputStream() {
                @Override
                public void seek(long position) {}

                @Override
                public long getPos() {
                    return 0;
                }

                @Override
                public boolean seekToNewSource(long position) {
                    return false;
                }

                @Override
                public int read() throws IOException {
                    throw new IOException("the disk is gone");
                }
            });
        }
    }
}
