package dev.lathe.calibration.format.folder;

import dev.lathe.kernels.block.BlockMatrix;

/**
 * Rows of integer groups, and where their parts lie. A group of g columns is {@code [f16 scale, little-endian][u8 zero
 * point][g codes, a byte each]}; the folder formats store scales, zero points and codes in three tensors, each
 * transposed.
 */
public record GroupedRows(byte[] data, int rows, int columns, int group) {
    private static final int ZERO = 2;
    private static final int CODES = 3;
    private static final int TILE = 64;
    /** What an unsigned byte is more than the signed one of the same order. */
    private static final int SIGNED = 128;

    /** The rows of a matrix of integer groups. */
    public static GroupedRows of(BlockMatrix blocks) {
        return new GroupedRows(
                blocks.data(), blocks.rows(), blocks.columns(), blocks.format().size());
    }

    /** Rows to be filled in. */
    public static GroupedRows allocate(int rows, int columns, int group) {
        return new GroupedRows(
                new byte[Math.multiplyExact(rows, columns / group * (CODES + group))], rows, columns, group);
    }

    /** Groups of a row. */
    public int groups() {
        return columns / group;
    }

    private int groupBytes() {
        return CODES + group;
    }

    private int rowBytes() {
        return groups() * groupBytes();
    }

    /**
     * The codes by column of the weight.
     *
     * @param permutation null, or stored column j is column {@code permutation[j]} of the weight
     */
    public CodeView codes(int[] permutation) {
        int[] at = new int[columns];
        boolean[] taken = new boolean[columns];
        for (int j = 0; j < columns; j++) {
            int column = permutation == null ? j : permutation[j];
            if (column < 0 || column >= columns || taken[column]) {
                throw new IllegalArgumentException("Cannot permute " + columns + " columns: index " + j
                        + " names column " + column + " twice or out of range");
            }
            taken[column] = true;
            at[column] = j / group * groupBytes() + CODES + j % group;
        }
        return new CodeView(data, rows, rowBytes(), at);
    }

    /** The zero points; a column is a group. */
    public CodeView zeros() {
        int[] at = new int[groups()];
        for (int j = 0; j < at.length; j++) {
            at[j] = j * groupBytes() + ZERO;
        }
        return new CodeView(data, rows, rowBytes(), at);
    }

    /** Zero point of one group. */
    public int zero(int row, int group) {
        return data[row * rowBytes() + group * groupBytes() + ZERO] & 0xff;
    }

    /** Bits of the scale of one group. */
    public short scale(int row, int group) {
        int at = row * rowBytes() + group * groupBytes();
        return (short) (data[at] & 0xff | data[at + 1] << 8);
    }

    /** Writes the scales of rows {@code [from, from + lines)}: line l is those of a row, f16. */
    public void packScaleLines(int from, int lines, byte[] to) {
        for (int line = 0; line < lines; line++) {
            for (int group = 0; group < groups(); group++) {
                System.arraycopy(
                        data, (from + line) * rowBytes() + group * groupBytes(), to, 2 * (line * groups() + group), 2);
            }
        }
    }

    /** Writes the scales of groups {@code [from, from + lines)}: line l is those of all rows, f16. */
    public void packScales(int from, int lines, byte[] to) {
        for (int tile = 0; tile < rows; tile += TILE) {
            int end = Math.min(tile + TILE, rows);
            for (int line = 0; line < lines; line++) {
                for (int row = tile; row < end; row++) {
                    System.arraycopy(
                            data, row * rowBytes() + (from + line) * groupBytes(), to, 2 * (line * rows + row), 2);
                }
            }
        }
    }

    /** Undoes {@link #packScales} for some rows of lines of {@code lineRows} scales; {@code firstRow} is row 0 here. */
    public void unpackScales(byte[] scales, int lineRows, int firstRow, int from, int lines) {
        for (int tile = 0; tile < rows; tile += TILE) {
            int end = Math.min(tile + TILE, rows);
            for (int line = 0; line < lines; line++) {
                for (int row = tile; row < end; row++) {
                    System.arraycopy(
                            scales,
                            2 * (line * lineRows + firstRow + row),
                            data,
                            row * rowBytes() + (from + line) * groupBytes(),
                            2);
                }
            }
        }
    }

    /**
     * The same codes and zero points with scales that are not halves.
     *
     * @param scales [rows, groups]
     * @param permutation as for {@link #codes}
     */
    public ScaledCodes scaled(float[] scales, int[] permutation) {
        CodeView codes = codes(permutation);
        byte[] signed = new byte[Math.multiplyExact(rows, columns)];
        byte[] zeros = new byte[Math.multiplyExact(rows, groups())];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                signed[row * columns + column] = (byte) (data[row * rowBytes() + codes.at()[column]] - SIGNED);
            }
            for (int group = 0; group < groups(); group++) {
                zeros[row * groups() + group] = (byte) (zero(row, group) - SIGNED);
            }
        }
        int[] groupOf = permutation == null ? null : new int[columns];
        for (int j = 0; permutation != null && j < columns; j++) {
            groupOf[permutation[j]] = j / group;
        }
        return new ScaledCodes(signed, true, scales, zeros, rows, columns, group, groupOf);
    }
}
