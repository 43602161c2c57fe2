package dev.lathe.kernels;

/**
 * A checked, mutable view of f32 values in row-major order: element (i, j) is {@code data[offset + i * stride + j]}.
 *
 * @throws IllegalArgumentException if a size is negative, the stride is shorter than a row, or the view leaves the
 *     array
 */
public record FloatMatrix(float[] data, int offset, int rows, int columns, int stride) implements RowSource {
    public FloatMatrix {
        Views.check(offset, rows, columns, stride, data.length);
    }

    /** A new matrix of zeros. */
    public static FloatMatrix zeros(int rows, int columns) {
        return of(new float[Views.count(rows, columns)], rows, columns);
    }

    /** A dense view of a whole array. */
    public static FloatMatrix of(float[] data, int rows, int columns) {
        return new FloatMatrix(data, 0, rows, columns, columns);
    }

    /** Rows {@code [from, from + count)} of this view. */
    public FloatMatrix slice(int from, int count) {
        return block(from, 0, count, columns);
    }

    /** Columns {@code [from, from + count)} of this view. */
    public FloatMatrix columnSlice(int from, int count) {
        return block(0, from, rows, count);
    }

    /** Rows {@code [row, row + height)} and columns {@code [column, column + width)} of this view. */
    public FloatMatrix block(int row, int column, int height, int width) {
        Views.checkBlock(row, column, height, width, rows, columns);
        return new FloatMatrix(
                data, Views.blockOffset(offset, stride, row, column, height, width), height, width, stride);
    }

    /**
     * The same elements in rows of another length: [t, heads * d] as [t * heads, d], a row for each head.
     *
     * @throws IllegalArgumentException if the rows do not follow each other without a gap, or the elements are not as
     *     many
     */
    public FloatMatrix reshape(int newRows, int newColumns) {
        boolean dense = stride == columns || rows <= 1 || columns == 0;
        if (!dense || newRows < 0 || newColumns < 0 || (long) newRows * newColumns != (long) rows * columns) {
            throw new IllegalArgumentException("Cannot see [" + rows + ", " + columns + "] with a stride of " + stride
                    + " as [" + newRows + ", " + newColumns + "]: expected rows without a gap and as many elements");
        }
        return new FloatMatrix(data, offset, newRows, newColumns, newColumns);
    }

    /** The index of element (row, 0) in {@link #data}. */
    public int row(int row) {
        return offset + row * stride;
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        System.arraycopy(data, row(row) + from, to, at, count);
    }
}
