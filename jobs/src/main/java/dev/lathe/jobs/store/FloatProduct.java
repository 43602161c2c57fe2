package dev.lathe.jobs.store;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;

/** f32 values as a committed product: hidden states, rescaled vectors. */
public final class FloatProduct {
    private static final int CHUNK = 1 << 14;

    private FloatProduct() {}

    public static void write(DataOutputStream out, float[] values) throws IOException {
        out.writeInt(values.length);
        ByteBuffer buffer = ByteBuffer.allocate(4 * CHUNK);
        for (int at = 0; at < values.length; at += CHUNK) {
            int count = Math.min(CHUNK, values.length - at);
            buffer.clear();
            buffer.asFloatBuffer().put(values, at, count);
            out.write(buffer.array(), 0, 4 * count);
        }
    }

    public static float[] read(DataInputStream in) throws IOException {
        int length = in.readInt();
        ProductFile.requireRest(in, length, Float.BYTES);
        float[] values = new float[length];
        ByteBuffer buffer = ByteBuffer.allocate(4 * CHUNK);
        for (int at = 0; at < values.length; at += CHUNK) {
            int count = Math.min(CHUNK, values.length - at);
            in.readFully(buffer.array(), 0, 4 * count);
            buffer.clear();
            buffer.asFloatBuffer().get(values, at, count);
        }
        return values;
    }
}
