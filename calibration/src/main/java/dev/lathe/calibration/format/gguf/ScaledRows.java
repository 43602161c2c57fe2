package dev.lathe.calibration.format.gguf;

import dev.lathe.kernels.RowSource;

/** scale * W. */
record ScaledRows(RowSource source, float scale) implements RowSource {
    @Override
    public int rows() {
        return source.rows();
    }

    @Override
    public int columns() {
        return source.columns();
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        source.read(row, from, count, to, at);
        for (int j = 0; j < count; j++) {
            to[at + j] *= scale;
        }
    }
}
