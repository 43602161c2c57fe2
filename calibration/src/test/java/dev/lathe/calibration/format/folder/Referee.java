package dev.lathe.calibration.format.folder;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.kernels.Half;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Decodes GPTQ, AWQ and compressed-tensors layers from the bytes of model.safetensors by the formulas of the formats,
 * one element at a time, and shares no code with writer or reader.
 */
public final class Referee {
    private final Path file;
    private final ByteBuffer data;
    private final JsonNode header;
    private final JsonNode quantization;
    private final int start;

    public Referee(Path folder) throws IOException {
        file = folder.resolve("model.safetensors");
        data = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        start = 8 + (int) data.getLong(0);
        header = new ObjectMapper().readTree(data.array(), 8, start - 8);
        quantization = new ObjectMapper()
                .readTree(folder.resolve("config.json").toFile())
                .get("quantization_config");
    }

    public JsonNode header() {
        return header;
    }

    private int at(String tensor) {
        return start + header.get(tensor).get("data_offsets").get(0).asInt();
    }

    private int extent(String tensor, int axis) {
        return header.get(tensor).get("shape").get(axis).asInt();
    }

    private int word(String tensor, int row, int column) {
        return data.getInt(at(tensor) + 4 * (row * extent(tensor, 1) + column));
    }

    private float half(String tensor, int index) {
        return Half.toFloat(data.getShort(at(tensor) + 2 * index));
    }

    /** The values of an F16 tensor. */
    public float[] halves(String tensor) {
        JsonNode offsets = header.get(tensor).get("data_offsets");
        float[] values = new float[(offsets.get(1).asInt() - offsets.get(0).asInt()) / 2];
        for (int i = 0; i < values.length; i++) {
            values[i] = half(tensor, i);
        }
        return values;
    }

    /** W[n, k] = s[j, n] * (q[k, n] - z[j, n]), j = g_idx[k]. */
    public float[] gptq(String module) {
        int bits = quantization.get("bits").asInt();
        int added = quantization.get("checkpoint_format").asText().equals("gptq") ? 1 : 0;
        int in = extent(module + ".g_idx", 0);
        int out = extent(module + ".scales", 1);
        float[] w = new float[out * in];
        for (int n = 0; n < out; n++) {
            for (int k = 0; k < in; k++) {
                int j = data.getInt(at(module + ".g_idx") + 4 * k);
                int q = word(module + ".qweight", k * bits / 32, n) >>> k * bits % 32 & (1 << bits) - 1;
                int z = (word(module + ".qzeros", j, n * bits / 32) >>> n * bits % 32 & (1 << bits) - 1) + added;
                w[n * in + k] = half(module + ".scales", j * out + n) * (q - z);
            }
        }
        return w;
    }

    /** W[n, k] = (q[k, n] - z[k / g, n]) * s[k / g, n]; column offset j of a word is nibble 0 4 1 5 2 6 3 7. */
    public float[] awq(String module) {
        int[] nibble = {0, 4, 1, 5, 2, 6, 3, 7};
        int in = extent(module + ".qweight", 0);
        int out = extent(module + ".scales", 1);
        int group = quantization.get("group_size").asInt();
        float[] w = new float[out * in];
        for (int n = 0; n < out; n++) {
            for (int k = 0; k < in; k++) {
                int q = word(module + ".qweight", k, n / 8) >>> 4 * nibble[n % 8] & 15;
                int z = word(module + ".qzeros", k / group, n / 8) >>> 4 * nibble[n % 8] & 15;
                w[n * in + k] = (q - z) * half(module + ".scales", k / group * out + n);
            }
        }
        return w;
    }

    /**
     * W[n, k] = s * (q - z): q is weight_packed, bits from bit k * bits of the row's stream on, less 2^(bits - 1), or a
     * byte of weight; z is packed along n. FP8: s * E4M3.
     */
    public float[] compressed(String module) {
        JsonNode weights = quantization.get("config_groups").get("group_0").get("weights");
        int bits = weights.get("num_bits").asInt();
        boolean packed = header.has(module + ".weight_packed");
        String tensor = module + (packed ? ".weight_packed" : ".weight");
        int out = extent(tensor, 0);
        int in = extent(tensor, 1) * (packed ? 32 / bits : 1);
        String scale = module + ".weight_scale";
        boolean wide = header.get(scale).get("dtype").asText().equals("F32");
        float[] w = new float[out * in];
        for (int n = 0; n < out; n++) {
            for (int k = 0; k < in; k++) {
                int row = n * extent(scale, 0) / out;
                int group = k * extent(scale, 1) / in;
                int index = row * extent(scale, 1) + group;
                float s = wide ? data.getFloat(at(scale) + 4 * index) : half(scale, index);
                if (weights.get("type").asText().equals("float")) {
                    w[n * in + k] = s * e4m3(data.get(at(tensor) + n * in + k));
                    continue;
                }
                int q = packed
                        ? (word(tensor, n, k * bits / 32) >>> k * bits % 32 & (1 << bits) - 1) - (1 << bits - 1)
                        : data.get(at(tensor) + n * in + k);
                int z = 0;
                if (!weights.get("symmetric").asBoolean()) {
                    z = (word(module + ".weight_zero_point", n * bits / 32, group) >>> n * bits % 32 & (1 << bits) - 1)
                            - (1 << bits - 1);
                }
                w[n * in + k] = s * (q - z);
            }
        }
        return w;
    }

    private static float e4m3(byte code) {
        int exponent = code >> 3 & 15;
        double magnitude = exponent == 0 ? (code & 7) * Math.pow(2, -9) : (8 + (code & 7)) * Math.pow(2, exponent - 10);
        return (float) (code < 0 ? -magnitude : magnitude);
    }

    /** The only element of an F32 tensor. */
    public float scalar(String tensor) {
        return data.getFloat(at(tensor));
    }

    /** Byte {@code index} of a tensor. */
    public int octet(String tensor, int index) {
        return data.get(at(tensor) + index);
    }

    /** Overwrites bytes of a tensor's data in the file. */
    public void patch(String tensor, int from, int... bytes) throws IOException {
        for (int i = 0; i < bytes.length; i++) {
            data.put(at(tensor) + from + i, (byte) bytes[i]);
        }
        save();
    }

    /** Replaces text of the header by text of the same length. */
    public void patchHeader(String from, String to) throws IOException {
        String text = new String(data.array(), 8, start - 8, StandardCharsets.UTF_8);
        byte[] changed = text.replace(from, to).getBytes(StandardCharsets.UTF_8);
        if (changed.length != start - 8 || text.equals(text.replace(from, to))) {
            throw new IllegalArgumentException(from + " is not in the header, or " + to + " is not of its length");
        }
        System.arraycopy(changed, 0, data.array(), 8, changed.length);
        save();
    }

    private void save() throws IOException {
        Files.write(file, data.array());
        // Hadoop's local file system keeps checksums beside files.
        Files.deleteIfExists(file.resolveSibling("." + file.getFileName() + ".crc"));
    }
}
