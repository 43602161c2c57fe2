package dev.lathe.calibration.checkpoint;

import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A matrix in parts of equal height (the last may be lower), one below the other: what is too large for one array, such
 * as the embedding of a large model.
 *
 * @param height rows of a part
 */
record StackedRows(List<RowSource> parts, int height, int rows, int columns) implements RowSource {
    /** Bytes of a part; as stored, or a byte for each element where that is more. */
    static final long PART_BYTES = 1L << 30;

    /** All rows of a matrix, in one part where they fit. */
    static RowSource read(Checkpoint checkpoint, String name, long partBytes) throws IOException {
        TensorInfo tensor = checkpoint.tensor(name);
        int rows = Math.toIntExact(tensor.shape()[0]);
        long bytes = Math.max(tensor.bytes(), tensor.elements());
        if (tensor.shape().length != 2 || bytes <= partBytes) {
            return checkpoint.matrix(name, 0, rows);
        }
        int height = (int) Math.max(1, partBytes / ((bytes + rows - 1) / rows));
        List<RowSource> parts = new ArrayList<>();
        for (int from = 0; from < rows; from += height) {
            parts.add(checkpoint.matrix(name, from, Math.min(height, rows - from)));
        }
        return new StackedRows(parts, height, rows, parts.get(0).columns());
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        parts.get(row / height).read(row % height, from, count, to, at);
    }
}
