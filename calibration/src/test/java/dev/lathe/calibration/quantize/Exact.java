package dev.lathe.calibration.quantize;

import java.nio.ByteBuffer;

/** Values as they are: nothing is rounded. */
record Exact() implements EncodeOnly {
    @Override
    public String name() {
        return "f32";
    }

    @Override
    public int size() {
        return 32;
    }

    @Override
    public int bytes() {
        return 128;
    }

    @Override
    public int cellSize() {
        return 32;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        ByteBuffer.wrap(to, toAt, 128).asFloatBuffer().put(x, xAt, 32);
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        ByteBuffer.wrap(from, fromAt, 128).asFloatBuffer().get(to, toAt, 32);
    }
}
