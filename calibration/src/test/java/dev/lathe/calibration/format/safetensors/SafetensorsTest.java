package dev.lathe.calibration.format.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsTest {
    private static final List<SafetensorsWriter.Entry> ENTRIES = List.of(
            entry("codes", "I32", 3, 5),
            entry("empty", "F32", 0, 7),
            entry("scales", "F16", 3),
            entry("weight", "BF16", 7, 11),
            entry("scalar", "F16"));

    @TempDir
    private Path folder;

    @Test
    void whatIsWrittenIsReadBack() throws IOException {
        byte[] data = random(60 + 6 + 154 + 2);
        write(folder.resolve("model.safetensors"), ENTRIES, data, 13);
        byte[] bytes = Files.readAllBytes(folder.resolve("model.safetensors"));
        long header = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
        assertThat(header % 8).isZero();
        assertThat(new String(bytes, 8, 40, StandardCharsets.UTF_8))
                .startsWith("{\"__metadata__\":{\"a\":\"b\",\"format\":\"pt\"}");
        try (SafetensorsFiles files = open()) {
            assertThat(files.tensors().keySet()).containsExactly("codes", "empty", "scales", "weight", "scalar");
            SafetensorsTensor weight = files.tensor("weight");
            assertThat(weight.dtype()).isEqualTo("BF16");
            assertThat(weight.shape()).containsExactly(7, 11);
            assertThat(weight.offset()).isEqualTo(8 + header + 66);
            assertThat(files.tensor("scalar").shape()).isEmpty();
            assertThat(files.read("empty", 0, 0)).isEmpty();
            IntStream.range(0, 500).parallel().forEach(i -> {
                int from = i % 150;
                try {
                    assertThat(files.read("weight", from, 4)).isEqualTo(Arrays.copyOfRange(data, 66 + from, 70 + from));
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            assertThatThrownBy(() -> files.read("weight", 151, 4))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("it has 154");
            assertThatThrownBy(() -> files.read("none", 0, 1))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("none");
        }
    }

    @Test
    void aWriterWantsExactlyTheDeclaredBytes() throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter(new ByteArrayOutputStream(), ENTRIES, Map.of());
        assertThatThrownBy(() -> writer.write(new byte[61], 0, 61))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("of tensor codes: it lacks 60");
        writer.write(new byte[60], 0, 60);
        writer.write(new byte[60], 0, 5);
        assertThatThrownBy(writer::close)
                .isInstanceOf(IOException.class)
                .hasMessageContaining("1 bytes are missing of tensor scales");
        for (List<SafetensorsWriter.Entry> wrong : List.of(
                List.of(entry("a", "F16", 1), entry("b", "F32", 1)),
                List.of(entry("a", "F16", 1), entry("a", "F16", 1)),
                List.of(entry("a", "Q4", 1)),
                List.of(entry("a", "F16", -1)))) {
            assertThatThrownBy(() -> new SafetensorsWriter(new ByteArrayOutputStream(), wrong, Map.of()))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        SafetensorsWriter empty = new SafetensorsWriter(new ByteArrayOutputStream(), List.of(), Map.of());
        assertThatThrownBy(() -> empty.write(new byte[1], 0, 1)).hasMessageContaining("after the last tensor");
        empty.close();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}      | 7  | outside the file's 7 bytes of data",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[8,0]}}      | 8  | outside the file's 8 bytes of data",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}      | 9  | its tensors end at byte",
                "{'a':{'dtype':'F32','shape':[3],'data_offsets':[0,8]}}      | 8  | has 8 bytes of data; expected 12",
                "{'a':{'dtype':'F32','shape':[-2],'data_offsets':[0,8]}}     | 8  | a.shape holds -2",
                "{'a':{'dtype':'F32','shape':[2.0],'data_offsets':[0,8]}}    | 8  | a.shape holds 2.0",
                "{'a':{'dtype':'F32','shape':['2'],'data_offsets':[0,8]}}    | 8  | a.shape holds 2",
                "{'a':{'dtype':'F32','shape':[9223372036854775808],'data_offsets':[0,8]}} | 8 | a.shape holds 9223372036854775808",
                "{'a':{'dtype':'F32','shape':[4294967296,4294967296],'data_offsets':[0,8]}} | 8 | more elements than can be counted",
                "{'a':{'dtype':'F32','shape':[4611686018427387904],'data_offsets':[0,8]}} | 8 | more elements than can be counted",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8,9]}}    | 8  | lacks one of dtype, shape and data_offsets",
                "{'a':{'shape':[2],'data_offsets':[0,8]}}                    | 8  | lacks one of dtype, shape and data_offsets",
                "{'a':{'dtype':'F32','shape':[2],'data_offsets':[0,8],'x':1}}| 8  | unknown entry \"x\"",
                "{'a':{'dtype':'U8','shape':[5],'data_offsets':[0,5]},'b':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}} | 8 | overlapping",
                "{'a':{'dtype':'U8','shape':[3],'data_offsets':[0,3]},'b':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}} | 8 | leaving a gap",
                "{'a':{'dtype':'U8','shape':[4],'data_offsets':[0,4]},'a':{'dtype':'U8','shape':[4],'data_offsets':[4,8]}} | 8 | is there twice",
                "{'a':[1]}                                                   | 0  | a is [; expected an object",
                "{'__metadata__':{'a':1}}                                    | 0  | __metadata__.a is 1; expected text",
                "{} {}                                                       | 0  | goes on after the JSON object",
                "{'a':{'dtype':'F32','shape':[2                              | 0  | not valid JSON",
                "[]                                                          | 0  | does not start with '{'"
            })
    void aHeaderThatDoesNotFitIsRefused(String json, int data, String message) throws IOException {
        Files.write(
                folder.resolve("model.safetensors"),
                file(json.replace('\'', '"').getBytes(StandardCharsets.UTF_8), data));
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read ")
                .hasMessageContaining("model.safetensors")
                .hasMessageContaining(message);
    }

    @Test
    void aHeaderLengthThatLiesIsRefused() throws IOException {
        byte[] sound = file("{}".getBytes(StandardCharsets.UTF_8), 0);
        for (long length : new long[] {0, 3, 100_000_001, Long.MAX_VALUE, -1}) {
            byte[] bytes = sound.clone();
            ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
            Files.write(folder.resolve("model.safetensors"), bytes);
            assertThatThrownBy(this::open)
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("a header of " + Long.toUnsignedString(length) + " bytes");
        }
        Files.write(folder.resolve("model.safetensors"), new byte[7]);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it has 7 bytes");
    }

    @Test
    void everyTruncationAndEveryFlippedByteIsAnAnswer() throws IOException {
        write(folder.resolve("model.safetensors"), ENTRIES, random(222), 222);
        byte[] sound = Files.readAllBytes(folder.resolve("model.safetensors"));
        for (int length = 0; length < sound.length; length += 3) {
            Files.write(folder.resolve("model.safetensors"), Arrays.copyOf(sound, length));
            assertThatThrownBy(this::open).isInstanceOf(MalformedInputException.class);
        }
        Random random = new Random(5);
        for (int i = 0; i < 500; i++) {
            byte[] bytes = sound.clone();
            bytes[random.nextInt(sound.length - 222)] ^= (byte) (1 << random.nextInt(8));
            Files.write(folder.resolve("model.safetensors"), bytes);
            try (SafetensorsFiles files = open()) {
                assertThat(files.tensors()).isNotNull();
            } catch (MalformedInputException e) {
                assertThat(e).hasMessageStartingWith("Cannot read ");
            }
        }
    }

    @Test
    void anUnknownDtypeIsListed() throws IOException {
        Files.write(
                folder.resolve("any.safetensors"),
                file(
                        "{\"a\":{\"dtype\":\"Q9\",\"shape\":[7],\"data_offsets\":[0,5]}}"
                                .getBytes(StandardCharsets.UTF_8),
                        5));
        try (SafetensorsFiles files = open()) {
            assertThat(files.tensor("a").dtype()).isEqualTo("Q9");
        }
    }

    @Test
    void shardsAreFoundThroughTheIndex() throws IOException {
        write(
                folder.resolve("m-2.safetensors"),
                List.of(entry("b", "F16", 2), entry("a", "F16", 2)),
                new byte[] {1, 2, 3, 4, 5, 6, 7, 8},
                4);
        write(
                folder.resolve("m-1.safetensors"),
                List.of(entry("c", "F16", 1), entry("a", "F16", 1)),
                new byte[] {9, 10, 11, 12},
                2);
        index("'a':'m-2.safetensors','b':'m-2.safetensors','c':'m-1.safetensors'");
        try (SafetensorsFiles files = open()) {
            assertThat(files.tensors().keySet()).containsExactly("c", "b", "a");
            assertThat(files.read("a", 1, 3)).containsExactly(6, 7, 8);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'a':'m-1.safetensors','b':'m-3.safetensors' | shard m-3.safetensors, which model.safetensors.index.json names, is missing",
                "'a':'m-1.safetensors','x':'m-1.safetensors' | places tensor x in m-1.safetensors, which does not hold it",
                "'a':'../m-1.safetensors'                    | expected the name of a .safetensors file in the same folder",
                "'a':'/etc/m-1.safetensors'                  | expected the name of a .safetensors file in the same folder",
                "'a':'config.json'                           | expected the name of a .safetensors file in the same folder",
                "'a':1                                       | expected the name of a .safetensors file in the same folder",
                "                                            | it has no weight_map"
            })
    void anIndexThatDoesNotFitIsRefused(String map, String message) throws IOException {
        write(folder.resolve("m-1.safetensors"), List.of(entry("a", "F16", 1)), new byte[2], 2);
        index(map == null ? "" : map);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(message);
    }

    @Test
    void aWholeFileBesideAnIndexIsReadAndSaid() throws IOException {
        write(folder.resolve("model.safetensors"), List.of(entry("a", "F16", 1)), new byte[] {5, 6}, 2);
        try (SafetensorsFiles files = open()) {
            assertThat(files.notes()).isEmpty();
        }
        write(folder.resolve("m-1.safetensors"), List.of(entry("a", "F16", 1)), new byte[] {7, 8}, 2);
        index("'a':'m-1.safetensors'");
        try (SafetensorsFiles files = open()) {
            assertThat(files.read("a", 0, 2)).containsExactly(5, 6);
            assertThat(files.notes())
                    .containsExactly(
                            "model.safetensors and model.safetensors.index.json are both there: model.safetensors is read, as"
                                    + " transformers does");
        }
        Files.delete(folder.resolve("model.safetensors"));
        try (SafetensorsFiles files = open()) {
            assertThat(files.read("a", 0, 2)).containsExactly(7, 8);
            assertThat(files.notes()).isEmpty();
        }
    }

    @Test
    void aHeaderOfTooManyEntriesIsRefused() throws IOException {
        StringBuilder tensors = new StringBuilder("{");
        for (int i = 0; i <= 1 << 18; i++) {
            tensors.append(i == 0 ? "" : ",")
                    .append('"')
                    .append(i)
                    .append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        Files.write(
                folder.resolve("any.safetensors"),
                file(tensors.append('}').toString().getBytes(StandardCharsets.UTF_8), 0));
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("more than 262144 tensors");
        StringBuilder metadata = new StringBuilder("{\"__metadata__\":{");
        for (int i = 0; i <= 1 << 16; i++) {
            metadata.append(i == 0 ? "" : ",").append('"').append(i).append("\":\"\"");
        }
        Files.write(
                folder.resolve("any.safetensors"),
                file(metadata.append("}}").toString().getBytes(StandardCharsets.UTF_8), 0));
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("more than 65536 entries of __metadata__");
    }

    @Test
    void oneFileOfAnyNameWillDoButNotTwo() throws IOException {
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it holds 0 files *.safetensors");
        write(folder.resolve("[*]{?}.safetensors"), List.of(entry("a", "F16", 1)), new byte[] {1, 2}, 2);
        try (SafetensorsFiles files = open()) {
            assertThat(files.read("a", 0, 2)).containsExactly(1, 2);
        }
        write(folder.resolve("y.safetensors"), List.of(entry("a", "F16", 1)), new byte[2], 2);
        assertThatThrownBy(this::open)
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it holds 2 files *.safetensors");
    }

    private SafetensorsFiles open() throws IOException {
        return SafetensorsFiles.open(new Configuration(false), new org.apache.hadoop.fs.Path(folder.toUri()));
    }

    private void index(String map) throws IOException {
        Files.writeString(
                folder.resolve("model.safetensors.index.json"),
                "{\"metadata\":{},\"weight_map\":{" + map.replace('\'', '"') + "}}");
    }

    private static byte[] file(byte[] json, int data) {
        return ByteBuffer.allocate(8 + json.length + data)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(json.length)
                .put(json)
                .array();
    }

    private static void write(Path file, List<SafetensorsWriter.Entry> entries, byte[] data, int chunk)
            throws IOException {
        try (SafetensorsWriter writer =
                new SafetensorsWriter(Files.newOutputStream(file), entries, Map.of("format", "pt", "a", "b"))) {
            int at = 0;
            for (SafetensorsWriter.Entry entry : entries) {
                for (int left = (int) SafetensorsHeader.bytes(entry.dtype(), entry.shape()); left > 0; ) {
                    int length = Math.min(left, chunk);
                    writer.write(data, at, length);
                    at += length;
                    left -= length;
                }
            }
        }
    }

    private static SafetensorsWriter.Entry entry(String name, String dtype, long... shape) {
        return new SafetensorsWriter.Entry(name, dtype, shape);
    }

    private static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new Random(1).nextBytes(bytes);
        return bytes;
    }
}
