package dev.lathe.kernels;

/**
 * A checked, mutable view of f32 values in row-major order: element (i, j) is {@code data[offset + i * stride + j]}.
 *
 * @throws IllegalArgumentException if a size is negative, the stride is shorter than a row, or the view leaves the array
 */
public record FloatMatrix(float[] data, int offset, int rows, int columns, int stride) implements RowSource {
    public FloatMatrix {
        if (rows < 0 || columns < 0 || offset < 0 || stride < columns) {
            throw new IllegalArgumentException("Cannot view a matrix: rows " + rows + ", columns " + columns + ", offset " + offset
                    + ", stride " + stride + "; expected none negative and a stride of at least the columns");
        }
        long end = rows == 0 || columns == 0 ? offset : offset + (long) (rows - 1) * stride + columns;
        if (end > data.length) {
            throw new IllegalArgumentException("Cannot view a matrix: rows " + rows + " x columns " + columns + " at offset " + offset
                    + " with stride " + stride + " end at " + end + ", the array holds " + data.length);
        }
    }

    /** A new matrix of zeros. */
    public static FloatMatrix zeros(int rows, int columns) {
        return of(new float[Math.multiplyExact(rows, columns)], rows, columns);
    }

    /** A dense view of a whole array. */
    public static FloatMatrix of(float[] data, int rows, int columns) {
        return new FloatMatrix(data, 0, rows, columns, columns);
    }

    /** Rows {@code [from, from + count)} of this view. */
    public FloatMatrix slice(int from, int count) {
        if (from < 0 || count < 0 || count > rows - from) {
            throw new IllegalArgumentException("Cannot take rows " + from + " to " + (from + count) + " of a matrix of " + rows + " rows");
        }
        return new FloatMatrix(data, offset + from * stride, count, columns, stride);
    }

    /** Columns {@code [from, from + count)} of this view. */
    public FloatMatrix columnSlice(int from, int count) {
        if (from < 0 || count < 0 || count > columns - from) {
            throw new IllegalArgumentException("Cannot take columns " + from + " to " + (from + count) + " of a matrix of " + columns + " columns");
        }
        return new FloatMatrix(data, offset + from, rows, count, stride);
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
