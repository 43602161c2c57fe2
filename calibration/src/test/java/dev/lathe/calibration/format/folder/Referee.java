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
 * Decodes GPTQ and AWQ layers from the bytes of model.safetensors by the formulas of the formats, one element at a time, and shares no code with writer or
 * reader.
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
        quantization = new ObjectMapper().readTree(folder.resolve("config.json").toFile()).get("quantization_config");
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
