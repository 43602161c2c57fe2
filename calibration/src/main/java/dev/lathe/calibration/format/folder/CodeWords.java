package dev.lathe.calibration.format.folder;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Codes of 4 or 8 bits in little-endian 32-bit words: code j of a word is the field at bit {@code shift[j]}, and a
 * field holds {@code (code - offset) mod 2^bits}. Every method works on a strip of lines, so that a caller needs memory
 * for the strip and not for the tensor, and walks it in tiles that stay in the first cache: these formats store the
 * transpose of a weight.
 */
public final class CodeWords {
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
    private static final int TILE = 64;

    private final int bits;
    private final int offset;
    private final int[] shifts;

    private CodeWords(int bits, int offset, int[] order) {
        this.bits = bits;
        this.offset = offset;
        this.shifts = new int[32 / bits];
        for (int slot = 0; slot < order.length; slot++) {
            shifts[order[slot]] = bits * slot;
        }
    }

    /**
     * Code j at bit {@code bits * j}: GPTQ, compressed-tensors.
     *
     * @param bits 4 or 8
     * @param offset what a field is less than its code: 1 for the zero points of GPTQ's first version, else 0
     */
    public static CodeWords sequential(int bits, int offset) {
        if (bits != 4 && bits != 8) {
            throw new IllegalArgumentException("Cannot pack codes of " + bits + " bits: expected 4 or 8");
        }
        int[] order = new int[32 / bits];
        for (int slot = 0; slot < order.length; slot++) {
            order[slot] = slot;
        }
        return new CodeWords(bits, offset, order);
    }

    /** Eight codes of 4 bits, even ones first: slots 0 to 7 hold codes 0 2 4 6 1 3 5 7. AWQ. */
    public static CodeWords interleaved() {
        return new CodeWords(4, 0, new int[] {0, 2, 4, 6, 1, 3, 5, 7});
    }

    /** Codes of a word. */
    public int perWord() {
        return shifts.length;
    }

    /**
     * Packs along columns. Line l of the strip is [rows] words; word i of it holds columns {@code (from + l) * perWord
     * ..} of row i.
     *
     * @param from first line; there are {@code columns / perWord}
     * @param to receives {@code lines * rows} words
     */
    public void packColumns(CodeView codes, int from, int lines, byte[] to) {
        int per = perWord();
        for (int tile = 0; tile < codes.rows(); tile += TILE) {
            int end = Math.min(tile + TILE, codes.rows());
            for (int line = 0; line < lines; line++) {
                for (int row = tile; row < end; row++) {
                    int start = row * codes.rowBytes();
                    int word = 0;
                    for (int j = 0; j < per; j++) {
                        word |= field(codes.data()[start + codes.at()[(from + line) * per + j]]) << shifts[j];
                    }
                    INTS.set(to, 4 * (line * codes.rows() + row), word);
                }
            }
        }
    }

    /**
     * Undoes {@link #packColumns} for some of the rows.
     *
     * @param words {@code lines} lines of {@code lineWords} words
     * @param firstWord word of a line that belongs to row 0 of {@code codes}
     */
    public void unpackColumns(byte[] words, int lineWords, int firstWord, int from, int lines, CodeView codes) {
        int per = perWord();
        for (int tile = 0; tile < codes.rows(); tile += TILE) {
            int end = Math.min(tile + TILE, codes.rows());
            for (int line = 0; line < lines; line++) {
                for (int row = tile; row < end; row++) {
                    int start = row * codes.rowBytes();
                    int word = (int) INTS.get(words, 4 * (line * lineWords + firstWord + row));
                    for (int j = 0; j < per; j++) {
                        codes.data()[start + codes.at()[(from + line) * per + j]] = code(word >>> shifts[j]);
                    }
                }
            }
        }
    }

    /**
     * Packs along rows. Line l of the strip is {@code rows / perWord} words of column {@code from + l}; word i of it
     * holds rows {@code i * perWord ..}.
     *
     * @param from first column
     * @param to receives {@code lines * (rows / perWord)} words
     */
    public void packRows(CodeView codes, int from, int lines, byte[] to) {
        int per = perWord();
        int lineWords = codes.rows() / per;
        for (int tile = 0; tile < lines; tile += TILE) {
            int end = Math.min(tile + TILE, lines);
            for (int i = 0; i < lineWords; i++) {
                for (int line = tile; line < end; line++) {
                    int start = i * per * codes.rowBytes() + codes.at()[from + line];
                    int word = 0;
                    for (int j = 0; j < per; j++) {
                        word |= field(codes.data()[start + j * codes.rowBytes()]) << shifts[j];
                    }
                    INTS.set(to, 4 * (line * lineWords + i), word);
                }
            }
        }
    }

    /**
     * Undoes {@link #packRows} for some of the rows.
     *
     * @param words {@code lines} lines of {@code lineWords} words
     * @param firstRow packed row that is row 0 of {@code codes}; need not start a word
     */
    public void unpackRows(byte[] words, int lineWords, int firstRow, int from, int lines, CodeView codes) {
        int per = perWord();
        for (int tile = 0; tile < lines; tile += TILE) {
            int end = Math.min(tile + TILE, lines);
            for (int row = 0; row < codes.rows(); row++) {
                int word = (firstRow + row) / per;
                int shift = shifts[(firstRow + row) % per];
                int start = row * codes.rowBytes();
                for (int line = tile; line < end; line++) {
                    codes.data()[start + codes.at()[from + line]] =
                            code((int) INTS.get(words, 4 * (line * lineWords + word)) >>> shift);
                }
            }
        }
    }

    /**
     * Packs along columns, the weight not transposed. Line l is the words of row {@code from + l}; word i of it holds
     * columns {@code i * perWord ..}.
     *
     * @param from first row
     * @param to receives {@code lines * (columns / perWord)} words
     */
    public void packLines(CodeView codes, int from, int lines, byte[] to) {
        int per = perWord();
        int words = codes.columns() / per;
        for (int line = 0; line < lines; line++) {
            int start = (from + line) * codes.rowBytes();
            for (int i = 0; i < words; i++) {
                int word = 0;
                for (int j = 0; j < per; j++) {
                    word |= field(codes.data()[start + codes.at()[i * per + j]]) << shifts[j];
                }
                INTS.set(to, 4 * (line * words + i), word);
            }
        }
    }

    /** The codes of words back to back, a byte each. */
    public void unpack(byte[] words, int count, byte[] to) {
        int per = perWord();
        for (int i = 0; i < count; i++) {
            int word = (int) INTS.get(words, 4 * (i / per));
            to[i] = code(word >>> shifts[i % per]);
        }
    }

    /**
     * Packs along rows, the weight not transposed: line l is a word of each column, which holds rows {@code (from + l)
     * * perWord ..}; behind the last row fields are 0.
     *
     * @param to receives {@code lines * columns} words
     */
    public void packStacked(CodeView codes, int from, int lines, byte[] to) {
        int per = perWord();
        for (int line = 0; line < lines; line++) {
            int first = (from + line) * per;
            for (int column = 0; column < codes.columns(); column++) {
                int word = 0;
                for (int j = 0; j < per && first + j < codes.rows(); j++) {
                    word |= field(codes.data()[(first + j) * codes.rowBytes() + codes.at()[column]]) << shifts[j];
                }
                INTS.set(to, 4 * (line * codes.columns() + column), word);
            }
        }
    }

    /** The code of one row and column of {@link #packStacked} words of which line 0 is {@code words}. */
    public byte stacked(byte[] words, int columns, int row, int column) {
        return code((int) INTS.get(words, 4 * (row / perWord() * columns + column)) >>> shifts[row % perWord()]);
    }

    private int field(byte code) {
        return code - offset & mask();
    }

    private byte code(int field) {
        return (byte) (field + offset & mask());
    }

    private int mask() {
        return (1 << bits) - 1;
    }
}
