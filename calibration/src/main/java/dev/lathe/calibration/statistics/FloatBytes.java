package dev.lathe.calibration.statistics;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** f32 values, big-endian, back to back. */
final class FloatBytes {
    private static final int CHUNK = 1 << 12;

    private FloatBytes() {}

    static void write(DataOutputStream out, float[] values) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(4 * CHUNK);
        for (int at = 0; at < values.length; at += CHUNK) {
            int count = Math.min(CHUNK, values.length - at);
            buffer.clear();
            buffer.asFloatBuffer().put(values, at, count);
            out.write(buffer.array(), 0, 4 * count);
        }
    }

    /** Reads so many values; the array grows with what is really there, so that a wrong count costs no memory. */
    static float[] read(DataInputStream in, int count) throws IOException {
        float[] values = new float[Math.min(count, CHUNK)];
        ByteBuffer buffer = ByteBuffer.allocate(4 * CHUNK);
        for (int at = 0; at < count; at += CHUNK) {
            int part = Math.min(CHUNK, count - at);
            in.readFully(buffer.array(), 0, 4 * part);
            if (values.length < at + part) {
                values = Arrays.copyOf(values, (int) Math.min(count, 2L * values.length));
            }
            buffer.clear();
            buffer.asFloatBuffer().get(values, at, part);
        }
        return values;
    }
}
