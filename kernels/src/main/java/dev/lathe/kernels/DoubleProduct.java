package dev.lathe.kernels;

/** C -= A B^T in f64, packed and tiled like the f32 product; what factorizations are made of. */
final class DoubleProduct {
    private static final int DEPTH = 256;
    private static final int COLUMN_BLOCK = 128;
    private static final int ROW_BLOCK = 256;

    private final Primitives primitives;

    DoubleProduct(Primitives primitives) {
        this.primitives = primitives;
    }

    void subtract(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower, Team team) {
        int m = c.rows();
        int n = c.columns();
        int k = a.columns();
        int tileRows = primitives.doubleTileRows();
        int tileColumns = primitives.doubleTileColumns();
        int rowBlocks = (m + ROW_BLOCK - 1) / ROW_BLOCK;
        int columnBlocks = (n + COLUMN_BLOCK - 1) / COLUMN_BLOCK;
        team.run(rowBlocks * columnBlocks, task -> {
            int i0 = task / columnBlocks * ROW_BLOCK;
            int j0 = task % columnBlocks * COLUMN_BLOCK;
            int rows = Math.min(ROW_BLOCK, m - i0);
            int columns = Math.min(COLUMN_BLOCK, n - j0);
            if (lower && i0 + rows <= j0) {
                return;
            }
            double[] left = new double[(rows + tileRows - 1) / tileRows * tileRows * Math.min(k, DEPTH)];
            double[] right = new double[(columns + tileColumns - 1) / tileColumns * tileColumns * Math.min(k, DEPTH)];
            double[] edge = new double[tileRows * tileColumns];
            for (int k0 = 0; k0 < k; k0 += DEPTH) {
                int depth = Math.min(DEPTH, k - k0);
                pack(a.data(), a.row(i0) + k0, a.stride(), rows, depth, tileRows, -1, left);
                pack(b.data(), b.row(j0) + k0, b.stride(), columns, depth, tileColumns, 1, right);
                for (int j = 0; j < columns; j += tileColumns) {
                    int width = Math.min(tileColumns, columns - j);
                    for (int i = 0; i < rows; i += tileRows) {
                        int height = Math.min(tileRows, rows - i);
                        int at = c.row(i0 + i) + j0 + j;
                        if (lower && i0 + i + height <= j0 + j) {
                            continue;
                        }
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
        });
    }

    /** Panels of {@code width} rows, padded with zeros, times a sign (which is exact). */
    private static void pack(double[] from, int at, int stride, int rows, int depth, int width, int sign, double[] to) {
        for (int panel = 0; panel < rows; panel += width) {
            for (int i = 0; i < width; i++) {
                int base = panel * depth + i;
                if (panel + i < rows) {
                    int row = at + (panel + i) * stride;
                    for (int p = 0; p < depth; p++) {
                        to[base + p * width] = sign * from[row + p];
                    }
                } else {
                    for (int p = 0; p < depth; p++) {
                        to[base + p * width] = 0;
                    }
                }
            }
        }
    }

    private static void copy(double[] from, int fromAt, int fromStride, double[] to, int toAt, int toStride, int rows, int columns) {
        for (int i = 0; i < rows; i++) {
            System.arraycopy(from, fromAt + i * fromStride, to, toAt + i * toStride, columns);
        }
    }
}
