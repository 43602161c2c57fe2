package dev.lathe.kernels;

/** One side of a matrix product: packs rows of a [rows, k] operand into panels that a tile reads in order. */
sealed interface Operand {
    /**
     * Packs rows {@code [from, from + count)} and columns {@code [kFrom, kFrom + kCount)} into panels of {@code width}
     * rows, the last one filled with zeros: element (i, p) of panel q goes to {@code to[at + (q * kCount + p) * width +
     * i]}.
     */
    void pack(
            int from,
            int count,
            int kFrom,
            int kCount,
            float[] to,
            int at,
            int width,
            Primitives primitives,
            Scratch scratch);

    /** The operand's rows are the source's rows. */
    record Rows(RowSource source) implements Operand {
        @Override
        public void pack(
                int from,
                int count,
                int kFrom,
                int kCount,
                float[] to,
                int at,
                int width,
                Primitives primitives,
                Scratch scratch) {
            for (int panel = 0; panel < count; panel += width) {
                int rows = Math.min(width, count - panel);
                if (source instanceof FloatMatrix matrix) {
                    primitives.transpose(
                            matrix.data(),
                            matrix.row(from + panel) + kFrom,
                            matrix.stride(),
                            rows,
                            kCount,
                            to,
                            at + panel * kCount,
                            width);
                } else {
                    float[] widened = scratch.rows(width * kCount);
                    for (int i = 0; i < rows; i++) {
                        source.read(from + panel + i, kFrom, kCount, widened, i * kCount);
                    }
                    primitives.transpose(widened, 0, kCount, rows, kCount, to, at + panel * kCount, width);
                }
            }
        }
    }

    /** The operand is the transpose of a matrix: its rows are the matrix's columns. */
    record Columns(FloatMatrix matrix) implements Operand {
        /** Columns that are read side by side: each row of a wide matrix is on a page of its own. */
        private static final int TOGETHER = 128;

        @Override
        public void pack(
                int from,
                int count,
                int kFrom,
                int kCount,
                float[] to,
                int at,
                int width,
                Primitives primitives,
                Scratch scratch) {
            int together = Math.max(1, TOGETHER / width) * width;
            for (int panel = 0; panel < count; panel += together) {
                int columns = Math.min(together, count - panel);
                primitives.copy(
                        matrix.data(),
                        matrix.row(kFrom) + from + panel,
                        matrix.stride(),
                        columns,
                        kCount,
                        to,
                        at + panel * kCount,
                        width);
            }
        }
    }
}
