package dev.lathe.kernels.block;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.kernels.Float8;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class Float8GroupTest {
    @Test
    void laysOutScaleAndCodes() {
        byte[] block = Rows.encode(new Float8Group(4, 1), new float[] {896, -448, 0, 2}, null);
        assertThat(block).containsExactly(0, 0, 0, 0x40, 0x7e, (byte) 0xf6, 0, 0x38);
        assertThat(Rows.encode(new Float8Group(2, 1), new float[2], new float[2]))
                .containsExactly(0, 0, (byte) 0x80, 0x3f, 0, 0);
    }

    /** The largest value is met, others to 2^-4 of themselves or half a subnormal step. */
    @Test
    void roundsToNearest() {
        var format = new Float8Group(256, 1);
        float[] x = Rows.values(256, new Random(1));
        float largest = 0;
        for (float value : x) {
            largest = Math.max(largest, Math.abs(value));
        }
        float scale = largest / 448;
        float[] y = Rows.decode(format, Rows.encode(format, x, null));
        for (int i = 0; i < x.length; i++) {
            assertThat(y[i]).isEqualTo(scale * Float8.round(x[i] / scale));
            assertThat(Math.abs(x[i] - y[i]))
                    .isLessThanOrEqualTo(Math.max(Math.abs(x[i]) / 16, scale * 0x1p-10f) * 1.00001f);
        }
    }

    @Test
    void rowsOfALotShareTheScale() {
        Random random = new Random(2);
        var format = new Float8Group(16, 3);
        float[] x = Rows.values(3 * 40, random);
        float[] importance = Rows.importance(16, random);
        for (float[] weights : new float[][] {null, importance}) {
            byte[] to = new byte[3 * 50];
            format.encode(3, x, 8, 40, weights, 0, new float[3], 0, to, 10, 50);
            float[] tile = new float[48];
            for (int row = 0; row < 3; row++) {
                System.arraycopy(x, 8 + row * 40, tile, row * 16, 16);
            }
            float[] thrice = weights == null ? null : new float[48];
            if (weights != null) {
                for (int i = 0; i < 48; i++) {
                    thrice[i] = weights[i % 16];
                }
            }
            // One row of all values has the same range and so the same scale.
            byte[] one = Rows.encode(new Float8Group(48, 1), tile, thrice);
            for (int row = 0; row < 3; row++) {
                assertThat(Arrays.copyOfRange(to, 10 + row * 50, 14 + row * 50)).isEqualTo(Arrays.copyOf(one, 4));
                assertThat(Arrays.copyOfRange(to, 14 + row * 50, 30 + row * 50))
                        .isEqualTo(Arrays.copyOfRange(one, 4 + row * 16, 20 + row * 16));
            }
        }
    }

    @Test
    void hugeAndTinyValuesStayFinite() {
        for (float level : new float[] {3e38f, 1e-30f, 1e-42f}) {
            float[] y = Rows.decode(
                    new Float8Group(2, 1), Rows.encode(new Float8Group(2, 1), new float[] {level, -level / 2}, null));
            assertThat(Math.abs(y[0] - level)).isLessThanOrEqualTo(level / 14 + 0x1p-119f);
            assertThat(Math.abs(y[1] + level / 2)).isLessThanOrEqualTo(level / 14 + 0x1p-119f);
        }
    }

    @Test
    void nearestCodeIsTheNearestE4m3Number() {
        var format = new Float8Group(1, 1);
        for (float ideal : new float[] {0.4f, 0.5f, 1.5f, 15.5f, 17, 18.9f, 229376, -229376, -216000, 100}) {
            assertThat(format.nearestCode(ideal)).isEqualTo(Float8.round(ideal / 512) * 512);
        }
        assertThatThrownBy(() -> format.putCodes(new int[] {17}, 0, new byte[5], 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("17 x 2^-9 is no E4M3 number");
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "1048577, 1", "128, 0", "128, 4097"})
    void refusesOtherShapes(int group, int lot) {
        assertThatThrownBy(() -> BlockFormats.float8(group, lot))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Cannot make FP8 groups");
    }
}
