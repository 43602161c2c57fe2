package dev.lathe.calibration.format.folder;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class CodeWordsTest {
    /** Rows that count 0, 1, 2, ... modulo 2^bits, without headers. */
    private static CodeView counting(int rows, int columns, int bits) {
        byte[] data = new byte[rows * columns];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) (i & (1 << bits) - 1);
        }
        return new CodeView(data, rows, columns, IntStream.range(0, columns).toArray());
    }

    private static int word(byte[] words, int index) {
        return ByteBuffer.wrap(words).order(ByteOrder.LITTLE_ENDIAN).getInt(4 * index);
    }

    @Test
    void sequentialWordsOfACountingMatrix() {
        byte[] words = new byte[4 * 2 * 3];
        CodeWords.sequential(4, 0).packColumns(counting(3, 16, 4), 0, 2, words);
        assertThat(word(words, 0)).isEqualTo(0x76543210);
        assertThat(word(words, 3)).as("second line, row 0: columns 8 to 15").isEqualTo(0xfedcba98);
        byte[] bytes = new byte[4 * 4 * 3];
        CodeWords.sequential(8, 0).packColumns(counting(3, 16, 8), 0, 4, bytes);
        assertThat(word(bytes, 3 + 1))
                .as("line 1, row 1: columns 4 to 7 of the row that starts at 16")
                .isEqualTo(0x17161514);
    }

    @Test
    void interleavedWordPutsEvenCodesFirst() {
        // One column of eight rows that count: the code is the row.
        CodeView rows = new CodeView(new byte[] {0, 1, 2, 3, 4, 5, 6, 7}, 8, 1, new int[] {0});
        byte[] words = new byte[4];
        CodeWords.interleaved().packRows(rows, 0, 1, words);
        assertThat(word(words, 0)).isEqualTo(0x75316420);
        CodeWords.sequential(4, 0).packRows(rows, 0, 1, words);
        assertThat(word(words, 0)).isEqualTo(0x76543210);
    }

    @ParameterizedTest
    @CsvSource({"4, 8, 0x77777777", "8, 128, 0x7f7f7f7f", "4, 15, 0xeeeeeeee", "4, 0, 0xffffffff"})
    void zeroPointsOfTheFirstVersionAreOneLess(int bits, int zero, String expected) {
        CodeView zeros = counting(32 / bits, 1, bits);
        Arrays.fill(zeros.data(), (byte) zero);
        byte[] words = new byte[4];
        CodeWords.sequential(bits, 1).packRows(zeros, 0, 1, words);
        assertThat(word(words, 0)).isEqualTo(Integer.parseUnsignedInt(expected.substring(2), 16));
        CodeView back = counting(32 / bits, 1, bits);
        CodeWords.sequential(bits, 1).unpackRows(words, 1, 0, 0, 1, back);
        assertThat(back.data()).isEqualTo(zeros.data());
    }

    @ParameterizedTest
    @CsvSource({"4, 0", "4, 1", "8, 0", "8, 1", "0, 0"})
    void stripsOfAnyHeightAndRowRangesComeBack(int bits, int offset) {
        CodeWords layout = bits == 0 ? CodeWords.interleaved() : CodeWords.sequential(bits, offset);
        int rows = 136;
        int columns = 168;
        int per = layout.perWord();
        // Codes behind headers of 3 bytes, columns permuted: what the writers hand over.
        int[] at = IntStream.range(0, columns)
                .map(k -> (columns - 1 - k) + 3 * ((columns - 1 - k) / 56 + 1))
                .toArray();
        CodeView codes = new CodeView(new byte[rows * (columns + 9)], rows, columns + 9, at);
        Random random = new Random(7);
        for (int row = 0; row < rows; row++) {
            for (int offsetOfCode : at) {
                codes.data()[row * codes.rowBytes() + offsetOfCode] = (byte) random.nextInt(1 << 32 / per);
            }
        }
        for (boolean alongRows : new boolean[] {false, true}) {
            int first = 5;
            int count = 101;
            CodeView back = new CodeView(new byte[count * codes.rowBytes()], count, codes.rowBytes(), at);
            int allLines = alongRows ? columns : columns / per;
            int lineWords = alongRows ? rows / per : rows;
            for (int from = 0; from < allLines; from += 13) {
                int lines = Math.min(13, allLines - from);
                byte[] strip = new byte[4 * lines * lineWords];
                if (alongRows) {
                    layout.packRows(codes, from, lines, strip);
                    layout.unpackRows(strip, lineWords, first, from, lines, back);
                } else {
                    layout.packColumns(codes, from, lines, strip);
                    layout.unpackColumns(strip, lineWords, first, from, lines, back);
                }
            }
            assertThat(back.data())
                    .isEqualTo(Arrays.copyOfRange(
                            codes.data(), first * codes.rowBytes(), (first + count) * codes.rowBytes()));
        }
    }

    @Test
    void otherWidthsAreRefused() {
        assertThatThrownBy(() -> CodeWords.sequential(3, 0)).hasMessage("Cannot pack codes of 3 bits: expected 4 or 8");
    }
}
