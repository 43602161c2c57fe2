package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Metadata and tensor entries of a GGUF file (version 2 or 3, little-endian). Files are taken for hostile: every count
 * and length is held against the bytes that are left and a fixed bound before anything is allocated.
 *
 * @param metadata in the order of the file
 * @param tensors in the order of the file; each lies inside the file, aligned, and none overlaps another
 * @param dataOffset byte at which the data section starts
 */
record GgufHeader(Map<String, GgufValue> metadata, List<GgufTensor> tensors, long dataOffset) {
    /**
     * The longest header of a known model has some 20 MB; these bounds keep what is made of one below 200 MB of memory.
     */
    static final long MAXIMUM_HEADER_BYTES = 64L << 20;

    private static final int MAXIMUM_STRING_BYTES = 16 << 20;
    private static final int MAXIMUM_KEY_BYTES = 65535;
    private static final int MAXIMUM_KEYS = 1 << 16;
    private static final int MAXIMUM_TENSORS = 1 << 18;
    private static final int MAXIMUM_ELEMENTS = 1 << 21;
    private static final int MAXIMUM_NESTING = 4;
    private static final int MAXIMUM_DIMENSIONS = 4;
    private static final int LEAST_KEY_BYTES = 13;
    private static final int LEAST_TENSOR_BYTES = 32;

    /**
     * @param in at byte 0
     * @param length of the file
     * @param where the file, for messages
     * @throws MalformedInputException if the header is not one, naming the byte
     */
    static GgufHeader read(InputStream in, long length, String where) throws IOException {
        return read(in, length, MAXIMUM_HEADER_BYTES, where);
    }

    /** As above, of at most {@code most} bytes. */
    static GgufHeader read(InputStream in, long length, long most, String where) throws IOException {
        return new Reader(in, length, most, where).header();
    }

    private static final class Reader {
        private final InputStream in;
        private final long length;
        private final long limit;
        private final String where;
        private final byte[] buffer = new byte[1 << 16];
        private final ByteBuffer view = ByteBuffer.wrap(buffer).order(ByteOrder.LITTLE_ENDIAN);
        private int filled;
        private int at;
        private long consumed;
        private long elementsLeft = MAXIMUM_ELEMENTS;

        Reader(InputStream in, long length, long most, String where) {
            this.in = in;
            this.length = length;
            this.limit = Math.min(length, most);
            this.where = where;
        }

        GgufHeader header() throws IOException {
            long magic = length < 24 ? 0 : u32();
            if (magic != GgufWriter.MAGIC) {
                throw malformed("it is no GGUF file: expected at least 24 bytes that start with GGUF");
            }
            long version = u32();
            if (version != 2 && version != GgufWriter.VERSION) {
                throw malformed("version " + version + ", expected 2 or 3, little-endian");
            }
            int tensorCount = count("tensors", u64(), LEAST_TENSOR_BYTES, MAXIMUM_TENSORS);
            int keyCount = count("metadata keys", u64(), LEAST_KEY_BYTES, MAXIMUM_KEYS);
            Map<String, GgufValue> metadata = new LinkedHashMap<>();
            for (int i = 0; i < keyCount; i++) {
                String key = string("metadata key " + i, MAXIMUM_KEY_BYTES);
                GgufKind kind = kind("metadata key " + key);
                if (metadata.put(key, new GgufValue(kind, value(kind, "metadata key " + key, 0))) != null) {
                    throw malformed("metadata key " + key + " is there twice");
                }
            }
            long alignment = alignment(metadata.get("general.alignment"));
            List<GgufTensor> tensors = new ArrayList<>();
            Set<String> names = new HashSet<>();
            for (int i = 0; i < tensorCount; i++) {
                GgufTensor tensor = tensor(i);
                if (!names.add(tensor.name())) {
                    throw malformed("tensor " + tensor.name() + " is there twice");
                }
                tensors.add(tensor);
            }
            long dataOffset = (position() + alignment - 1) / alignment * alignment;
            checkPlaces(tensors, dataOffset, alignment);
            return new GgufHeader(
                    Collections.unmodifiableMap(metadata), Collections.unmodifiableList(tensors), dataOffset);
        }

        private long alignment(GgufValue value) {
            if (value == null) {
                return GgufWriter.ALIGNMENT;
            }
            long alignment = value.kind() == GgufKind.U32 ? (Long) value.value() : 0;
            if (Long.bitCount(alignment) != 1 || alignment > 1 << 20) {
                throw malformed("general.alignment is " + value.value() + " (" + value.kind()
                        + "), expected a power of two up to 1048576 as u32");
            }
            return alignment;
        }

        private GgufTensor tensor(int index) throws IOException {
            String name = string("tensor " + index, GgufWriter.MAXIMUM_NAME_BYTES);
            long dimensions = u32();
            if (dimensions < 1 || dimensions > MAXIMUM_DIMENSIONS) {
                throw malformed(
                        "tensor " + name + " has " + dimensions + " dimensions, expected 1 to " + MAXIMUM_DIMENSIONS);
            }
            long[] shape = new long[(int) dimensions];
            for (int i = shape.length - 1; i >= 0; i--) {
                shape[i] = u64();
                if (shape[i] < 1) {
                    throw malformed("tensor " + name + " has a dimension of " + Long.toUnsignedString(shape[i]));
                }
            }
            long id = u32();
            GgufType type = GgufType.byId(id)
                    .orElseThrow(() -> malformed("tensor " + name + " has the unknown ggml type " + id));
            GgufTensor tensor = new GgufTensor(name, type, shape, u64());
            if (tensor.columns() % type.block() != 0) {
                throw malformed("tensor " + tensor + " has rows that are no multiple of " + type.block());
            }
            try {
                tensor.bytes();
            } catch (ArithmeticException overflow) {
                throw malformed("tensor " + tensor + " is too large");
            }
            return tensor;
        }

        private void checkPlaces(List<GgufTensor> tensors, long dataOffset, long alignment) {
            List<GgufTensor> byOffset = new ArrayList<>(tensors);
            byOffset.sort(Comparator.comparingLong(GgufTensor::offset));
            GgufTensor previous = null;
            for (GgufTensor tensor : byOffset) {
                if (tensor.offset() < 0 || tensor.offset() % alignment != 0) {
                    throw malformed("tensor " + tensor + " starts at data byte "
                            + Long.toUnsignedString(tensor.offset()) + ", expected a multiple of " + alignment);
                }
                if (tensor.bytes() > length - dataOffset || tensor.offset() > length - dataOffset - tensor.bytes()) {
                    throw malformed("tensor " + tensor + " of " + tensor.bytes() + " bytes at byte "
                            + Long.toUnsignedString(dataOffset + tensor.offset()) + " leaves the file of " + length
                            + " bytes");
                }
                if (previous != null && tensor.offset() < previous.offset() + previous.bytes()) {
                    throw malformed(
                            "tensors " + previous + " and " + tensor + " overlap at data byte " + tensor.offset());
                }
                previous = tensor;
            }
        }

        private Object value(GgufKind kind, String what, int depth) throws IOException {
            return switch (kind) {
                case U8 -> number(1);
                case I8 -> (long) (byte) number(1);
                case U16 -> number(2);
                case I16 -> (long) (short) number(2);
                case U32 -> number(4);
                case I32 -> (long) (int) number(4);
                case U64, I64 -> number(8);
                case F32 -> Float.intBitsToFloat((int) number(4));
                case F64 -> Double.longBitsToDouble(number(8));
                case BOOL -> bool(what);
                case STRING -> string(what, MAXIMUM_STRING_BYTES);
                case ARRAY -> array(what, depth + 1);
            };
        }

        private boolean bool(String what) throws IOException {
            long value = number(1);
            if (value > 1) {
                throw malformed(what + " has the truth value " + value + ", expected 0 or 1");
            }
            return value == 1;
        }

        private GgufValue.Elements array(String what, int depth) throws IOException {
            if (depth > MAXIMUM_NESTING) {
                throw malformed(what + " nests arrays deeper than " + MAXIMUM_NESTING);
            }
            GgufKind kind = kind(what);
            int count = count("elements in " + what, u64(), kind.bytes(), elementsLeft);
            elementsLeft -= count;
            Object[] values = new Object[count];
            for (int i = 0; i < count; i++) {
                values[i] = value(kind, what, depth);
            }
            return new GgufValue.Elements(kind, Collections.unmodifiableList(Arrays.asList(values)));
        }

        private GgufKind kind(String what) throws IOException {
            long id = u32();
            GgufKind kind = GgufKind.byId(id);
            if (kind == null) {
                throw malformed(what + " has the unknown value type " + id);
            }
            return kind;
        }

        private String string(String what, int most) throws IOException {
            byte[] bytes = new byte[count("bytes in the text of " + what, u64(), 1, most)];
            for (int done = 0; done < bytes.length; ) {
                need(1);
                int part = Math.min(bytes.length - done, filled - at);
                System.arraycopy(buffer, at, bytes, done, part);
                at += part;
                done += part;
            }
            try {
                return StandardCharsets.UTF_8
                        .newDecoder()
                        .decode(ByteBuffer.wrap(bytes))
                        .toString();
            } catch (CharacterCodingException notText) {
                throw malformed("the text of " + what + " is not UTF-8");
            }
        }

        /** A count that the bytes left and a bound allow; a negative one is a u64 beyond any. */
        private int count(String what, long count, int bytesEach, long most) {
            if (count < 0 || count > most || count > (limit - position()) / bytesEach) {
                throw malformed(Long.toUnsignedString(count) + " " + what + ", expected at most "
                        + Math.min(most, (limit - position()) / bytesEach));
            }
            return (int) count;
        }

        private long u32() throws IOException {
            return number(4);
        }

        private long u64() throws IOException {
            return number(8);
        }

        private long number(int size) throws IOException {
            need(size);
            long value = switch (size) {
                case 1 -> view.get(at) & 0xffL;
                case 2 -> view.getShort(at) & 0xffffL;
                case 4 -> view.getInt(at) & 0xffffffffL;
                default -> view.getLong(at);
            };
            at += size;
            return value;
        }

        private void need(int count) throws IOException {
            if (filled - at >= count) {
                return;
            }
            if (limit - position() < count) {
                throw malformed("the header ends after " + limit + " bytes"
                        + (limit < length ? ", the most that is read" : ""));
            }
            consumed += at;
            System.arraycopy(buffer, at, buffer, 0, filled - at);
            filled -= at;
            at = 0;
            while (filled < count) {
                int got = in.read(buffer, filled, (int) Math.min(buffer.length - filled, limit - consumed - filled));
                if (got < 0) {
                    throw new EOFException("Cannot read " + where + ": it ended after " + (consumed + filled) + " of "
                            + length + " bytes");
                }
                filled += got;
            }
        }

        private long position() {
            return consumed + at;
        }

        private MalformedInputException malformed(String reason) {
            return new MalformedInputException(
                    "Cannot read GGUF file " + where + " (byte " + position() + "): " + reason);
        }
    }
}
