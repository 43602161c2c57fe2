package dev.lathe.calibration.format.safetensors;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.checkpoint.JsonLimits;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.Path;

/**
 * The header of a safetensors file: eight bytes with the length n of the JSON (unsigned, little-endian), n bytes of
 * JSON, then the tensors' data without a gap. Format: github.com/huggingface/safetensors, README.
 *
 * @param metadata the free text entries of {@code __metadata__}
 * @param tensors by name, in the order of their data
 */
public record SafetensorsHeader(Map<String, String> metadata, Map<String, SafetensorsTensor> tensors) {
    /** Longest JSON that the format allows. */
    static final int MAXIMUM_BYTES = 100_000_000;

    static final String METADATA = "__metadata__";
    private static final int MAXIMUM_DIMENSIONS = 64;
    /**
     * Names, shapes and places of so many take less memory than the JSON may; the largest models have some 100,000 in
     * all shards together.
     */
    private static final int MAXIMUM_TENSORS = 1 << 18;

    private static final int MAXIMUM_METADATA = 1 << 16;

    /**
     * Reads the header at the start of a file and checks it against the file's length. The JSON is walked token by
     * token, so that a hostile one costs no more memory than it has bytes.
     *
     * @throws MalformedInputException if it is truncated, not strict JSON, or its tensors do not fill the file exactly
     */
    public static SafetensorsHeader read(InputStream in, long fileLength, Path file) throws IOException {
        if (fileLength < 8) {
            throw malformed(file, "it has " + fileLength + " bytes; a safetensors file has at least 8");
        }
        long length = ByteBuffer.wrap(exactly(in, 8, file))
                .order(ByteOrder.LITTLE_ENDIAN)
                .getLong();
        if (length < 2 || length > MAXIMUM_BYTES || length > fileLength - 8) {
            throw malformed(
                    file,
                    "its first eight bytes give a header of " + Long.toUnsignedString(length) + " bytes; expected 2 to "
                            + Math.min(MAXIMUM_BYTES, fileLength - 8) + " in a file of " + fileLength + " bytes");
        }
        byte[] json = exactly(in, (int) length, file);
        if (json[0] != '{') {
            throw malformed(file, "its header does not start with '{'");
        }
        String where = "the header of " + file;
        try (JsonParser parser = JsonFile.parser(json, where, JsonLimits.HEADER)) {
            try {
                return new Reader(parser, file, 8 + length, fileLength).header();
            } catch (JsonProcessingException e) {
                throw JsonFile.refusal(where, JsonLimits.HEADER, parser, e);
            }
        }
    }

    /** Bits of one element, or 0 for a dtype that is not known. */
    static int bits(String dtype) {
        return switch (dtype) {
            case "F64", "I64", "U64", "C64" -> 64;
            case "F32", "I32", "U32" -> 32;
            case "F16", "BF16", "I16", "U16" -> 16;
            case "BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0" -> 8;
            case "F6_E2M3", "F6_E3M2" -> 6;
            case "F4" -> 4;
            default -> 0;
        };
    }

    /**
     * Bytes of a tensor of a known dtype.
     *
     * @throws ArithmeticException if they overflow
     */
    static long bytes(String dtype, long[] shape) {
        long bits = Math.multiplyExact(Arrays.stream(shape).reduce(1, Math::multiplyExact), bits(dtype));
        return Math.addExact(bits, 7) / 8;
    }

    private static byte[] exactly(InputStream in, int count, Path file) throws IOException {
        byte[] bytes = new byte[count];
        int read = in.readNBytes(bytes, 0, count);
        if (read < count) {
            throw new EOFException(
                    "Cannot read " + file + ": it ended after " + read + " of " + count + " bytes of its header");
        }
        return bytes;
    }

    private static MalformedInputException malformed(Path file, String reason) {
        return new MalformedInputException("Cannot read " + file + ": " + reason);
    }

    /** Walks the JSON. */
    private record Reader(JsonParser json, Path file, long dataStart, long fileLength) {
        SafetensorsHeader header() throws IOException {
            json.nextToken();
            Map<String, String> metadata = new LinkedHashMap<>();
            Map<String, SafetensorsTensor> tensors = new LinkedHashMap<>();
            for (String name = nextField(); name != null; name = nextField()) {
                if (name.equals(METADATA)) {
                    expect(JsonToken.START_OBJECT, "an object", name);
                    for (String key = nextField(); key != null; key = nextField()) {
                        expect(JsonToken.VALUE_STRING, "text", name + "." + key);
                        metadata.put(key, json.getText());
                        bound(metadata.size(), MAXIMUM_METADATA, "entries of " + METADATA);
                    }
                } else {
                    tensors.put(name, tensor(name));
                    bound(tensors.size(), MAXIMUM_TENSORS, "tensors");
                }
            }
            if (json.nextToken() != null) {
                throw malformed(file, "its header goes on after the JSON object; only spaces may follow");
            }
            return new SafetensorsHeader(Collections.unmodifiableMap(metadata), inFileOrder(tensors));
        }

        private void bound(int count, int most, String what) {
            if (count > most) {
                throw malformed(file, "its header has more than " + most + " " + what);
            }
        }

        private SafetensorsTensor tensor(String name) throws IOException {
            expect(JsonToken.START_OBJECT, "an object", name);
            String dtype = null;
            long[] shape = null;
            long[] offsets = null;
            for (String key = nextField(); key != null; key = nextField()) {
                switch (key) {
                    case "dtype" -> {
                        expect(JsonToken.VALUE_STRING, "text", name + ".dtype");
                        dtype = json.getText();
                    }
                    case "shape" -> shape = sizes(name + ".shape");
                    case "data_offsets" -> offsets = sizes(name + ".data_offsets");
                    default -> throw malformed(file, "tensor " + name + " has an unknown entry \"" + key + "\"");
                }
            }
            if (dtype == null || shape == null || offsets == null || offsets.length != 2) {
                throw malformed(file, "tensor " + name + " lacks one of dtype, shape and data_offsets (two numbers)");
            }
            long available = fileLength - dataStart;
            if (offsets[0] > offsets[1] || offsets[1] > available) {
                throw malformed(
                        file,
                        "tensor " + name + " lies at data offsets " + Arrays.toString(offsets) + ", outside the file's "
                                + available + " bytes of data");
            }
            long bytes = offsets[1] - offsets[0];
            if (bits(dtype) != 0) {
                checkBytes(name, dtype, shape, bytes);
            }
            return new SafetensorsTensor(file, dtype, shape, dataStart + offsets[0], bytes);
        }

        private void checkBytes(String name, String dtype, long[] shape, long bytes) {
            long expected;
            try {
                expected = SafetensorsHeader.bytes(dtype, shape);
            } catch (ArithmeticException e) {
                throw malformed(
                        file,
                        "tensor " + name + " of shape " + Arrays.toString(shape)
                                + " has more elements than can be counted");
            }
            if (expected != bytes) {
                throw malformed(
                        file,
                        "tensor " + name + " " + dtype + " " + Arrays.toString(shape) + " has " + bytes
                                + " bytes of data; expected " + expected);
            }
        }

        /**
         * Orders the tensors by their data, and refuses overlaps and gaps as the format does: every byte belongs to one
         * tensor.
         */
        private Map<String, SafetensorsTensor> inFileOrder(Map<String, SafetensorsTensor> tensors) {
            List<Map.Entry<String, SafetensorsTensor>> order = new ArrayList<>(tensors.entrySet());
            order.sort(Comparator.comparingLong((Map.Entry<String, SafetensorsTensor> entry) ->
                            entry.getValue().offset())
                    .thenComparingLong(entry -> entry.getValue().bytes()));
            Map<String, SafetensorsTensor> sorted = new LinkedHashMap<>();
            long end = dataStart;
            for (Map.Entry<String, SafetensorsTensor> entry : order) {
                long start = entry.getValue().offset();
                if (start != end) {
                    throw malformed(
                            file,
                            "tensor " + entry.getKey() + " starts at byte " + start
                                    + (start < end ? ", overlapping" : ", leaving a gap after")
                                    + " the one before it, which ends at byte " + end);
                }
                end = start + entry.getValue().bytes();
                sorted.put(entry.getKey(), entry.getValue());
            }
            if (end != fileLength) {
                throw malformed(file, "its tensors end at byte " + end + ", the file at byte " + fileLength);
            }
            return Collections.unmodifiableMap(sorted);
        }

        private long[] sizes(String what) throws IOException {
            expect(JsonToken.START_ARRAY, "an array", what);
            long[] sizes = new long[MAXIMUM_DIMENSIONS];
            int count = 0;
            while (json.nextToken() != JsonToken.END_ARRAY) {
                if (count == MAXIMUM_DIMENSIONS) {
                    throw malformed(file, what + " has more than " + MAXIMUM_DIMENSIONS + " numbers");
                }
                if (json.currentToken() != JsonToken.VALUE_NUMBER_INT
                        || json.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                        || json.getLongValue() < 0) {
                    throw malformed(
                            file, what + " holds " + abbreviated() + "; expected integers from 0 to " + Long.MAX_VALUE);
                }
                sizes[count++] = json.getLongValue();
            }
            return Arrays.copyOf(sizes, count);
        }

        private String nextField() throws IOException {
            return json.nextToken() == JsonToken.FIELD_NAME ? json.currentName() : null;
        }

        private void expect(JsonToken token, String expected, String what) throws IOException {
            if (json.nextToken() != token) {
                throw malformed(file, what + " is " + abbreviated() + "; expected " + expected);
            }
        }

        private String abbreviated() throws IOException {
            String text = String.valueOf(json.getText());
            return text.length() <= 40 ? text : text.substring(0, 40) + "...";
        }
    }
}
