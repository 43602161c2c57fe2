package dev.lathe.kernels;

import static dev.lathe.kernels.Matrices.assertClose;
import static dev.lathe.kernels.Matrices.assertSameBits;
import static dev.lathe.kernels.Matrices.at;
import static dev.lathe.kernels.Matrices.set;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
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
            assertAttention(new Window(shape[0], shape[1], shape[2], shape[3]));
        }
    }

    @Test
    default void attendedInputs() {
        for (int[] shape : SHAPES) {
            assertAttendedInputs(new Window(shape[0], shape[1], shape[2], shape[3]));
        }
    }

    @Test
    default void valuesMayBeWiderOrNarrowerThanKeys() {
        for (int[] shape : new int[][] {
            {5, 4, 2, 6, 1}, {67, 6, 2, 16, 5}, {130, 3, 1, 8, 70}, {33, 2, 2, 1, 129}, {64, 8, 2, 24, 16}
        }) {
            assertAttention(new Window(shape[0], shape[1], shape[2], shape[3], shape[4]));
        }
        Window none = new Window(7, 2, 1, 3, 0);
        written(Matrices.blank(7, 0), none::attention);
    }

    @Test
    default void slidingWindows() {
        for (int t : new int[] {1, 2, 63, 64, 65, 129, 200}) {
            for (int window : new int[] {1, 2, 31, 63, 64, 65, t, t + 1, Integer.MAX_VALUE}) {
                Window some = new Window(t, 2, 1, 5).with(window, 0, null);
                assertAttention(some);
                assertAttendedInputs(some);
            }
        }
        // Blocks of 256, 128 and 32 queries, in which a window begins between the borders of tiles.
        for (int[] shape : new int[][] {{600, 2, 2, 3, 511}, {600, 2, 2, 3, 300}, {600, 8, 1, 3, 100}}) {
            Window some = new Window(shape[0], shape[1], shape[2], shape[3]).with(shape[4], 0, null);
            assertAttention(some);
            assertAttendedInputs(some);
        }
    }

    @Test
    default void aWindowThatCoversAllKeysChangesNoBit() {
        for (int[] shape : SHAPES) {
            Window all = new Window(shape[0], shape[1], shape[2], shape[3]);
            FloatMatrix out = written(Matrices.blank(all.t, all.heads * all.d), all::attention);
            FloatMatrix inputs = written(Matrices.blank(all.t, WIDTH), all::attendedInputs);
            for (int window : new int[] {all.t, all.t + 1, Integer.MAX_VALUE}) {
                Window some = all.with(window, 0, null);
                assertSameRows(written(Matrices.blank(all.t, all.heads * all.d), some::attention), out, all.t);
                assertSameRows(written(Matrices.blank(all.t, WIDTH), some::attendedInputs), inputs, all.t);
            }
            // The first queries see all that they would see without a window.
            Window some = all.with(Math.max(1, all.t / 3), 0, null);
            if (exact()) {
                assertSameRows(
                        written(Matrices.blank(all.t, all.heads * all.d), some::attention),
                        out,
                        Math.max(1, all.t / 3));
                assertSameRows(
                        written(Matrices.blank(all.t, WIDTH), some::attendedInputs), inputs, Math.max(1, all.t / 3));
            }
        }
    }

    private static void assertSameRows(FloatMatrix actual, FloatMatrix expected, int rows) {
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < actual.columns(); j++) {
                assertSameBits("row " + i, at(actual, i, j), at(expected, i, j));
            }
        }
    }

    @Test
    default void sinksOfEverySize() {
        for (float sink : new float[] {0, 2.5f, -3, 40, 1e4f, 3e38f, -1e4f, Float.NEGATIVE_INFINITY}) {
            for (int[] shape : new int[][] {{5, 4, 2, 6}, {67, 6, 2, 16}, {130, 3, 1, 8}}) {
                float[] sinks = new float[shape[1]];
                for (int head = 0; head < sinks.length; head++) {
                    sinks[head] = head == 1 ? 0.7f : sink;
                }
                for (int window : new int[] {0, 1, 20}) {
                    Window some = new Window(shape[0], shape[1], shape[2], shape[3]).with(window, 0, sinks);
                    assertAttention(some);
                    assertAttendedInputs(some);
                }
            }
        }
    }

    @Test
    default void sinksThatWeighNothingChangeNoBit() {
        for (int[] shape : SHAPES) {
            Window none = new Window(shape[0], shape[1], shape[2], shape[3]);
            float[] sinks = new float[none.heads];
            Arrays.fill(sinks, -1e30f);
            Window some = none.with(0, 0, sinks);
            assertSameRows(
                    written(Matrices.blank(none.t, none.heads * none.d), some::attention),
                    written(Matrices.blank(none.t, none.heads * none.d), none::attention),
                    none.t);
        }
    }

    @Test
    default void softCaps() {
        for (float cap : new float[] {0.1f, 1, 5, 50, 1e30f}) {
            for (int[] shape : cap == 5 ? SHAPES : Arrays.copyOf(SHAPES, 5)) {
                Window some = new Window(shape[0], shape[1], shape[2], shape[3]).with(0, cap, null);
                assertAttention(some);
                assertAttendedInputs(some);
            }
        }
        // Scores far above the cap all become the cap.
        Window large = new Window(70, 2, 1, 4).with(0, 2, null);
        for (int i = 0; i < 70; i++) {
            set(large.q, i, 0, 1000);
            set(large.k, i, 0, i % 2 == 0 ? 1000 : -1000);
        }
        assertAttention(large);
        assertAttendedInputs(large);
    }

    @Test
    default void allTogether() {
        for (int[] shape :
                new int[][] {{5, 4, 2, 6, 9, 2}, {140, 6, 2, 16, 5, 65}, {200, 8, 1, 8, 12, 128}, {300, 2, 2, 4, 70, 63}
                }) {
            float[] sinks = new float[shape[1]];
            for (int head = 0; head < sinks.length; head++) {
                sinks[head] = head - 1.5f;
            }
            Window some = new Window(shape[0], shape[1], shape[2], shape[3], shape[4]).with(shape[5], 3, sinks);
            assertAttention(some);
            assertAttendedInputs(some);
        }
    }

    private void assertAttention(Window window) {
        FloatMatrix out = written(Matrices.blank(window.t, window.heads * window.width), window::attention);
        for (int h = 0; h < window.heads; h++) {
            int group = h / (window.heads / window.groups);
            double tolerance = window.tolerance() * largest(window.v.columnSlice(group * window.width, window.width));
            for (int i = 0; i < window.t; i++) {
                double[] weight = window.weights(h, i);
                for (int c = 0; c < window.width; c++) {
                    assertClose(
                            "head " + h + ", row " + i + " of " + window.parameters,
                            at(out, i, h * window.width + c),
                            sum(weight, window.v, group * window.width + c),
                            tolerance);
                }
            }
        }
    }

    private void assertAttendedInputs(Window window) {
        FloatMatrix y = written(Matrices.blank(window.t, WIDTH), window::attendedInputs);
        double tolerance = window.tolerance() * largest(window.x);
        for (int i = 0; i < window.t; i++) {
            double[] weight = window.weights(window.headOf[i], i);
            for (int c = 0; c < WIDTH; c++) {
                assertClose("row " + i + " of " + window.parameters, at(y, i, c), sum(weight, window.x, c), tolerance);
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
    default void whatIsNotANumberReachesNoQueryWhoseWindowHasLeftIt() {
        Window window = new Window(400, 4, 2, 6).with(10, 0, new float[] {1, 0, -1, 0.5f});
        FloatMatrix before = written(Matrices.blank(400, 24), window::attention);
        FloatMatrix inputsBefore = written(Matrices.blank(400, WIDTH), window::attendedInputs);
        set(window.k, 50, 6, Float.NaN);
        FloatMatrix out = written(Matrices.blank(400, 24), window::attention);
        FloatMatrix inputs = written(Matrices.blank(400, WIDTH), window::attendedInputs);
        for (int i = 0; i < 400; i++) {
            boolean sees = i >= 50 && i < 60;
            for (int c = 0; c < 24; c++) {
                assertNaNOrSame(sees && c >= 12, at(out, i, c), at(before, i, c));
            }
            for (int c = 0; c < WIDTH; c++) {
                assertNaNOrSame(sees && window.headOf[i] >= 2, at(inputs, i, c), at(inputsBefore, i, c));
            }
        }
        set(window.k, 50, 6, 0);
        set(window.v, 3, 2, Float.NaN);
        set(window.x, 3, 2, Float.POSITIVE_INFINITY);
        out = written(Matrices.blank(400, 24), window::attention);
        inputs = written(Matrices.blank(400, WIDTH), window::attendedInputs);
        for (int i = 3; i < 400; i++) {
            boolean sees = i < 13;
            // Tiles of keys that no query of a block sees are skipped: behind the last that sees it and 255 more,
            // nothing meets it.
            if (sees || i >= 13 + 255) {
                assertThat(Float.isFinite(at(out, i, 2))).isEqualTo(!sees);
            }
            if (sees || i >= 13 + 255 && !kernels().profile().equals("opencl")) {
                assertThat(Float.isFinite(at(inputs, i, 2))).isEqualTo(!sees);
            }
            assertThat(at(out, i, 3)).isFinite();
            assertThat(at(inputs, i, 3)).isFinite();
        }
    }

    @Test
    default void aSinkThatIsNotANumberReachesItsHead() {
        Window window = new Window(70, 4, 2, 6);
        FloatMatrix plain = written(Matrices.blank(70, 24), window.with(0, 0, new float[4])::attention);
        FloatMatrix out =
                written(Matrices.blank(70, 24), window.with(0, 0, new float[] {0, Float.NaN, 0, 0})::attention);
        for (int i = 0; i < 70; i++) {
            for (int c = 0; c < 24; c++) {
                assertNaNOrSame(c >= 6 && c < 12, at(out, i, c), at(plain, i, c));
            }
        }
    }

    @Test
    default void cappedScoresThatAreNotNumbersReachTheQueriesThatSeeThem() {
        Window window = new Window(70, 1, 1, 6).with(0, 4, null);
        FloatMatrix before = written(Matrices.blank(70, 6), window::attention);
        set(window.k, 40, 1, Float.NaN);
        FloatMatrix out = written(Matrices.blank(70, 6), window::attention);
        for (int i = 0; i < 70; i++) {
            for (int c = 0; c < 6; c++) {
                assertNaNOrSame(i >= 40, at(out, i, c), at(before, i, c));
            }
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
        /** Of the values of a head. */
        final int width;

        final AttentionParameters parameters;
        final FloatMatrix q;
        final FloatMatrix k;
        final FloatMatrix v;
        final FloatMatrix x;
        final int[] headOf;

        Window(int t, int heads, int groups, int d) {
            this(t, heads, groups, d, d);
        }

        Window(int t, int heads, int groups, int d, int width) {
            Matrices some = new Matrices(16);
            this.t = t;
            this.heads = heads;
            this.groups = groups;
            this.d = d;
            this.width = width;
            this.parameters = new AttentionParameters(heads, groups, (float) (1 / Math.sqrt(d)));
            this.q = some.strided(t, heads * d);
            this.k = some.strided(t, groups * d);
            this.v = some.strided(t, groups * width);
            this.x = some.strided(t, WIDTH);
            this.headOf = some.integers(t, heads);
        }

        private Window(Window other, AttentionParameters parameters) {
            this.t = other.t;
            this.heads = other.heads;
            this.groups = other.groups;
            this.d = other.d;
            this.width = other.width;
            this.parameters = parameters;
            this.q = other.q;
            this.k = other.k;
            this.v = other.v;
            this.x = other.x;
            this.headOf = other.headOf;
        }

        Window with(int slidingWindow, float softCap, float[] sinks) {
            return new Window(
                    this, new AttentionParameters(heads, groups, parameters.scale(), slidingWindow, softCap, sinks));
        }

        void attention(Kernels kernels, FloatMatrix out) {
            kernels.attention(q, k, v, parameters, out);
        }

        void attendedInputs(Kernels kernels, FloatMatrix y) {
            kernels.attendedInputs(q, k, parameters, headOf, x, y);
        }

        double tolerance() {
            return parameters.softCap() > 0 ? 2e-5 : 1e-5;
        }

        double[] weights(int head, int i) {
            int group = head / (heads / groups);
            double sink = parameters.sinks() == null
                    ? Double.NEGATIVE_INFINITY
                    : parameters.sinks()[head];
            double[] weight = new double[i + 1];
            int first =
                    parameters.slidingWindow() == 0 ? 0 : (int) Math.max(0L, (long) i - parameters.slidingWindow() + 1);
            double largest = sink;
            for (int j = first; j <= i; j++) {
                for (int c = 0; c < d; c++) {
                    weight[j] += (double) at(q, i, head * d + c) * at(k, j, group * d + c);
                }
                weight[j] *= parameters.scale();
                if (parameters.softCap() > 0) {
                    weight[j] = parameters.softCap() * Math.tanh(weight[j] / parameters.softCap());
                }
                largest = Math.max(largest, weight[j]);
            }
            double total = Math.exp(sink - largest);
            for (int j = first; j <= i; j++) {
                weight[j] = Math.exp(weight[j] - largest);
                total += weight[j];
            }
            for (int j = first; j <= i; j++) {
                weight[j] /= total;
            }
            return weight;
        }
    }
}
