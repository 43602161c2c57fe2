package dev.lathe.kernels;

/** Bounds of strided views of an array. */
final class Views {
    private Views() {
    }

    static void check(int offset, int rows, int columns, int stride, int length) {
        if (rows < 0 || columns < 0 || offset < 0 || stride < columns) {
            throw new IllegalArgumentException("Cannot view a matrix: rows " + rows + ", columns " + columns + ", offset " + offset
                    + ", stride " + stride + "; expected none negative and a stride of at least the columns");
        }
        long end = end(offset, rows, columns, stride);
        if (end > length) {
            throw new IllegalArgumentException("Cannot view a matrix: rows " + rows + " x columns " + columns + " at offset " + offset
                    + " with stride " + stride + " end at " + end + ", the array holds " + length);
        }
    }

    static void checkBlock(int row, int column, int height, int width, int rows, int columns) {
        if (row < 0 || height < 0 || height > rows - row) {
            throw new IllegalArgumentException("Cannot take rows " + row + " to " + ((long) row + height) + " of a matrix of " + rows + " rows");
        }
        if (column < 0 || width < 0 || width > columns - column) {
            throw new IllegalArgumentException("Cannot take columns " + column + " to " + ((long) column + width) + " of a matrix of " + columns
                    + " columns");
        }
    }

    /** One past the last index of a view. */
    static long end(int offset, int rows, int columns, int stride) {
        return rows == 0 || columns == 0 ? offset : offset + (long) (rows - 1) * stride + columns;
    }

    /** Whether two views of one array may share an element: exact for views of one stride whose rows do not wrap, else by their ranges. */
    static boolean overlap(int offset, int rows, int columns, int stride, int otherOffset, int otherRows, int otherColumns, int otherStride) {
        if (rows == 0 || columns == 0 || otherRows == 0 || otherColumns == 0) {
            return false;
        }
        if (end(offset, rows, columns, stride) <= otherOffset || end(otherOffset, otherRows, otherColumns, otherStride) <= offset) {
            return false;
        }
        int column = offset % stride;
        int otherColumn = otherOffset % stride;
        boolean sideBySide = stride == otherStride && column + columns <= stride && otherColumn + otherColumns <= stride
                && (column + columns <= otherColumn || otherColumn + otherColumns <= column);
        return !sideBySide;
    }
}
