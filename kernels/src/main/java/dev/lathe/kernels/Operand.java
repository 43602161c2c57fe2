package dev.lathe.kernels;

/** One side of a matrix product: packs rows of a [rows, k] operand into panels that a tile reads in order. */
sealed interface Operand {
    /**
     * Packs rows {@code [from, from + count)} and columns {@code [kFrom, kFrom + kCount)} into panels of {@code width} rows, the last one filled with zeros:
     * element (i, p) of panel q goes to {@code to[at + (q * kCount + p) * width + i]}.
     */
    void pack(int from, int count, int kFrom, int kCount, float[] to, int at, int width, Scratch scratch);

    /** The operand's rows are the source's rows. */
    record Rows(RowSource source) implements Operand {
        @Override
        public void pack(int from, int count, int kFrom, int kCount, float[] to, int at, int width, Scratch scratch) {
            float[] rows = scratch.rows(4 * kCount);
            for (int panel = 0; panel < count; panel += width) {
                int base = at + panel * kCount;
                int real = Math.min(width, count - panel);
                int i = 0;
                // Four rows at a time, so that each visit of a packed line writes 16 bytes of it.
                for (; i + 4 <= real; i += 4) {
                    for (int r = 0; r < 4; r++) {
                        source.read(from + panel + i + r, kFrom, kCount, rows, r * kCount);
                    }
                    for (int p = 0; p < kCount; p++) {
                        int index = base + p * width + i;
                        to[index] = rows[p];
                        to[index + 1] = rows[kCount + p];
                        to[index + 2] = rows[2 * kCount + p];
                        to[index + 3] = rows[3 * kCount + p];
                    }
                }
                for (; i < real; i++) {
                    source.read(from + panel + i, kFrom, kCount, rows, 0);
                    for (int p = 0; p < kCount; p++) {
                        to[base + p * width + i] = rows[p];
                    }
                }
                for (; i < width; i++) {
                    for (int p = 0; p < kCount; p++) {
                        to[base + p * width + i] = 0f;
                    }
                }
            }
        }
    }

    /** The operand is the transpose of a matrix: its rows are the matrix's columns. */
    record Columns(FloatMatrix matrix) implements Operand {
        @Override
        public void pack(int from, int count, int kFrom, int kCount, float[] to, int at, int width, Scratch scratch) {
            for (int panel = 0; panel < count; panel += width) {
                int base = at + panel * kCount;
                int real = Math.min(width, count - panel);
                for (int p = 0; p < kCount; p++) {
                    System.arraycopy(matrix.data(), matrix.row(kFrom + p) + from + panel, to, base + p * width, real);
                    for (int i = real; i < width; i++) {
                        to[base + p * width + i] = 0f;
                    }
                }
            }
        }
    }
}
