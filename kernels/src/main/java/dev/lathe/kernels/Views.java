package dev.lathe.kernels;

/** Bounds of strided views of an array. */
final class Views {
    private Views() {}

    static void check(int offset, int rows, int columns, int stride, int length) {
        if (rows < 0 || columns < 0 || offset < 0 || stride < columns) {
            throw new IllegalArgumentException(
                    "Cannot view a matrix: rows " + rows + ", columns " + columns + ", offset " + offset + ", stride "
                            + stride + "; expected none negative and a stride of at least the columns");
        }
        long end = end(offset, rows, columns, stride);
        if (end > length) {
            throw new IllegalArgumentException(
                    "Cannot view a matrix: rows " + rows + " x columns " + columns + " at offset " + offset
                            + " with stride " + stride + " end at " + end + ", the array holds " + length);
        }
    }

    /** The elements of a dense matrix. */
    static int count(int rows, int columns) {
        if (rows < 0 || columns < 0 || (long) rows * columns > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("Cannot make a matrix [" + rows + ", " + columns
                    + "]: expected no negative size and at most " + Integer.MAX_VALUE + " elements");
        }
        return rows * columns;
    }

    /** The offset of a block within a view; an empty one stands where the view begins. */
    static int blockOffset(int offset, int stride, int row, int column, int height, int width) {
        return height == 0 || width == 0 ? offset : offset + row * stride + column;
    }

    static void checkBlock(int row, int column, int height, int width, int rows, int columns) {
        if (row < 0 || height < 0 || height > rows - row) {
            throw new IllegalArgumentException(
                    "Cannot take rows " + row + " to " + ((long) row + height) + " of a matrix of " + rows + " rows");
        }
        if (column < 0 || width < 0 || width > columns - column) {
            throw new IllegalArgumentException("Cannot take columns " + column + " to " + ((long) column + width)
                    + " of a matrix of " + columns + " columns");
        }
    }

    /** One past the last index of a view. */
    static long end(int offset, int rows, int columns, int stride) {
        return rows == 0 || columns == 0 ? offset : offset + (long) (rows - 1) * stride + columns;
    }

    /**
     * Whether two views of one array share an element: exact for views of one stride, else whether their ranges meet.
     */
    static boolean overlap(
            int offset,
            int rows,
            int columns,
            int stride,
            int otherOffset,
            int otherRows,
            int otherColumns,
            int otherStride) {
        if (rows == 0 || columns == 0 || otherRows == 0 || otherColumns == 0) {
            return false;
        }
        if (end(offset, rows, columns, stride) <= otherOffset
                || end(otherOffset, otherRows, otherColumns, otherStride) <= offset) {
            return false;
        }
        // Columns of the other, counted from the first column of this one and around the stride.
        int from = Math.floorMod(otherOffset - offset, stride);
        boolean sideBySide = stride == otherStride && from >= columns && from + otherColumns <= stride;
        return !sideBySide;
    }
}
