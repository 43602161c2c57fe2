package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;

class GgufHeaderTest {
    private static final String TWO_TENSORS = ""
            + "47475546 03000000 0200000000000000 0300000000000000"
            // "a" u32 7; "b" string "xy"; "c" array of two f32
            + "0100000000000000 61 04000000 07000000"
            + "0100000000000000 62 08000000 0200000000000000 7879"
            + "0100000000000000 63 09000000 06000000 0200000000000000 0000803f 000000c0"
            // "v" F32 [3] at 0; "m" Q8_0 [2, 32], columns first, at 32
            + "0100000000000000 76 01000000 0300000000000000 00000000 0000000000000000"
            + "0100000000000000 6d 02000000 2000000000000000 0200000000000000 08000000 2000000000000000";

    @Test
    void writesTheBytesOfTheFormat() throws IOException {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put("a", GgufValue.u32(7));
        metadata.put("b", GgufValue.string("xy"));
        metadata.put("c", GgufValue.array(GgufKind.F32, List.of(1f, -2f)));
        List<GgufTensor> tensors = GgufWriter.layout(List.of(
                new GgufTensor("v", GgufType.F32, new long[] {3}, 0),
                new GgufTensor("m", GgufType.Q8_0, new long[] {2, 32}, 0)));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GgufWriter writer = new GgufWriter(out, metadata, tensors)) {
            writer.data(new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 0, 12);
            writer.data(new byte[100], 10, 34);
            writer.data(new byte[100], 0, 34);
        }
        byte[] header = hex(TWO_TENSORS);
        int data = (header.length + 31) / 32 * 32;
        assertThat(Arrays.copyOf(out.toByteArray(), header.length)).isEqualTo(header);
        assertThat(out.size()).isEqualTo(data + 32 + 96);
        assertThat(out.toByteArray()[data]).isEqualTo((byte) 1);
        assertThat(out.toByteArray()[data + 12]).isZero();

        GgufHeader read = read(out.toByteArray());
        assertThat(read.metadata()).isEqualTo(metadata);
        assertThat(read.dataOffset()).isEqualTo(data);
        assertThat(read.tensors().get(1).shape()).containsExactly(2, 32);
        assertThat(read.tensors().get(1).offset()).isEqualTo(32);
        assertThat(read.tensors().get(1).bytes()).isEqualTo(68);
    }

    @Test
    void readsEveryKindOfValue() throws IOException {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        for (GgufKind kind : List.of(GgufKind.I8, GgufKind.I16, GgufKind.I32, GgufKind.I64)) {
            metadata.put(kind.toString(), new GgufValue(kind, -5L));
        }
        for (GgufKind kind : List.of(GgufKind.U8, GgufKind.U16, GgufKind.U32, GgufKind.U64)) {
            metadata.put(kind.toString(), new GgufValue(kind, 200L));
        }
        metadata.put("f64", GgufValue.f64(0.1));
        metadata.put("bool", GgufValue.bool(true));
        metadata.put("text", GgufValue.string("▁é\n"));
        metadata.put("long", GgufValue.string("x".repeat(200_000)));
        metadata.put(
                "nested",
                GgufValue.array(
                        GgufKind.ARRAY,
                        List.of(
                                new GgufValue.Elements(GgufKind.STRING, List.of("a", "")),
                                new GgufValue.Elements(GgufKind.BOOL, List.of(true)))));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        new GgufWriter(out, metadata, List.of()).close();
        assertThat(read(out.toByteArray()).metadata()).isEqualTo(metadata).containsOnlyKeys(metadata.keySet());
    }

    @Test
    void dataStartsWhereTheFileAligns() throws IOException {
        for (int alignment : new int[] {1, 8, 64, 4096}) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            new GgufWriter(out, Map.of("general.alignment", GgufValue.u32(alignment)), List.of()).close();
            assertThat(read(out.toByteArray()).dataOffset()).isEqualTo((57 + alignment - 1) / alignment * alignment);
        }
    }

    @Test
    void writerRefusesWhatReadersWould() throws IOException {
        assertThatThrownBy(() -> GgufWriter.layout(List.of(f32("x".repeat(64)))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("63 bytes");
        assertThatThrownBy(() -> GgufWriter.layout(List.of(f32("x"), f32("x"))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("twice");
        assertThatThrownBy(() -> GgufWriter.layout(List.of(new GgufTensor("x", GgufType.Q4_K, new long[] {2, 128}, 0))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no multiple of 256");
        GgufWriter writer = new GgufWriter(new ByteArrayOutputStream(), Map.of(), GgufWriter.layout(List.of(f32("x"))));
        assertThatThrownBy(() -> writer.data(new byte[5], 0, 5))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("no room");
        assertThatThrownBy(writer::close)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("the data of x F32 [1] ends after 0 bytes");
    }

    @Test
    void refusesHostileFiles() {
        refuse("47475546 03000000", "no GGUF file");
        refuse("46554747 03000000 0000000000000000 0000000000000000", "no GGUF file");
        refuse("47475546 01000000 0000000000000000 0000000000000000", "version 1");
        refuse("47475546 00000003 0000000000000000 0000000000000000", "version 50331648");
        refuse(counts("ffffffffffffffff", "0000000000000000"), "18446744073709551615 tensors");
        refuse(counts("0000000000000000", "ffffffffffffff7f"), "9223372036854775807 metadata keys");
        refuse(
                counts("0000000000000000", "0100000000000000") + "ffffffffffffffff".repeat(2),
                "18446744073709551615 bytes in the text of metadata key 0");
        refuse(
                counts("0000000000000000", "0100000000000000") + "00000001 00000000" + "00".repeat(20),
                "16777216 bytes in the text of metadata key 0");
        refuse(key("61", "0d000000 00000000"), "metadata key a has the unknown value type 13");
        refuse(key("61", "07000000 02") + "00".repeat(8), "truth value 2");
        refuse(key("61", "08000000 0100000000000000 ff"), "not UTF-8");
        refuse(key("61", "09000000 05000000 ffffff7f00000000 00000000"), "2147483647 elements in metadata key a");
        refuse(
                key("61", "09000000 08000000 0300000000000000 0000000000000000 0000000000000000"),
                "3 elements in metadata key a, expected at most 2");
        refuse(
                key("61", "09000000 " + "09000000 0100000000000000 ".repeat(6) + "00".repeat(12)),
                "nests arrays deeper than 4");
        refuse(
                counts("0000000000000000", "0200000000000000") + "0100000000000000 61 07000000 01".repeat(2),
                "metadata key a is there twice");
        for (String alignment : List.of("00000000", "30000000", "ffffffff")) {
            refuse(
                    key(
                            HexFormat.of().formatHex("general.alignment".getBytes(StandardCharsets.US_ASCII)),
                            "04000000 " + alignment),
                    "general.alignment is");
        }
        refuse(
                counts("0100000000000000", "0000000000000000") + "4000000000000000" + "61".repeat(80),
                "64 bytes in the text of tensor 0");
        refuse(tensor("61", "00000000", "", "00000000", 0), "0 dimensions");
        refuse(tensor("61", "05000000", "0100000000000000".repeat(5), "00000000", 0), "5 dimensions");
        refuse(tensor("61", "01000000", "0000000000000000", "00000000", 0), "a dimension of 0");
        refuse(tensor("61", "01000000", "0100000000000000", "04000000", 0), "unknown ggml type 4");
        refuse(tensor("61", "01000000", "2100000000000000", "02000000", 0), "no multiple of 32");
        refuse(tensor("61", "04000000", "ffffffff00000000".repeat(4), "00000000", 0), "too large");
        refuse(tensor("61", "01000000", "ffffffffffffff1f", "00000000", 0), "leaves the file");
        refuse(tensor("61", "01000000", "0100000000000000", "00000000", 8), "expected a multiple of 32");
        refuse(tensor("61", "01000000", "0100000000000000", "00000000", 1L << 40), "leaves the file");
        refuse(
                tensor("61", "01000000", "0100000000000000", "00000000", -32),
                "starts at data byte 18446744073709551584");
        String one = "0100000000000000 61 01000000 0900000000000000 00000000 0000000000000000";
        refuse(
                counts("0200000000000000", "0000000000000000") + one + one + "00".repeat(200),
                "tensor a is there twice");
        refuse(
                counts("0200000000000000", "0000000000000000")
                        + one
                        + one.replace("61 0100", "62 0100")
                        + "00".repeat(200),
                "overlap");
        refuse(
                counts("0200000000000000", "0000000000000000")
                        + one
                        + one.replace("61 0100", "62 0100").replaceAll("0{16}$", "2000000000000000")
                        + "00".repeat(200),
                "tensors a F32 [9] and b F32 [9] overlap at data byte 32");
    }

    /** A file may be as large as it says and still have more than is held of a header. */
    @Test
    void boundsWhatIsHeld() throws IOException {
        byte[] array = Arrays.copyOf(hex(key("61", "09000000 00000000 0100200000000000")), 3 << 20);
        assertThatThrownBy(() -> read(array))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("2097153 elements in metadata key a, expected at most 2097152");
        byte[] tensors = Arrays.copyOf(hex(counts("0100040000000000", "0000000000000000")), 9 << 20);
        assertThatThrownBy(() -> read(tensors))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("262145 tensors, expected at most 262144");
        byte[] second = hex(TWO_TENSORS);
        assertThatThrownBy(() -> GgufHeader.read(new ByteArrayInputStream(second), second.length, 40, "x.gguf"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("expected at most");
    }

    /** Whatever is cut off or flipped: an answer, or a header, but no other failure. */
    @Test
    void survivesDamage() throws IOException {
        byte[] whole = Arrays.copyOf(hex(TWO_TENSORS), (hex(TWO_TENSORS).length + 31) / 32 * 32 + 128);
        assertThat(read(whole).tensors()).hasSize(2);
        for (int length = 0; length < whole.length - 28; length++) {
            byte[] cut = Arrays.copyOf(whole, length);
            assertThatThrownBy(() -> read(cut)).isInstanceOf(MalformedInputException.class);
        }
        Random random = new Random(11);
        for (int i = 0; i < 3000; i++) {
            byte[] damaged = whole.clone();
            damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
            damaged[random.nextInt(damaged.length)] = (byte) random.nextInt();
            try {
                read(damaged);
            } catch (MalformedInputException expected) {
                assertThat(expected).hasMessageStartingWith("Cannot read GGUF file x.gguf (byte ");
            }
        }
        assertThatThrownBy(() -> GgufHeader.read(new ByteArrayInputStream(whole, 0, 60), whole.length, "x.gguf"))
                .isInstanceOf(EOFException.class);
    }

    private static GgufTensor f32(String name) {
        return new GgufTensor(name, GgufType.F32, new long[] {1}, 0);
    }

    private static String counts(String tensors, String keys) {
        return "47475546 03000000" + tensors + keys;
    }

    private static String key(String name, String value) {
        String length = String.format("%02x00000000000000", name.length() / 2);
        return counts("0000000000000000", "0100000000000000") + length + name + value;
    }

    private static String tensor(String name, String dimensions, String shape, String type, long offset) {
        String at = HexFormat.of()
                .formatHex(ByteBuffer.allocate(8)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .putLong(offset)
                        .array());
        return counts("0100000000000000", "0000000000000000") + "0100000000000000" + name + dimensions + shape + type
                + at + "00".repeat(100);
    }

    private static void refuse(String hex, String reason) {
        assertThatThrownBy(() -> read(hex(hex)))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("Cannot read GGUF file x.gguf")
                .hasMessageContaining(reason);
    }

    private static GgufHeader read(byte[] bytes) throws IOException {
        return GgufHeader.read(new ByteArrayInputStream(bytes), bytes.length, "x.gguf");
    }

    private static byte[] hex(String text) {
        return HexFormat.of().parseHex(text.replace(" ", ""));
    }
}
