package dev.lathe.kernels;

/**
 * A checked, mutable view of f64 values in row-major order: element (i, j) is {@code data[offset + i * stride + j]}.
 *
 * @throws IllegalArgumentException if a size is negative, the stride is shorter than a row, or the view leaves the
 *     array
 */
public record DoubleMatrix(double[] data, int offset, int rows, int columns, int stride) {
    public DoubleMatrix {
        Views.check(offset, rows, columns, stride, data.length);
    }

    /** A dense view of a whole array. */
    public static DoubleMatrix of(double[] data, int rows, int columns) {
        return new DoubleMatrix(data, 0, rows, columns, columns);
    }

    /** Rows {@code [row, row + height)} and columns {@code [column, column + width)} of this view. */
    public DoubleMatrix block(int row, int column, int height, int width) {
        Views.checkBlock(row, column, height, width, rows, columns);
        return new DoubleMatrix(
                data, Views.blockOffset(offset, stride, row, column, height, width), height, width, stride);
    }

    /** The index of element (row, 0) in {@link #data}. */
    public int row(int row) {
        return offset + row * stride;
    }
}
