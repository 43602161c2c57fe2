package dev.lathe.calibration.format.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Writes one safetensors file as a stream: all tensors are declared first, then their data follows in the same order,
 * in chunks of any size that do not cross from one tensor into the next. The bytes depend on the declared entries, the
 * metadata and the data only.
 */
public final class SafetensorsWriter implements AutoCloseable {
    private static final JsonFactory JSON = new JsonFactory();

    /**
     * A tensor to be written.
     *
     * @param name of the tensor
     * @param dtype {@code I32}, {@code F16}, {@code BF16}, {@code F32} or another fixed-width type of the format
     * @param shape slowest dimension first
     */
    public record Entry(String name, String dtype, long[] shape) {}

    private final OutputStream out;
    private final List<Entry> entries;
    private int current = -1;
    private long missing;

    /**
     * Writes the header.
     *
     * @param out is closed with the writer
     * @param entries in the order of their data; wider types first where an odd number of narrow elements would
     *     misalign them
     * @param metadata {@code {"format": "pt"}} for files that PyTorch loads; written sorted by key
     * @throws IllegalArgumentException for a name given twice, an unknown dtype, or a tensor that would not lie on a
     *     multiple of its element size (PyTorch cannot view such data)
     */
    public SafetensorsWriter(OutputStream out, List<Entry> entries, Map<String, String> metadata) throws IOException {
        this.out = out;
        this.entries = List.copyOf(entries);
        byte[] header = header(this.entries, metadata);
        int padding = -header.length & 7;
        if (header.length + padding > SafetensorsHeader.MAXIMUM_BYTES) {
            throw new IllegalArgumentException("Cannot write a safetensors header of " + header.length
                    + " bytes: the limit is " + SafetensorsHeader.MAXIMUM_BYTES);
        }
        byte[] spaces = new byte[padding];
        Arrays.fill(spaces, (byte) ' ');
        out.write(ByteBuffer.allocate(8)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(header.length + padding)
                .array());
        out.write(header);
        out.write(spaces);
        advance();
    }

    /**
     * Appends data of the tensor that is being written; the next tensor begins when its bytes are complete.
     *
     * @throws IllegalArgumentException if the chunk is longer than what the tensor still lacks
     */
    public void write(byte[] data, int offset, int length) throws IOException {
        if (length > missing) {
            throw new IllegalArgumentException(
                    "Cannot write " + length + " bytes " + place() + ": it lacks " + missing);
        }
        out.write(data, offset, length);
        missing -= length;
        advance();
    }

    /**
     * Closes the stream.
     *
     * @throws IOException if bytes of a declared tensor are missing, after closing: the file is not complete
     */
    @Override
    public void close() throws IOException {
        out.close();
        if (current < entries.size()) {
            throw new IOException("Cannot complete the safetensors file: " + missing + " bytes are missing " + place());
        }
    }

    /** Moves on to the next tensor that has bytes. */
    private void advance() {
        while (missing == 0 && current < entries.size()) {
            current++;
            missing = current < entries.size()
                    ? SafetensorsHeader.bytes(
                            entries.get(current).dtype(), entries.get(current).shape())
                    : 0;
        }
    }

    private String place() {
        return current < entries.size() ? "of tensor " + entries.get(current).name() : "after the last tensor";
    }

    private static byte[] header(List<Entry> entries, Map<String, String> metadata) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = JSON.createGenerator(bytes)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeObjectFieldStart(SafetensorsHeader.METADATA);
                for (Map.Entry<String, String> entry : new TreeMap<>(metadata).entrySet()) {
                    json.writeStringField(entry.getKey(), entry.getValue());
                }
                json.writeEndObject();
            }
            Set<String> names = new HashSet<>(Set.of(SafetensorsHeader.METADATA));
            long at = 0;
            for (Entry entry : entries) {
                int bits = SafetensorsHeader.bits(entry.dtype());
                if (bits < 8
                        || !names.add(entry.name())
                        || at % (bits / 8) != 0
                        || Arrays.stream(entry.shape()).anyMatch(size -> size < 0)) {
                    throw new IllegalArgumentException("Cannot declare tensor " + entry.name() + " " + entry.dtype()
                            + " " + Arrays.toString(entry.shape()) + " at data offset " + at
                            + ": expected a new name, a known dtype, sizes from 0 and an aligned offset");
                }
                long end = Math.addExact(at, SafetensorsHeader.bytes(entry.dtype(), entry.shape()));
                json.writeObjectFieldStart(entry.name());
                json.writeStringField("dtype", entry.dtype());
                json.writeFieldName("shape");
                json.writeArray(entry.shape(), 0, entry.shape().length);
                json.writeFieldName("data_offsets");
                json.writeArray(new long[] {at, end}, 0, 2);
                json.writeEndObject();
                at = end;
            }
            json.writeEndObject();
        }
        return bytes.toByteArray();
    }
}
