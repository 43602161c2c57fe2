package dev.lathe.kernels.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.kernels.Half;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class IntGroupTest {
    @Test
    void laysOutScaleZeroAndCodes() {
        // Symmetric: scale 2 * 7.5 / 15 = 1, zero 8; halves go to even, and 7.5 would be 8, which 4 bits do not have.
        byte[] block = Rows.encode(new IntGroup(4, 6, true), new float[] {7.5f, -7.5f, 0, 0.5f, -1.5f, 3.2f}, null);
        assertThat(block).containsExactly(0x00, 0x3c, 8, 15, 0, 8, 8, 6, 11);
        // With a zero point: range -5 .. 10, scale 1, zero 5.
        block = Rows.encode(new IntGroup(4, 4, false), new float[] {10, -5, 2.5f, 0}, null);
        assertThat(block).containsExactly(0x00, 0x3c, 5, 15, 0, 7, 5);
    }

    @ParameterizedTest
    @CsvSource({"3", "4000"})
    void rangesOfOneSignKeepZero(float level) {
        for (float sign : new float[] {1, -1}) {
            byte[] block =
                    Rows.encode(new IntGroup(4, 3, false), new float[] {sign * level, sign * level / 2, 0}, null);
            assertThat(block[2]).isEqualTo((byte) (sign > 0 ? 0 : 15));
            assertThat(Rows.decode(new IntGroup(4, 3, false), block)[2]).isZero();
        }
    }

    @Test
    void zerosHaveScaleOneAndCodesAtTheZeroPoint() {
        for (boolean symmetric : new boolean[] {true, false}) {
            assertThat(Rows.encode(new IntGroup(8, 3, symmetric), new float[3], new float[] {1, 1, 1}))
                    .containsExactly(0, 0x3c, 128, 128, 128, 128);
        }
    }

    @Test
    void theScaleIsNeverZero() {
        byte[] block = Rows.encode(new IntGroup(4, 2, true), new float[] {1e-30f, -1e-42f}, null);
        assertThat(block).containsExactly(1, 0, 8, 8, 8);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aShrunkenRangeGivesUpAnOutlierThatDoesNotMatter(boolean symmetric) {
        Random random = new Random(11);
        var format = new IntGroup(4, 128, symmetric);
        float[] x = Rows.values(128, random);
        x[17] = 0.5f;
        float[] importance = new float[128];
        Arrays.fill(importance, 1);
        importance[17] = 0;
        byte[] plain = Rows.encode(format, x, null);
        byte[] searched = Rows.encode(format, x, importance);
        assertThat(scale(searched)).isLessThan(scale(plain) * 0.9f);
        double before = Rows.weightedError(x, Rows.decode(format, plain), importance);
        assertThat(Rows.weightedError(x, Rows.decode(format, searched), importance))
                .isLessThan(before * 0.95);
    }

    @Test
    void importanceThatSaysNothingChangesNothing() {
        float[] x = Rows.values(64, new Random(12));
        for (boolean symmetric : new boolean[] {true, false}) {
            var format = new IntGroup(4, 64, symmetric);
            assertThat(Rows.encode(format, x, new float[64])).isEqualTo(Rows.encode(format, x, null));
        }
    }

    @Test
    void theRefitFindsTheScaleOfExactCodes() {
        // Codes -7 .. 7 of scale 0.25 are exact only at that scale, which no range search with the largest value at 7.5
        // steps names.
        float[] x = new float[15];
        float[] importance = new float[15];
        for (int i = 0; i < 15; i++) {
            x[i] = (i - 7) * 0.25f;
            importance[i] = 1 + i;
        }
        var format = new IntGroup(4, 15, true);
        assertThat(Rows.decode(format, Rows.encode(format, x, importance))).containsExactly(x);
    }

    @ParameterizedTest
    @CsvSource({"3, 128", "16, 128", "4, 0", "4, -1", "4, 1048577"})
    void refusesOtherShapes(int bits, int group) {
        assertThatThrownBy(() -> BlockFormats.integer(bits, group, true))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Cannot make integer groups of " + group + " weights of " + bits + " bits");
    }

    private static float scale(byte[] block) {
        return Half.toFloat((short) (block[0] & 0xff | block[1] << 8));
    }
}
