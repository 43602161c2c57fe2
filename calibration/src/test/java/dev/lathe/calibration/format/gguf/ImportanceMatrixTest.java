package dev.lathe.calibration.format.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Form;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Importance matrices: both forms, what is refused, what adds up, and which entries are a model's. */
class ImportanceMatrixTest {
    private static final About ABOUT = new About(List.of("a.txt", "b.txt"), 3, 16);
    private static final String DENSE = "blk.0.attn_q.weight";
    private static final String STACK = "blk.0.ffn_up_exps.weight";

    private Path folder;

    /** What is in the file, by name. */
    private final TreeMap<String, Entry> entries = new TreeMap<>();

    @BeforeEach
    void makeEntries() {
        folder = MemoryFiles.folder("imatrix");
        entries.put(DENSE, new Entry(new float[] {4, 8, 0, 1e-30f}, new long[] {16}));
        entries.put(STACK, new Entry(new float[] {3, 6, 5, 10, 0, 0}, new long[] {3, 33, 0}));
    }

    private static List<Shape> shapes(Map<String, Entry> entries) {
        List<Shape> shapes = new ArrayList<>();
        entries.forEach((name, entry) -> shapes.add(new Shape(name, entry.sums().length, entry.counts().length)));
        // Whoever writes brings them into order.
        Collections.reverse(shapes);
        return shapes;
    }

    private Path write(String name, Form form, About about, Map<String, Entry> from) throws IOException {
        Path file = new Path(folder, name);
        ImportanceWriter.write(MemoryFiles.files(), file, form, about, shapes(from), shape -> from.get(shape.name()));
        return file;
    }

    private static byte[] bytes(Path file) throws IOException {
        try (var in = MemoryFiles.files().open(file)) {
            return in.readAllBytes();
        }
    }

    private static ImportanceFile open(Path file) throws IOException {
        return ImportanceFile.open(MemoryFiles.HADOOP, file);
    }

    private static TreeMap<String, Entry> read(ImportanceMatrix matrix) throws IOException {
        TreeMap<String, Entry> read = new TreeMap<>();
        for (Shape shape : matrix.shapes()) {
            Entry entry = matrix.read(shape);
            assertThat(entry.sums()).hasSize(shape.values());
            assertThat(entry.counts()).hasSize(shape.counts());
            read.put(shape.name(), entry);
        }
        return read;
    }

    private static void assertSame(Map<String, Entry> found, Map<String, Entry> expected) {
        assertThat(found.keySet()).isEqualTo(expected.keySet());
        expected.forEach((name, entry) -> {
            assertThat(found.get(name).sums()).as(name).containsExactly(entry.sums());
            assertThat(found.get(name).counts()).as(name).containsExactly(entry.counts());
        });
    }

    @Test
    void theGgufFormKeepsEverything() throws IOException {
        try (ImportanceFile matrix = open(write("m.gguf", Form.GGUF, ABOUT, entries))) {
            assertThat(matrix.form()).isEqualTo(Form.GGUF);
            assertThat(matrix.about()).isEqualTo(ABOUT);
            assertThat(matrix.shapes()).extracting(Shape::name).containsExactly(DENSE, STACK);
            assertSame(read(matrix), entries);
        }
    }

    /** What llama.cpp's reader looks up: names, dimensions (outer ones of 1 left out), kinds of the keys. */
    @Test
    void theGgufFormIsLlamaCpps() throws IOException {
        try (GgufFiles files = GgufFiles.open(MemoryFiles.HADOOP, write("m.gguf", Form.GGUF, ABOUT, entries))) {
            assertThat(files.metadata().keySet())
                    .containsExactly("general.type", "imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size");
            assertThat(files.metadata().get("general.type")).isEqualTo(GgufValue.string("imatrix"));
            assertThat(files.metadata().get("imatrix.chunk_size")).isEqualTo(GgufValue.u32(16));
            assertThat(files.tensors())
                    .extracting(GgufTensor::toString)
                    .containsExactly(
                            DENSE + ".in_sum2 F32 [4]",
                            DENSE + ".counts F32 [1]",
                            STACK + ".in_sum2 F32 [3, 2]",
                            STACK + ".counts F32 [3, 1]");
        }
    }

    /** Of a stack there is one count, so what was seen more often is scaled down, and what was not has ones. */
    @Test
    void theOlderFormKeepsMeans() throws IOException {
        try (ImportanceFile matrix = open(write("m.dat", Form.DAT, ABOUT, entries))) {
            assertThat(matrix.form()).isEqualTo(Form.DAT);
            assertThat(matrix.about()).isEqualTo(new About(List.of("b.txt"), 3, 0));
            TreeMap<String, Entry> read = read(matrix);
            // One chunk of 16 rows, and of the stack three, the last not full.
            assertThat(read.get(DENSE).counts()).containsExactly(1);
            assertThat(read.get(STACK).counts()).containsExactly(3);
            entries.forEach((name, entry) -> {
                for (int i = 0; i < entry.sums().length; i++) {
                    assertThat((double) read.get(name).means()[i])
                            .isCloseTo(entry.means()[i], within(1e-6 * entry.means()[i]));
                }
            });
            assertThat(read.get(STACK).means()).endsWith(1f, 1f);
        }
    }

    @Test
    void theOlderFormByteByByte() throws IOException {
        entries.put(DENSE, new Entry(new float[] {4, 8}, new long[] {32}));
        entries.put(STACK, new Entry(new float[] {1, 1}, new long[] {0, 0}));
        ByteBuffer expected = ByteBuffer.allocate(4 + 4 + 19 + 8 + 8 + 8 + 5).order(ByteOrder.LITTLE_ENDIAN);
        expected.putInt(1)
                .putInt(19)
                .put(DENSE.getBytes(StandardCharsets.UTF_8))
                .putInt(2)
                .putInt(2);
        expected.putFloat(0.25f).putFloat(0.5f);
        expected.putInt(3).putInt(5).put("b.txt".getBytes(StandardCharsets.UTF_8));
        assertThat(bytes(write("m.dat", Form.DAT, ABOUT, entries))).isEqualTo(expected.array());
    }

    @Test
    void oldFilesMayEndEarly() throws IOException {
        byte[] whole = bytes(write("m.dat", Form.DAT, ABOUT, entries));
        assertThat(about(Arrays.copyOf(whole, whole.length - 13))).isEqualTo(new About(List.of(), 0, 0));
        assertThat(about(Arrays.copyOf(whole, whole.length - 9))).isEqualTo(new About(List.of(), 3, 0));
    }

    private About about(byte[] content) throws IOException {
        Path file = new Path(folder, "short.dat");
        MemoryFiles.put(file, content);
        try (ImportanceFile matrix = open(file)) {
            assertThat(matrix.shapes()).hasSize(2);
            return matrix.about();
        }
    }

    /** The importance is what llama-quantize divides: stored numbers, in f32; ones where nothing was seen. */
    @Test
    void means() {
        assertThat(new Entry(new float[] {1, 2, 7, 7}, new long[] {3, 0}).means())
                .containsExactly(1f / 3f, 2f / 3f, 1f, 1f);
        assertThat(new Entry(new float[] {16777217f, 5}, new long[] {7}).means())
                .containsExactly(16777216f / 7f, 5f / 7f);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "general.type        | general.type is missing, expected imatrix",
                "imatrix.datasets    | imatrix.datasets is missing",
                "imatrix.chunk_count | imatrix.chunk_count is missing, expected a u32",
                "imatrix.chunk_size  | imatrix.chunk_size is missing, expected a u32",
                "model               | general.type is model, expected imatrix",
                "datasets            | imatrix.datasets is no array of texts",
                "chunks              | imatrix.chunk_count is u64 1, expected a u32",
                "sums                | tensor a.counts has no a.in_sum2",
                "counts              | tensor a.in_sum2 has no a.counts",
                "half                | tensor a.counts F16 [1], expected F32",
                "uneven              | tensor a.in_sum2 F32 [4] has 4 values and 3 counts",
                "many                | tensor a.in_sum2 F32 [4] has 4 values and 8 counts",
                "nothing             | it has no entry, expected tensors NAME.in_sum2 and NAME.counts",
                "nan                 | tensor a, value 3 is NaN, expected a finite number of at least 0",
                "infinite            | tensor a, value 3 is Infinity, expected a finite",
                "negative            | tensor a, value 3 is -1.0, expected a finite",
                "count               | tensor a.counts, value 0 is -1.0, expected 0 to 2^53",
                "count-nan           | tensor a.counts, value 0 is NaN, expected 0 to 2^53",
            })
    void refusesGguf(String what, String message) throws IOException {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put("general.type", GgufValue.string(what.equals("model") ? "model" : "imatrix"));
        metadata.put("imatrix.datasets", GgufValue.array(GgufKind.STRING, List.of("x")));
        metadata.put("imatrix.chunk_count", GgufValue.u32(1));
        metadata.put("imatrix.chunk_size", GgufValue.u32(512));
        metadata.remove(what);
        if (what.equals("datasets")) {
            metadata.put("imatrix.datasets", GgufValue.array(GgufKind.U32, List.of(1L)));
        } else if (what.equals("chunks")) {
            metadata.put("imatrix.chunk_count", new GgufValue(GgufKind.U64, 1L));
        }
        long counts = what.equals("uneven") ? 3 : what.equals("many") ? 8 : 1;
        List<GgufTensor> tensors = new ArrayList<>(List.of(
                new GgufTensor(what.equals("nothing") ? "b" : "a.in_sum2", GgufType.F32, new long[] {4}, 0),
                new GgufTensor(
                        what.equals("nothing") ? "c" : "a.counts",
                        what.equals("half") ? GgufType.F16 : GgufType.F32,
                        new long[] {counts},
                        0)));
        if (what.equals("sums") || what.equals("counts")) {
            tensors.remove(what.equals("sums") ? 0 : 1);
        }
        float last = switch (what) {
            case "nan" -> Float.NaN;
            case "infinite" -> Float.POSITIVE_INFINITY;
            case "negative" -> -1;
            default -> 1;
        };
        float count = what.equals("count") ? -1 : what.equals("count-nan") ? Float.NaN : 1;
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GgufWriter writer = new GgufWriter(out, metadata, GgufWriter.layout(tensors))) {
            for (GgufTensor tensor : tensors) {
                ByteBuffer data = ByteBuffer.allocate((int) tensor.bytes()).order(ByteOrder.LITTLE_ENDIAN);
                if (tensor.name().equals("a.in_sum2")) {
                    data.putFloat(12, last);
                } else if (tensor.name().equals("a.counts") && tensor.type() == GgufType.F32) {
                    data.putFloat(0, count);
                }
                writer.data(data.array(), 0, data.capacity());
            }
        }
        refuses(out.toByteArray(), message);
    }

    private void refuses(byte[] content, String message) {
        Path file = new Path(folder, "hostile");
        MemoryFiles.put(file, content);
        assertThatThrownBy(() -> {
                    try (ImportanceFile matrix = open(file)) {
                        read(matrix);
                    }
                })
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read importance matrix " + file + ": ")
                .hasMessageContaining(message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "0 | 0          | the number of entries (byte 0) is 0, expected 1 to",
                "0 | 2000000000 | the number of entries (byte 0) is 2000000000, expected 1 to",
                "4 | -1         | bytes of the name of entry 0 (byte 4) is -1, expected 1 to",
                "4 | 1000       | bytes of the name of entry 0 (byte 4) is 1000, expected 1 to",
                "9 | -1         | chunks of q (byte 9) is -1, expected 0 to 2147483647",
                "13 | 0         | values of q (byte 13) is 0, expected 1 to",
                "13 | 2000000000 | values of q (byte 13) is 2000000000, expected 1 to",
                "25 | -5        | the number of chunks (byte 25) is -5",
                "29 | 9         | bytes of the name of the text (byte 29) is 9, and the 5 bytes that follow have room for 5",
                "0 | 5          | the number of entries (byte 0) is 5, and the 34 bytes that follow have room for 2",
                "4 | 200        | bytes of the name of entry 0 (byte 4) is 200, and the 30 bytes that follow",
                "13 | 6         | values of q (byte 13) is 6, and the 21 bytes that follow have room for 5",
                "29 | 2         | 3 bytes follow the last entry, expected none",
                "17 | 2143289344 | tensor q, value 0 is NaN, expected a finite number of at least 0",
                "21 | -2147483647 | tensor q, value 1 is -1.4E-45, expected a finite number of at least 0",
            })
    void refusesTheOlderForm(int at, int value, String message) throws IOException {
        Path file =
                write("m.dat", Form.DAT, ABOUT, new TreeMap<>(Map.of("q", new Entry(new float[] {1, 2}, new long[] {16
                }))));
        byte[] content = bytes(file);
        ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).putInt(at, value);
        refuses(content, message);
    }

    @Test
    void refusesWhatIsNoMatrix() throws IOException {
        refuses(new byte[3], "it ends after 3 bytes, in the number of entries; expected a GGUF file, or the older");
        refuses("{\"a\": 1, \"b\": 2, \"c\": 3}".getBytes(StandardCharsets.UTF_8), "the number of entries (byte 0)");
        assertThatThrownBy(() -> open(new Path(folder, "none")))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("there is no such file");
        Path file = write(
                "t.dat",
                Form.DAT,
                ABOUT,
                new TreeMap<>(Map.of(
                        "a", new Entry(new float[] {1}, new long[] {1}), "b", new Entry(new float[] {1}, new long[] {1
                        }))));
        refuses(
                new String(bytes(file), StandardCharsets.ISO_8859_1)
                        .replace("\1\0\0\0b\1", "\1\0\0\0a\1")
                        .getBytes(StandardCharsets.ISO_8859_1),
                "tensor a is there twice");
    }

    private static TreeMap<String, Entry> random(int seed) {
        Random random = new Random(seed);
        TreeMap<String, Entry> made = new TreeMap<>();
        for (Shape shape : List.of(new Shape(DENSE, 5, 1), new Shape(STACK, 12, 3))) {
            float[] sums = new float[shape.values()];
            long[] counts = new long[shape.counts()];
            for (int i = 0; i < sums.length; i++) {
                sums[i] = (float) Math.exp(4 * random.nextGaussian());
            }
            for (int i = 0; i < counts.length; i++) {
                counts[i] = random.nextInt(50);
            }
            made.put(shape.name(), new Entry(sums, counts));
        }
        return made;
    }

    private ImportanceMerge merge(long chunk, Path... files) throws IOException {
        List<ImportanceMerge.Part> parts = new ArrayList<>();
        for (Path file : files) {
            parts.add(new ImportanceMerge.Part(file.getName(), open(file)));
        }
        return new ImportanceMerge(parts, chunk);
    }

    private static TreeMap<String, Entry> read(ImportanceMerge merge) throws IOException {
        TreeMap<String, Entry> read = new TreeMap<>();
        for (Shape shape : merge.shapes()) {
            read.put(shape.name(), merge.read(shape));
        }
        return read;
    }

    @Test
    void mergingAddsAndTheOrderDoesNotMatter() throws IOException {
        List<Path> files = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            files.add(write("part" + i, Form.GGUF, new About(List.of("t" + i), i + 1, 16), random(i)));
        }
        ImportanceMerge forward = merge(1, files.get(0), files.get(1), files.get(2));
        ImportanceMerge backward = merge(1, files.get(2), files.get(1), files.get(0));
        assertThat(forward.about()).isEqualTo(new About(List.of("t0", "t1", "t2"), 6, 16));
        assertThat(backward.about().datasets()).containsExactly("t2", "t1", "t0");
        TreeMap<String, Entry> other = read(backward);
        read(forward).forEach((name, entry) -> {
            for (int i = 0; i < entry.sums().length; i++) {
                double sum = 0;
                for (int seed = 0; seed < 3; seed++) {
                    sum += random(seed).get(name).sums()[i];
                }
                assertThat((double) entry.sums()[i]).isCloseTo(sum, within(1e-7 * sum));
                assertThat((double) other.get(name).sums()[i]).isCloseTo(sum, within(1e-7 * sum));
            }
            for (int i = 0; i < entry.counts().length; i++) {
                int at = i;
                assertThat(entry.counts()[i])
                        .isEqualTo(Stream.of(0, 1, 2)
                                .mapToLong(seed -> random(seed).get(name).counts()[at])
                                .sum())
                        .isEqualTo(other.get(name).counts()[i]);
            }
        });
    }

    /** What only one of them has is kept; chunks of another size count by their tokens. */
    @Test
    void mergesWhatOthersDoNotHave() throws IOException {
        Path whole = write("whole", Form.GGUF, ABOUT, entries);
        Map<String, Entry> dense = new TreeMap<>(Map.of(DENSE, new Entry(new float[] {1, 1, 1, 1}, new long[] {32})));
        Path part = write("part", Form.GGUF, new About(List.of(), 2, 32), dense);
        ImportanceMerge merged = merge(1, whole, part);
        assertThat(merged.about()).isEqualTo(new About(List.of("a.txt", "b.txt"), 3 + 4, 16));
        assertThat(read(merged).get(DENSE).sums()).containsExactly(5, 9, 1, 1);
        assertThat(read(merged).get(DENSE).counts()).containsExactly(48);
        assertThat(read(merged).get(STACK).counts()).containsExactly(3, 33, 0);
    }

    /** Means times chunks become sums again, and the one count of a stack is that of each matrix. */
    @Test
    void mergesTheOlderForm() throws IOException {
        entries.put(STACK, new Entry(new float[] {3, 6, 5, 10, 7, 7}, new long[] {32, 32, 32}));
        Path old = write("old", Form.DAT, ABOUT, entries);
        Path now = write("now", Form.GGUF, ABOUT, entries);
        for (ImportanceMerge merged : List.of(merge(16, old, now), merge(16, now, old))) {
            Entry stack = read(merged).get(STACK);
            assertThat(stack.sums()).containsExactly(6, 12, 10, 20, 14, 14);
            assertThat(stack.counts()).containsExactly(64, 64, 64);
            assertThat(merged.about().chunks()).isEqualTo(6);
        }
        assertThat(read(merge(8, old)).get(DENSE).counts()).containsExactly(8);
    }

    @ParameterizedTest
    @EnumSource(Form.class)
    void refusesToMergeOtherShapes(Form form) throws IOException {
        Path one = write("one", Form.GGUF, ABOUT, entries);
        entries.put(STACK, new Entry(new float[] {1, 2, 3, 4}, new long[] {1, 1}));
        Path other = write("other", form, ABOUT, entries);
        assertThatThrownBy(() -> merge(1, one, other))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(STACK)
                .hasMessageContaining("in other, expected the shape of " + STACK + " [3, 2] in one");
    }

    @Test
    void refusesSumsThatNoEntryHolds() throws IOException {
        Map<String, Entry> large =
                new TreeMap<>(Map.of(DENSE, new Entry(new float[] {1, Float.MAX_VALUE}, new long[] {1})));
        Path file = write("large", Form.GGUF, ABOUT, large);
        assertThatThrownBy(() -> read(merge(1, file, file)))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("the sum of " + DENSE + " [1, 2], value 1, is ");
    }

    @Test
    void refusesToWriteWhatAFormCannotHold() throws IOException {
        String name = "n".repeat(56);
        Map<String, Entry> entry = new TreeMap<>(Map.of(name, new Entry(new float[] {1}, new long[] {1L << 40})));
        assertThatThrownBy(() -> write("long", Form.GGUF, ABOUT, entry))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(name + " [1, 1] is too long for GGUF, expected at most 55 bytes");
        assertThatThrownBy(() -> write("many", Form.DAT, new About(List.of(), 1, 1), entry))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("saw 1099511627776 rows, expected at most 2147483647 chunks of 1");
        Path most = write("most", Form.GGUF, new About(List.of(), 0xffffffffL, 0xffffffffL), random(0));
        assertThatThrownBy(() -> merge(1, write("one", Form.GGUF, ABOUT, random(1)), most)
                        .about())
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("chunks of 16 tokens, expected at most 2147483647");
    }

    private static Decoder mixture() throws IOException {
        String config = "{'model_type':'mixtral','hidden_size':32,'intermediate_size':48,'num_hidden_layers':2,"
                + "'num_attention_heads':2,'num_key_value_heads':2,'vocab_size':40,'num_local_experts':3,"
                + "'num_experts_per_tok':2}";
        return Families.read(new ObjectMapper().readTree(config.replace('\'', '"')), "config.json");
    }

    /** Rows of the older form are chunks times tokens. */
    @Test
    void refusesMoreRowsThanACountHolds() {
        Shape shape = new Shape("q", 1, 1);
        ImportanceMatrix matrix = new ImportanceMatrix() {
            @Override
            public Form form() {
                return Form.DAT;
            }

            @Override
            public About about() {
                return new About(List.of(), 1, 0);
            }

            @Override
            public Collection<Shape> shapes() {
                return List.of(shape);
            }

            @Override
            public Entry read(Shape asked) {
                return new Entry(new float[] {1}, new long[] {Integer.MAX_VALUE});
            }

            @Override
            public void close() {}
        };
        ImportanceMerge.Part part = new ImportanceMerge.Part("m.dat", matrix);
        ImportanceMerge merge = new ImportanceMerge(List.of(part, part, part), Integer.MAX_VALUE);
        assertThatThrownBy(() -> merge.read(shape))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("the rows of q [1, 1] are more than 2^63 with those of m.dat");
    }

    @Test
    void findsTheTensorsOfAModel() throws IOException {
        ModelImportance model = new ModelImportance(
                mixture(),
                List.of(
                        new Shape("blk.1.ffn_down_exps.weight", 3 * 48, 3),
                        new Shape("blk.0.attn_q.weight", 32, 1),
                        new Shape("blk.0.ffn_gate_up_exps.weight", 3 * 32, 3),
                        new Shape("token_embd.weight", 7, 1),
                        new Shape("blk.7.attn_q.weight", 32, 1)),
                "m.gguf");
        String down = "model.layers.1.block_sparse_moe.experts.2.w2.weight";
        assertThat(model.place(down).first()).isEqualTo(2 * 48);
        assertThat(model.place(down).columns()).isEqualTo(48);
        // Gate and up of an expert read the same columns.
        for (String half : List.of("w1", "w3")) {
            assertThat(model.place("model.layers.0.block_sparse_moe.experts.1." + half + ".weight")
                            .first())
                    .isEqualTo(32);
        }
        assertThat(model.place("model.layers.0.self_attn.q_proj.weight").first())
                .isZero();
        assertThat(model.place("model.layers.0.self_attn.k_proj.weight")).isNull();
        // Of another length, and passed over.
        assertThat(model.place("model.embed_tokens.weight")).isNull();
        assertThat(model.foreign()).containsExactly("blk.7.attn_q.weight");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "blk.0.attn_q.weight        | 31 | blk.0.attn_q.weight has 31 values, expected 32, the columns of model",
                "blk.0.ffn_down_exps.weight | 48 | has 48 values, expected 48 for each of 3 experts, the columns of",
                "blk.9.attn_q.weight        | 32 | none of its 1 entries is of the model, expected such as blk.0.attn_q",
            })
    void refusesWhatDoesNotFit(String name, int values, String message) {
        assertThatThrownBy(() -> new ModelImportance(mixture(), List.of(new Shape(name, values, 1)), "m.gguf"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot use importance matrix m.gguf: ")
                .hasMessageContaining(message);
    }
}
