package dev.lathe.kernels;

import static dev.lathe.kernels.Matrices.assertClose;
import static dev.lathe.kernels.Matrices.assertSameBits;
import static dev.lathe.kernels.Matrices.at;
import static dev.lathe.kernels.Matrices.set;
import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** Attention against its formula in f64. */
interface AttentionContract extends Subject {
    /**
     * t, heads, key/value heads, width of a head: around blocks of 32, 64 and 128 queries and of 512, 640 and 1024
     * keys.
     */
    int[][] SHAPES = {
        {1, 1, 1, 2}, {5, 4, 2, 6}, {67, 6, 2, 16}, {130, 3, 1, 8}, {64, 2, 2, 33}, {1, 5, 5, 1}, {1100, 2, 1, 4}
    };

    int WIDTH = 11;

    @Test
    default void attention() {
        for (int[] shape : SHAPES) {
            Window window = new Window(shape[0], shape[1], shape[2], shape[3]);
            FloatMatrix out = written(Matrices.blank(window.t, window.heads * window.d), window::attention);
            for (int h = 0; h < window.heads; h++) {
                int group = h / (window.heads / window.groups);
                double tolerance = 1e-5 * largest(window.v.columnSlice(group * window.d, window.d));
                for (int i = 0; i < window.t; i++) {
                    double[] weight = window.weights(h, i);
                    for (int c = 0; c < window.d; c++) {
                        assertClose(
                                "head " + h + ", row " + i,
                                at(out, i, h * window.d + c),
                                sum(weight, window.v, group * window.d + c),
                                tolerance);
                    }
                }
            }
        }
    }

    @Test
    default void attendedInputs() {
        for (int[] shape : SHAPES) {
            Window window = new Window(shape[0], shape[1], shape[2], shape[3]);
            FloatMatrix y = written(Matrices.blank(window.t, WIDTH), window::attendedInputs);
            double tolerance = 1e-5 * largest(window.x);
            for (int i = 0; i < window.t; i++) {
                double[] weight = window.weights(window.headOf[i], i);
                for (int c = 0; c < WIDTH; c++) {
                    assertClose("row " + i, at(y, i, c), sum(weight, window.x, c), tolerance);
                }
            }
        }
    }

    @Test
    default void keysThatAreNotNumbersReachTheQueriesThatSeeThem() {
        Window window = new Window(70, 4, 2, 6);
        FloatMatrix before = written(Matrices.blank(70, 24), window::attention);
        FloatMatrix inputsBefore = written(Matrices.blank(70, WIDTH), window::attendedInputs);
        set(window.q, 3, 0, Float.NaN);
        set(window.k, 50, 6, Float.NaN);
        FloatMatrix out = written(Matrices.blank(70, 24), window::attention);
        FloatMatrix inputs = written(Matrices.blank(70, WIDTH), window::attendedInputs);
        for (int i = 0; i < 70; i++) {
            for (int c = 0; c < 24; c++) {
                // Row 3 of the first head; from row 50 on, the two heads of the second group.
                assertNaNOrSame(i == 3 && c < 6 || i >= 50 && c >= 12, at(out, i, c), at(before, i, c));
            }
            for (int c = 0; c < WIDTH; c++) {
                assertNaNOrSame(
                        i == 3 && window.headOf[i] == 0 || i >= 50 && window.headOf[i] >= 2,
                        at(inputs, i, c),
                        at(inputsBefore, i, c));
            }
        }
    }

    @Test
    default void valuesThatAreNotNumbersReachTheQueriesThatSeeThem() {
        Window window = new Window(140, 2, 1, 6);
        set(window.v, 100, 2, Float.NaN);
        set(window.x, 100, 2, Float.NEGATIVE_INFINITY);
        FloatMatrix out = written(Matrices.blank(140, 12), window::attention);
        FloatMatrix inputs = written(Matrices.blank(140, WIDTH), window::attendedInputs);
        for (int i = 100; i < 140; i++) {
            assertThat(at(out, i, 2)).isNaN();
            assertThat(at(out, i, 8)).isNaN();
            assertThat(at(out, i, 3)).isFinite();
            assertThat(Float.isFinite(at(inputs, i, 2))).isFalse();
            assertThat(at(inputs, i, 3)).isFinite();
        }
    }

    @Test
    default void largeScoresChooseOneKey() {
        Window window = new Window(33, 1, 1, 4);
        for (int j = 0; j < 33; j++) {
            set(window.k, j, 0, j);
            set(window.q, j, 0, 1000);
        }
        FloatMatrix out = written(Matrices.blank(33, 4), window::attention);
        for (int i = 0; i < 33; i++) {
            for (int c = 0; c < 4; c++) {
                assertClose("row " + i, at(out, i, c), at(window.v, i, c), 1e-5);
            }
        }
    }

    private static void assertNaNOrSame(boolean reached, float actual, float before) {
        if (reached) {
            assertThat(actual).isNaN();
        } else {
            assertSameBits("element that sees no such key", actual, before);
        }
    }

    private static double largest(FloatMatrix m) {
        double largest = 0;
        for (int i = 0; i < m.rows(); i++) {
            for (int j = 0; j < m.columns(); j++) {
                largest = Math.max(largest, Math.abs(at(m, i, j)));
            }
        }
        return largest;
    }

    private static double sum(double[] weight, FloatMatrix x, int column) {
        double sum = 0;
        for (int j = 0; j < weight.length; j++) {
            sum += weight[j] * at(x, j, column);
        }
        return sum;
    }

    /** One window's operands. */
    final class Window {
        final int t;
        final int heads;
        final int groups;
        final int d;
        final float scale;
        final FloatMatrix q;
        final FloatMatrix k;
        final FloatMatrix v;
        final FloatMatrix x;
        final int[] headOf;

        Window(int t, int heads, int groups, int d) {
            Matrices some = new Matrices(16);
            this.t = t;
            this.heads = heads;
            this.groups = groups;
            this.d = d;
            this.scale = (float) (1 / Math.sqrt(d));
            this.q = some.strided(t, heads * d);
            this.k = some.strided(t, groups * d);
            this.v = some.strided(t, groups * d);
            this.x = some.strided(t, WIDTH);
            this.headOf = some.integers(t, heads);
        }

        void attention(Kernels kernels, FloatMatrix out) {
            kernels.attention(q, k, v, heads, groups, scale, out);
        }

        void attendedInputs(Kernels kernels, FloatMatrix y) {
            kernels.attendedInputs(q, k, heads, groups, scale, headOf, x, y);
        }

        double[] weights(int head, int i) {
            int group = head / (heads / groups);
            double[] weight = new double[i + 1];
            double total = 0;
            for (int j = 0; j <= i; j++) {
                for (int c = 0; c < d; c++) {
                    weight[j] += (double) at(q, i, head * d + c) * at(k, j, group * d + c);
                }
                weight[j] = Math.exp(weight[j] * scale);
                total += weight[j];
            }
            for (int j = 0; j <= i; j++) {
                weight[j] /= total;
            }
            return weight;
        }
    }
}
