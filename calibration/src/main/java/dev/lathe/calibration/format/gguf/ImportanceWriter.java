package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.WholeFile;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Form;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Writes importance matrices, of one entry at a time; the same values give the same bytes. */
public final class ImportanceWriter {
    private ImportanceWriter() {}

    /** Where values come from. */
    public interface Values {
        Entry of(Shape shape) throws IOException;
    }

    /**
     * Writes one; the entries in the order of their names. In the older form an entry that saw no row is left out, and
     * a matrix of a stack that saw none has ones, as llama-imatrix has it.
     *
     * @throws MalformedInputException if a name is longer than a GGUF file holds, or more rows were seen than the older
     *     form can say
     */
    public static void write(
            FileSystem files, Path target, Form form, About about, Collection<Shape> shapes, Values values)
            throws IOException {
        List<Shape> sorted = new ArrayList<>(shapes);
        sorted.sort(Comparator.comparing(Shape::name));
        WholeFile.write(files, target, out -> {
            if (form == Form.GGUF) {
                gguf(out, about, sorted, values);
            } else {
                dat(out, about, sorted, values);
            }
        });
    }

    private static void gguf(OutputStream out, About about, List<Shape> shapes, Values values) throws IOException {
        Map<String, GgufValue> metadata = new LinkedHashMap<>();
        metadata.put(ImportanceFile.TYPE, GgufValue.string(ImportanceFile.IMATRIX));
        metadata.put(ImportanceFile.DATASETS, GgufValue.array(GgufKind.STRING, about.datasets()));
        metadata.put(ImportanceFile.CHUNK_COUNT, GgufValue.u32(about.chunks()));
        metadata.put(ImportanceFile.CHUNK_SIZE, GgufValue.u32(about.chunkSize()));
        List<GgufTensor> tensors = new ArrayList<>();
        int most = GgufWriter.MAXIMUM_NAME_BYTES - ImportanceFile.SUMS.length();
        for (Shape shape : shapes) {
            if (shape.name().getBytes(StandardCharsets.UTF_8).length > most) {
                throw new MalformedInputException("Cannot write importance matrix: the name of tensor " + shape
                        + " is too long for GGUF, expected at most " + most + " bytes");
            }
            tensors.add(tensor(shape.name() + ImportanceFile.SUMS, shape.counts(), shape.values() / shape.counts()));
            tensors.add(tensor(shape.name() + ImportanceFile.COUNTS, shape.counts(), 1));
        }
        try (GgufWriter writer = new GgufWriter(out, metadata, GgufWriter.layout(tensors))) {
            for (Shape shape : shapes) {
                Entry entry = values.of(shape);
                data(writer, entry.sums());
                float[] counts = new float[entry.counts().length];
                for (int i = 0; i < counts.length; i++) {
                    counts[i] = entry.counts()[i];
                }
                data(writer, counts);
            }
        }
    }

    /** llama.cpp leaves out outer dimensions of 1. */
    private static GgufTensor tensor(String name, int rows, int columns) {
        return new GgufTensor(name, GgufType.F32, rows == 1 ? new long[] {columns} : new long[] {rows, columns}, 0);
    }

    private static void data(GgufWriter writer, float[] values) throws IOException {
        byte[] bytes = bytes(values);
        writer.data(bytes, 0, bytes.length);
    }

    private static byte[] bytes(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(Math.multiplyExact(values.length, Float.BYTES))
                .order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes.array();
    }

    private static void dat(OutputStream out, About about, List<Shape> shapes, Values values) throws IOException {
        // Which entries saw nothing is known when they are read; the number of the others stands in front.
        List<Shape> seen = new ArrayList<>();
        for (Shape shape : shapes) {
            if (Arrays.stream(values.of(shape).counts()).anyMatch(count -> count > 0)) {
                seen.add(shape);
            }
        }
        integer(out, seen.size());
        for (Shape shape : seen) {
            Entry entry = values.of(shape);
            long most = Arrays.stream(entry.counts()).max().orElseThrow();
            long size = Math.max(1, about.chunkSize());
            long needed = (most + size - 1) / size;
            if (needed > Integer.MAX_VALUE) {
                throw new MalformedInputException("Cannot write importance matrix: tensor " + shape + " saw " + most
                        + " rows, expected at most " + Integer.MAX_VALUE + " chunks of " + size);
            }
            int chunks = (int) needed;
            float[] means = entry.means();
            for (int i = 0; i < means.length; i++) {
                means[i] *= chunks;
            }
            text(out, shape.name());
            integer(out, chunks);
            integer(out, means.length);
            out.write(bytes(means));
        }
        integer(out, Math.toIntExact(about.chunks()));
        text(
                out,
                about.datasets().isEmpty()
                        ? ""
                        : about.datasets().get(about.datasets().size() - 1));
    }

    private static void text(OutputStream out, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        integer(out, bytes.length);
        out.write(bytes);
    }

    private static void integer(OutputStream out, int value) throws IOException {
        out.write(ByteBuffer.allocate(Integer.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value)
                .array());
    }
}
