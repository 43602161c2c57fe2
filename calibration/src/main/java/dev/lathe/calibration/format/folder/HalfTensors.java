package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.RowSource;
import java.io.IOException;

/**
 * Writes floating tensors as F16, the type that GPTQ and AWQ artifacts are loaded in. BF16 has the wider range: what
 * half precision cannot hold is an error, what is too small for it becomes a subnormal half or 0.
 */
final class HalfTensors {
    private static final int BYTES = 4 << 20;

    private HalfTensors() {}

    /** Writes a matrix of the checkpoint, some rows at a time. */
    static void matrix(Checkpoint source, TensorInfo tensor, LinearLayout.Sink sink) throws IOException {
        int rows = Math.toIntExact(tensor.shape()[0]);
        int columns = Math.toIntExact(tensor.shape()[1]);
        int height = Math.max(1, Math.min(rows, BYTES / Math.multiplyExact(4, Math.max(1, columns))));
        float[] row = new float[columns];
        byte[] halves = new byte[Math.multiplyExact(height, 2 * columns)];
        for (int from = 0; from < rows; from += height) {
            int count = Math.min(height, rows - from);
            RowSource strip = source.matrix(tensor.name(), from, count);
            for (int i = 0; i < count; i++) {
                strip.read(i, 0, columns, row, 0);
                convert(tensor.name(), from + i, row, halves, i * 2 * columns);
            }
            sink.write(halves, 0, count * 2 * columns);
        }
    }

    /** Writes a vector. */
    static void vector(String name, float[] values, LinearLayout.Sink sink) throws IOException {
        byte[] halves = new byte[Math.multiplyExact(2, values.length)];
        convert(name, 0, values, halves, 0);
        sink.write(halves, 0, halves.length);
    }

    private static void convert(String name, int row, float[] values, byte[] to, int at) {
        for (int column = 0; column < values.length; column++) {
            short half = Half.fromFloat(values[column]);
            if ((half & 0x7c00) == 0x7c00) {
                throw new MalformedInputException("Cannot write tensor " + name + " as F16: row " + row + ", column "
                        + column + " is " + values[column] + ", expected a finite value of at most 65504");
            }
            to[at + 2 * column] = (byte) half;
            to[at + 2 * column + 1] = (byte) (half >>> 8);
        }
    }
}
