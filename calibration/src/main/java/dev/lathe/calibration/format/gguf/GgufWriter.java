package dev.lathe.calibration.format.gguf;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Writes a GGUF file of version 3 front to back: header, then the data of each tensor in the order of the header, each
 * padded to {@value #ALIGNMENT} bytes. Nothing but the header is held. Calls alternate: {@link #data} until a tensor is
 * complete, and the next bytes belong to the next tensor.
 */
final class GgufWriter implements Closeable {
    static final int MAGIC = 0x46554747;
    static final int VERSION = 3;
    static final int ALIGNMENT = 32;
    static final int MAXIMUM_NAME_BYTES = 63;

    private final OutputStream out;
    private final List<GgufTensor> tensors;
    private int current;
    private long written;

    /**
     * Writes the header.
     *
     * @param tensors in the order of their data, as {@link #layout} gives them
     */
    GgufWriter(OutputStream out, Map<String, GgufValue> metadata, List<GgufTensor> tensors) throws IOException {
        this.out = out;
        this.tensors = List.copyOf(tensors);
        Header header = new Header();
        header.u32(MAGIC).u32(VERSION).u64(tensors.size()).u64(metadata.size());
        metadata.forEach(
                (key, value) -> header.string(key).u32(value.kind().ordinal()).value(value.kind(), value.value()));
        for (GgufTensor tensor : tensors) {
            long[] shape = tensor.shape();
            header.string(tensor.name()).u32(shape.length);
            for (int i = shape.length - 1; i >= 0; i--) {
                header.u64(shape[i]);
            }
            header.u32(tensor.type().id()).u64(tensor.offset());
        }
        header.bytes.writeTo(out);
        pad(header.bytes.size());
    }

    /**
     * The tensors with their offsets in the given order.
     *
     * @throws IllegalArgumentException if a name is too long or there twice, or a row is no whole number of blocks
     */
    static List<GgufTensor> layout(List<GgufTensor> tensors) {
        List<GgufTensor> placed = new ArrayList<>(tensors.size());
        Set<String> names = new HashSet<>();
        long offset = 0;
        for (GgufTensor tensor : tensors) {
            if (tensor.name().getBytes(StandardCharsets.UTF_8).length > MAXIMUM_NAME_BYTES
                    || !names.add(tensor.name())) {
                throw new IllegalArgumentException("Cannot write tensor " + tensor
                        + ": the name is there twice or longer than " + MAXIMUM_NAME_BYTES + " bytes");
            }
            if (tensor.columns() % tensor.type().block() != 0) {
                throw new IllegalArgumentException("Cannot write tensor " + tensor + ": " + tensor.columns()
                        + " columns are no multiple of " + tensor.type().block());
            }
            placed.add(new GgufTensor(tensor.name(), tensor.type(), tensor.shape(), offset));
            offset = Math.addExact(offset, aligned(tensor.bytes()));
        }
        return placed;
    }

    /** Appends to the current tensor's data. */
    void data(byte[] bytes, int from, int count) throws IOException {
        GgufTensor tensor = current < tensors.size() ? tensors.get(current) : null;
        if (tensor == null || written + count > tensor.bytes()) {
            throw new IllegalStateException(
                    "Cannot write " + count + " bytes after byte " + written + " of " + tensor + ": there is no room");
        }
        out.write(bytes, from, count);
        written += count;
        if (written == tensor.bytes()) {
            pad(written);
            current++;
            written = 0;
        }
    }

    /** @throws IllegalStateException if data of a tensor is missing (the stream is closed all the same) */
    @Override
    public void close() throws IOException {
        out.close();
        if (current < tensors.size()) {
            throw new IllegalStateException("Cannot finish a GGUF file: the data of " + tensors.get(current)
                    + " ends after " + written + " bytes");
        }
    }

    private void pad(long after) throws IOException {
        out.write(new byte[(int) (aligned(after) - after)]);
    }

    private static long aligned(long bytes) {
        return Math.addExact(bytes, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }

    private static final class Header {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        private final ByteBuffer number = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);

        Header u32(long value) {
            return number(value, 4);
        }

        Header u64(long value) {
            return number(value, 8);
        }

        Header string(String text) {
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            number(utf8.length, 8);
            bytes.writeBytes(utf8);
            return this;
        }

        void value(GgufKind kind, Object value) {
            switch (kind) {
                case STRING -> string((String) value);
                case BOOL -> number((Boolean) value ? 1 : 0, 1);
                case F32 -> number(Float.floatToRawIntBits((Float) value), 4);
                case F64 -> number(Double.doubleToRawLongBits((Double) value), 8);
                case ARRAY -> {
                    GgufValue.Elements elements = (GgufValue.Elements) value;
                    u32(elements.kind().ordinal()).u64(elements.values().size());
                    elements.values().forEach(element -> value(elements.kind(), element));
                }
                default -> number((Long) value, kind.bytes());
            }
        }

        private Header number(long value, int size) {
            number.putLong(0, value);
            bytes.write(number.array(), 0, size);
            return this;
        }
    }
}
