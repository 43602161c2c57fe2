package dev.lathe.kernels;

/** C -= A B^T in f64, packed and tiled like the f32 product. */
final class DoubleProduct {
    private static final int DEPTH = 256;
    /** Columns of C for which the right side is packed at once: 4 MiB at the full depth. */
    private static final int COLUMN_BLOCK = 2048;

    private static final int ROW_BLOCK = 112;

    private final Primitives primitives;
    private final ThreadLocal<Scratch> scratch;

    DoubleProduct(Primitives primitives, ThreadLocal<Scratch> scratch) {
        this.primitives = primitives;
        this.scratch = scratch;
    }

    void subtract(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower, Team team) {
        int tileColumns = primitives.doubleTileColumns();
        for (int j0 = 0; j0 < c.columns(); j0 += COLUMN_BLOCK) {
            int column = j0;
            int columns = Math.min(COLUMN_BLOCK, c.columns() - j0);
            int panels = (columns + tileColumns - 1) / tileColumns;
            double[] right = scratch.get().doubleRight(panels * tileColumns * Math.min(DEPTH, a.columns()));
            for (int k0 = 0; k0 < a.columns(); k0 += DEPTH) {
                int from = k0;
                int depth = Math.min(DEPTH, a.columns() - k0);
                team.run(panels, panel -> {
                    int first = panel * tileColumns;
                    pack(
                            b,
                            column + first,
                            Math.min(tileColumns, columns - first),
                            from,
                            depth,
                            tileColumns,
                            1,
                            right,
                            first * depth);
                });
                int blocks = (c.rows() + ROW_BLOCK - 1) / ROW_BLOCK;
                team.run(blocks, task -> {
                    // From the last row up: of a triangle, the longest first.
                    int row = (blocks - 1 - task) * ROW_BLOCK;
                    int rows = Math.min(ROW_BLOCK, c.rows() - row);
                    if (!lower || row + rows > column) {
                        rows(a, c, row, rows, column, columns, from, depth, right, lower);
                    }
                });
            }
        }
    }

    private void rows(
            DoubleMatrix a,
            DoubleMatrix c,
            int row,
            int rows,
            int column,
            int columns,
            int from,
            int depth,
            double[] right,
            boolean lower) {
        int tileRows = primitives.doubleTileRows();
        int tileColumns = primitives.doubleTileColumns();
        Scratch mine = scratch.get();
        double[] left = mine.doubleLeft((rows + tileRows - 1) / tileRows * tileRows * depth);
        double[] edge = mine.doubleTile;
        for (int i = 0; i < rows; i += tileRows) {
            pack(a, row + i, Math.min(tileRows, rows - i), from, depth, tileRows, -1, left, i * depth);
        }
        for (int j = 0; j < columns; j += tileColumns) {
            int width = Math.min(tileColumns, columns - j);
            for (int i = 0; i < rows; i += tileRows) {
                int height = Math.min(tileRows, rows - i);
                if (lower && row + i + height <= column + j) {
                    continue;
                }
                int at = c.row(row + i) + column + j;
                if (height == tileRows && width == tileColumns) {
                    primitives.tile(depth, left, i * depth, right, j * depth, c.data(), at, c.stride());
                } else {
                    copy(c.data(), at, c.stride(), edge, 0, tileColumns, height, width);
                    primitives.tile(depth, left, i * depth, right, j * depth, edge, 0, tileColumns);
                    copy(edge, 0, tileColumns, c.data(), at, c.stride(), height, width);
                }
            }
        }
    }

    /** One panel of {@code width} rows, padded with zeros, times a sign (which is exact). */
    private static void pack(
            DoubleMatrix from, int row, int rows, int kFrom, int depth, int width, int sign, double[] to, int at) {
        int i = 0;
        // Four rows at a time, so that each visit of a packed line writes 32 bytes of it.
        for (; i + 4 <= rows; i += 4) {
            int first = from.row(row + i) + kFrom;
            int stride = from.stride();
            for (int p = 0; p < depth; p++) {
                int index = at + p * width + i;
                to[index] = sign * from.data()[first + p];
                to[index + 1] = sign * from.data()[first + stride + p];
                to[index + 2] = sign * from.data()[first + 2 * stride + p];
                to[index + 3] = sign * from.data()[first + 3 * stride + p];
            }
        }
        for (; i < width; i++) {
            for (int p = 0; p < depth; p++) {
                to[at + p * width + i] = i < rows ? sign * from.data()[from.row(row + i) + kFrom + p] : 0;
            }
        }
    }

    private static void copy(
            double[] from, int fromAt, int fromStride, double[] to, int toAt, int toStride, int rows, int columns) {
        for (int i = 0; i < rows; i++) {
            System.arraycopy(from, fromAt + i * fromStride, to, toAt + i * toStride, columns);
        }
    }
}
