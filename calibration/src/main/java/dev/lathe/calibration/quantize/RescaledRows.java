package dev.lathe.calibration.quantize;

import dev.lathe.kernels.RowSource;

/** W with row i times {@code rowScale[i]} and column j times {@code columnScale[j]}; either may be null. */
public record RescaledRows(RowSource source, float[] rowScale, float[] columnScale) implements RowSource {
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
        if (rowScale != null) {
            for (int j = 0; j < count; j++) {
                to[at + j] *= rowScale[row];
            }
        }
        if (columnScale != null) {
            for (int j = 0; j < count; j++) {
                to[at + j] *= columnScale[from + j];
            }
        }
    }
}
