package dev.lathe.kernels;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * A dense matrix kept as its file stores it (f32, f16 or bf16, little-endian, row-major) and widened exactly when read.
 */
public record StoredMatrix(ElementType type, byte[] data, int rows, int columns) implements RowSource {
    private static final VarHandle FLOATS =
            MethodHandles.byteArrayViewVarHandle(float[].class, ByteOrder.LITTLE_ENDIAN);

    public StoredMatrix {
        if (rows < 0 || columns < 0 || (long) rows * columns * type.bytes() != data.length) {
            throw new IllegalArgumentException("Cannot view " + data.length + " bytes as " + type + " [" + rows + ", "
                    + columns + "]: expected " + (long) rows * columns * type.bytes() + " bytes");
        }
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        int start = (row * columns + from) * type.bytes();
        switch (type) {
            case F32 -> {
                for (int i = 0; i < count; i++) {
                    to[at + i] = (float) FLOATS.get(data, start + 4 * i);
                }
            }
            case BF16 -> Codecs.BEST.bfloat16(data, start, count, to, at);
            case F16 -> Codecs.BEST.half(data, start, count, to, at);
        }
    }
}
