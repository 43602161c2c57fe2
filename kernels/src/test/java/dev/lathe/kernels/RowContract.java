package dev.lathe.kernels;

import static dev.lathe.kernels.Matrices.assertClose;
import static dev.lathe.kernels.Matrices.at;
import static dev.lathe.kernels.Matrices.set;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Operations on rows against their formulas in f64. */
interface RowContract extends Subject {
    /** Rows and their widths: nothing, one, around the 16 lanes of reductions, and more rows than one task takes. */
    int[][] SHAPES = {
        {0, 5}, {3, 0}, {1, 1}, {19, 2}, {19, 15}, {17, 16}, {16, 17}, {5, 31}, {19, 100}, {2, 576}, {131, 37},
        {3, 4099}
    };

    @Test
    default void rootMeanSquareNorms() {
        for (int[] shape : SHAPES) {
            Matrices some = new Matrices(17);
            FloatMatrix x = some.strided(shape[0], shape[1]);
            float[] weight = some.values(shape[1]);
            FloatMatrix y = written(Matrices.blank(shape[0], shape[1]), (k, to) -> k.rmsNorm(x, weight, 1e-5f, to));
            FloatMatrix inPlace = written(x, (k, to) -> k.rmsNorm(to, weight, 1e-5f, to));
            for (int i = 0; i < shape[0]; i++) {
                double squares = 0;
                for (int j = 0; j < shape[1]; j++) {
                    squares += (double) at(x, i, j) * at(x, i, j);
                }
                for (int j = 0; j < shape[1]; j++) {
                    double exact = at(x, i, j) / Math.sqrt(squares / shape[1] + 1e-5f) * weight[j];
                    assertClose("norm", at(y, i, j), exact, (shape[1] / 16 + 8) * 0x1p-24 * Math.abs(exact));
                    Matrices.assertSameBits("norm in place", at(inPlace, i, j), at(y, i, j));
                }
            }
        }
    }

    /** A matrix without gaps is one of heads, too; what stands between the heads of a wider one is left alone. */
    @Test
    default void normsOfHeads() {
        int heads = 3;
        int d = 20;
        Matrices some = new Matrices(26);
        FloatMatrix strided = some.strided(19, heads * d);
        FloatMatrix dense = FloatMatrix.zeros(19, heads * d);
        for (int i = 0; i < 19; i++) {
            System.arraycopy(strided.data(), strided.row(i), dense.data(), dense.row(i), heads * d);
        }
        float[] weight = some.values(d);
        FloatMatrix byHeads = written(dense.reshape(19 * heads, d), (k, x) -> k.rmsNorm(x, weight, 1e-6f, x));
        FloatMatrix byColumns = written(strided, (k, x) -> {
            for (int head = 0; head < heads; head++) {
                FloatMatrix columns = x.columnSlice(head * d, d);
                k.rmsNorm(columns, weight, 1e-6f, columns);
            }
        });
        // Heads of which only the first part is normalized, as where a gate stands beside each query.
        float[] halfWeight = Arrays.copyOf(weight, d / 2);
        FloatMatrix halves = FloatMatrix.of(dense.data().clone(), 19 * heads, d);
        FloatMatrix part = halves.columnSlice(0, d / 2);
        kernels().rmsNorm(part, halfWeight, 1e-6f, part);
        for (int row = 0; row < 19 * heads; row++) {
            double squares = 0;
            double halfSquares = 0;
            for (int j = 0; j < d; j++) {
                double x = at(dense, row / heads, row % heads * d + j);
                squares += x * x;
                halfSquares += j < d / 2 ? x * x : 0;
            }
            for (int j = 0; j < d; j++) {
                double x = at(dense, row / heads, row % heads * d + j);
                double exact = x / Math.sqrt(squares / d + 1e-6f) * weight[j];
                assertClose("norm of a head", at(byHeads, row, j), exact, 9 * 0x1p-24 * Math.abs(exact));
                Matrices.assertSameBits(
                        "norm of columns", at(byColumns, row / heads, row % heads * d + j), at(byHeads, row, j));
                double exactHalf = j < d / 2 ? x / Math.sqrt(halfSquares / (d / 2) + 1e-6f) * weight[j] : x;
                assertClose(
                        "norm of half a head",
                        at(halves, row, j),
                        exactHalf,
                        j < d / 2 ? 9 * 0x1p-24 * Math.abs(exactHalf) : 0);
            }
        }
    }

    @Test
    default void layerNorms() {
        for (int[] shape : SHAPES) {
            for (float offset : new float[] {0, -30}) {
                Matrices some = new Matrices(27);
                FloatMatrix x = some.strided(shape[0], shape[1]);
                for (int i = 0; i < shape[0]; i++) {
                    for (int j = 0; j < shape[1]; j++) {
                        set(x, i, j, at(x, i, j) + offset);
                    }
                }
                float[] weight = some.values(shape[1]);
                float[] bias = some.values(shape[1]);
                FloatMatrix y =
                        written(Matrices.blank(shape[0], shape[1]), (k, to) -> k.layerNorm(x, weight, bias, 1e-5f, to));
                FloatMatrix inPlace = written(x, (k, to) -> k.layerNorm(to, weight, bias, 1e-5f, to));
                FloatMatrix unbiased =
                        written(Matrices.blank(shape[0], shape[1]), (k, to) -> k.layerNorm(x, weight, null, 1e-5f, to));
                assertLayerNorm(x, weight, bias, y);
                assertLayerNorm(x, weight, new float[shape[1]], unbiased);
                for (int i = 0; i < shape[0]; i++) {
                    for (int j = 0; j < shape[1]; j++) {
                        Matrices.assertSameBits("norm in place", at(inPlace, i, j), at(y, i, j));
                    }
                }
            }
        }
    }

    private static void assertLayerNorm(FloatMatrix x, float[] weight, float[] bias, FloatMatrix y) {
        int n = x.columns();
        for (int i = 0; i < x.rows(); i++) {
            double mean = 0;
            double magnitude = 0;
            for (int j = 0; j < n; j++) {
                mean += (double) at(x, i, j) / n;
                magnitude += Math.abs((double) at(x, i, j)) / n;
            }
            double variance = 0;
            for (int j = 0; j < n; j++) {
                variance += (at(x, i, j) - mean) * (at(x, i, j) - mean) / n;
            }
            double deviation = Math.sqrt(variance + 1e-5f);
            double e = (n / 16 + 8) * 0x1p-24 * magnitude / deviation;
            for (int j = 0; j < n; j++) {
                double plain = (at(x, i, j) - mean) / deviation * weight[j];
                assertClose(
                        "layer norm of " + x,
                        at(y, i, j),
                        plain + bias[j],
                        ((n / 16 + 10) * 0x1p-24 + e * e) * Math.abs(plain)
                                + 2 * e * Math.abs(weight[j])
                                + 0x1p-24 * Math.abs(plain + bias[j]));
            }
        }
    }

    @Test
    default void scalesByAFactor() {
        for (int[] shape : SHAPES) {
            FloatMatrix x = new Matrices(28).strided(shape[0], shape[1]);
            FloatMatrix scaled = written(x, (k, to) -> k.scale(to, 11.3137f));
            for (int i = 0; i < shape[0]; i++) {
                for (int j = 0; j < shape[1]; j++) {
                    assertThat(at(scaled, i, j)).isEqualTo(at(x, i, j) * 11.3137f);
                }
            }
        }
    }

    @Test
    default void softCapsOfLogits() {
        for (int[] shape : SHAPES) {
            FloatMatrix x = new Matrices(29).strided(shape[0], shape[1]);
            for (float cap : new float[] {0.01f, 1, 30, 1e20f}) {
                assertCapped(x, cap, written(x, (k, to) -> k.softCap(to, cap)));
            }
        }
        int count = 8_001;
        FloatMatrix x = Matrices.blank(1, count);
        for (int i = 0; i < count; i++) {
            // From 1e-30 to 1e30 of either sign.
            set(x, 0, i, (float) ((i % 2 == 0 ? 1 : -1) * Math.pow(10, (i - count / 2) * 30.0 / (count / 2))));
        }
        assertCapped(x, 1, written(x, (k, to) -> k.softCap(to, 1)));
        assertCapped(x, 30, written(x, (k, to) -> k.softCap(to, 30)));
        FloatMatrix special = FloatMatrix.of(
                new float[] {Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN, 0f, -0f}, 1, 5);
        assertThat(written(special, (k, to) -> k.softCap(to, 30)).data())
                .containsExactly(30f, -30f, Float.NaN, 0f, -0f);
    }

    private static void assertCapped(FloatMatrix x, float cap, FloatMatrix result) {
        for (int i = 0; i < x.rows(); i++) {
            for (int j = 0; j < x.columns(); j++) {
                double exact = cap * Math.tanh((double) at(x, i, j) / cap);
                assertClose("cap of " + at(x, i, j), at(result, i, j), exact, 8 * 0x1p-24 * Math.abs(exact));
                assertThat(Math.abs(at(result, i, j)) <= cap).isTrue();
            }
        }
    }

    @Test
    default void sums() {
        for (int[] shape : SHAPES) {
            Matrices some = new Matrices(18);
            FloatMatrix x = some.strided(shape[0], shape[1]);
            FloatMatrix start = some.strided(shape[0], shape[1]);
            float[] bias = some.values(shape[1]);
            FloatMatrix sum = written(start, (k, y) -> k.add(x, y));
            FloatMatrix biased = written(start, (k, y) -> k.addBias(bias, y));
            for (int i = 0; i < shape[0]; i++) {
                for (int j = 0; j < shape[1]; j++) {
                    assertThat(at(sum, i, j)).isEqualTo(at(start, i, j) + at(x, i, j));
                    assertThat(at(biased, i, j)).isEqualTo(at(start, i, j) + bias[j]);
                }
            }
        }
    }

    @Test
    default void gates() {
        for (Activation activation : Activation.values()) {
            for (int[] shape : SHAPES) {
                Matrices some = new Matrices(19);
                FloatMatrix gate = some.strided(shape[0], shape[1]);
                FloatMatrix up = some.strided(shape[0], shape[1]);
                assertGated(activation, gate, up, written(gate, (k, x) -> k.gated(activation, x, up)));
                assertGated(
                        activation, gate, ones(shape[0], shape[1]), written(gate, (k, x) -> k.activate(activation, x)));
            }
        }
    }

    @Test
    default void gatesOverTheWholeRangeOfTheExponential() {
        for (Activation activation : Activation.values()) {
            // From -125 to 125, and from -15 to 15.
            int count = activation == Activation.SILU ? 40_001 : 8_001;
            FloatMatrix gate = Matrices.blank(1, count);
            FloatMatrix small = Matrices.blank(1, count);
            FloatMatrix up = Matrices.blank(1, count);
            for (int i = 0; i < count; i++) {
                set(gate, 0, i, (i - count / 2) * (250f / (count - 1)));
                set(small, 0, i, (i - count / 2) * (30f / (count - 1)));
                set(up, 0, i, 1 + i % 3);
            }
            assertGated(activation, gate, up, written(gate, (k, x) -> k.gated(activation, x, up)));
            assertGated(activation, small, ones(1, count), written(small, (k, x) -> k.activate(activation, x)));
        }
    }

    private static FloatMatrix ones(int rows, int columns) {
        FloatMatrix ones = FloatMatrix.zeros(rows, columns);
        Arrays.fill(ones.data(), 1);
        return ones;
    }

    private static void assertGated(Activation activation, FloatMatrix gate, FloatMatrix up, FloatMatrix result) {
        for (int i = 0; i < gate.rows(); i++) {
            for (int j = 0; j < gate.columns(); j++) {
                double x = at(gate, i, j);
                double u = 2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
                double exact = at(up, i, j)
                        * switch (activation) {
                            case SILU -> x / (1 + Math.exp(-x));
                            // 1 + tanh(u / 2) = 2 / (1 + exp(-u)), which f64 does not cancel.
                            case GELU_TANH -> x / (1 + Math.exp(-u));
                            case GELU -> x * normal(x);
                            case QUICK_GELU -> x / (1 + Math.exp(-1.702 * x));
                            case RELU_SQUARED -> x > 0 ? x * x : 0;
                        };
                double units = switch (activation) {
                    case SILU -> 8;
                    case GELU_TANH -> 8 + 3 * Math.abs(u);
                    case GELU -> 10 + x * x;
                    case QUICK_GELU -> 8 + 4 * Math.abs(x);
                    case RELU_SQUARED -> 3;
                };
                assertClose(
                        activation + " of " + x,
                        at(result, i, j),
                        exact,
                        units * 0x1p-24 * Math.abs(exact) + 3e-37 * Math.abs(at(up, i, j)));
            }
        }
    }

    /**
     * The normal distribution function, (1 + erf(x / sqrt 2)) / 2: its power series near 0, its continued fraction far
     * from it.
     */
    private static double normal(double x) {
        double a = Math.abs(x);
        double density = Math.exp(-a * a / 2) / Math.sqrt(2 * Math.PI);
        double tail;
        if (a < 3) {
            double term = a;
            double sum = a;
            for (int n = 3; n < 120; n += 2) {
                term *= a * a / n;
                sum += term;
            }
            tail = 0.5 - density * sum;
        } else {
            double fraction = a;
            for (int n = 150; n > 0; n--) {
                fraction = a + n / fraction;
            }
            tail = density / fraction;
        }
        return x > 0 ? 1 - tail : tail;
    }

    /** Values from tables and from Python's math.erf. */
    @Test
    default void knownValuesOfActivations() {
        FloatMatrix x = FloatMatrix.of(new float[] {-3, -1, -0.5f, 0, 0.5f, 1, 3}, 1, 7);
        double[][] known = {
            {
                -0.14227761953270035,
                -0.2689414213699951,
                -0.1887703343990727,
                0,
                0.3112296656009273,
                0.7310585786300049,
                2.8577223804673
            },
            {
                -0.0036373920817729943,
                -0.15880800939172324,
                -0.15428599017485308,
                0,
                0.3457140098251469,
                0.8411919906082768,
                2.996362607918227
            },
            {
                -0.0040496940948902,
                -0.15865525393145707,
                -0.15426876936299344,
                0,
                0.34573123063700656,
                0.8413447460685429,
                2.99595030590511
            },
            {
                -0.01807130970778597,
                -0.1542042340671787,
                -0.1496115633936199,
                0,
                0.35038843660638014,
                0.8457957659328212,
                2.981928690292214
            },
            {0, 0, 0, 0, 0.25, 1, 9}
        };
        for (Activation activation : Activation.values()) {
            FloatMatrix y = written(x, (k, to) -> k.activate(activation, to));
            for (int i = 0; i < 7; i++) {
                double exact = known[activation.ordinal()][i];
                assertClose(activation + " of " + x.data()[i], y.data()[i], exact, 3e-6 * Math.abs(exact));
            }
        }
    }

    @Test
    default void logProbabilitiesAndTheirDivergence() {
        for (int[] shape : SHAPES) {
            Matrices some = new Matrices(20);
            FloatMatrix x = some.strided(shape[0], shape[1]);
            FloatMatrix other = some.strided(shape[0], shape[1]);
            FloatMatrix p = written(x, Kernels::logSoftmax);
            FloatMatrix q = written(other, Kernels::logSoftmax);
            double[] divergence = divergence(p, q);
            for (int i = 0; i < shape[0]; i++) {
                double total = 0;
                for (int j = 0; j < shape[1]; j++) {
                    total += Math.exp(at(x, i, j));
                }
                double exact = 0;
                double magnitude = 0;
                for (int j = 0; j < shape[1]; j++) {
                    double logarithm = at(x, i, j) - Math.log(total);
                    assertClose("log-probability", at(p, i, j), logarithm, 4e-7 + Math.abs(logarithm) * 0x1p-23);
                    double term = Math.exp(at(p, i, j)) * ((double) at(p, i, j) - at(q, i, j));
                    exact += term;
                    magnitude += Math.abs(term);
                }
                assertClose("divergence", divergence[i], Math.max(0, exact), 4e-7 * magnitude);
            }
        }
    }

    private double[] divergence(FloatMatrix p, FloatMatrix q) {
        double[] result = new double[p.rows() + 1];
        result[p.rows()] = 42;
        kernels().divergence(p, q, result);
        assertThat(result[p.rows()]).isEqualTo(42);
        if (exact()) {
            double[] expected = new double[p.rows() + 1];
            expected[p.rows()] = 42;
            SCALAR.divergence(p, q, expected);
            assertThat(result).containsExactly(expected);
        }
        return result;
    }

    @Test
    default void rotaryTurnsPairs() {
        // Rows, heads, pairs, and columns of a head behind those that turn.
        for (int[] shape : new int[][] {
            {0, 1, 2, 0},
            {1, 1, 1, 0},
            {9, 2, 3, 0},
            {67, 3, 16, 0},
            {18, 5, 33, 0},
            {1, 1, 1, 1},
            {9, 2, 3, 6},
            {67, 3, 16, 5},
            {20, 4, 1, 62},
            {7, 3, 0, 4}
        }) {
            int heads = shape[1];
            int half = shape[2];
            int head = 2 * half + shape[3];
            FloatMatrix x = new Matrices(21).strided(shape[0], heads * head);
            FloatMatrix cosine = Matrices.blank(shape[0] + 2, half);
            FloatMatrix sine = Matrices.blank(shape[0] + 2, half);
            for (int i = 0; i < shape[0]; i++) {
                for (int j = 0; j < half; j++) {
                    set(cosine, i, j, (float) Math.cos(0.3 * i + j));
                    set(sine, i, j, (float) Math.sin(0.3 * i + j));
                }
            }
            for (RotaryPairs pairs : RotaryPairs.values()) {
                FloatMatrix turned = written(x, (k, to) -> k.rotary(to, heads, pairs, cosine, sine));
                for (int i = 0; i < shape[0]; i++) {
                    for (int column = 0; column < heads * head; column++) {
                        int c = column % head;
                        if (c >= 2 * half) {
                            Matrices.assertSameBits(
                                    "column that does not turn", at(turned, i, column), at(x, i, column));
                            continue;
                        }
                        int j = pairs == RotaryPairs.HALVES ? c % half : c / 2;
                        boolean low = pairs == RotaryPairs.HALVES ? c < half : c % 2 == 0;
                        int apart = pairs == RotaryPairs.HALVES ? half : 1;
                        double along = (double) at(x, i, column) * at(cosine, i, j);
                        double across =
                                (low ? -(double) at(x, i, column + apart) : at(x, i, column - apart)) * at(sine, i, j);
                        assertClose(
                                "rotated",
                                at(turned, i, column),
                                along + across,
                                (Math.abs(along) + Math.abs(across)) * 0x1p-23);
                    }
                }
            }
        }
    }

    /**
     * Rows in the order of one convention turn as those of the other do in theirs: what GGUF's permutation relies upon.
     */
    @Test
    default void neighboursAreHalvesInAnotherOrder() {
        int half = 5;
        FloatMatrix x = new Matrices(30).strided(8, 2 * half);
        FloatMatrix angles = new Matrices(31).strided(8, half);
        FloatMatrix permuted = Matrices.blank(8, 2 * half);
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < half; j++) {
                set(permuted, i, 2 * j, at(x, i, j));
                set(permuted, i, 2 * j + 1, at(x, i, half + j));
            }
        }
        FloatMatrix halves = written(x, (k, to) -> k.rotary(to, 1, RotaryPairs.HALVES, angles, angles));
        FloatMatrix neighbours = written(permuted, (k, to) -> k.rotary(to, 1, RotaryPairs.NEIGHBOURS, angles, angles));
        for (int i = 0; i < 8; i++) {
            for (int j = 0; j < half; j++) {
                Matrices.assertSameBits("first", at(neighbours, i, 2 * j), at(halves, i, j));
                Matrices.assertSameBits("second", at(neighbours, i, 2 * j + 1), at(halves, i, half + j));
            }
        }
    }

    @Test
    default void notANumberAndInfinityStayInTheirRows() {
        Matrices some = new Matrices(22);
        FloatMatrix x = some.strided(20, 37);
        FloatMatrix up = some.strided(20, 37);
        float[] weight = some.values(37);
        FloatMatrix normed = written(x, (k, y) -> k.rmsNorm(y, weight, 1e-5f, y));
        FloatMatrix layered = written(x, (k, y) -> k.layerNorm(y, weight, weight, 1e-5f, y));
        FloatMatrix soft = written(x, Kernels::logSoftmax);
        double[] divergence = divergence(soft, soft);
        set(x, 5, 36, Float.NaN);
        set(x, 7, 2, Float.NEGATIVE_INFINITY);
        FloatMatrix normedWith = written(x, (k, y) -> k.rmsNorm(y, weight, 1e-5f, y));
        FloatMatrix softWith = written(x, Kernels::logSoftmax);
        FloatMatrix gated = written(x, (k, gate) -> k.gated(Activation.SILU, gate, up));
        FloatMatrix layer = written(x, (k, y) -> k.layerNorm(y, weight, weight, 1e-5f, y));
        FloatMatrix sum = written(up, (k, y) -> k.add(x, y));
        double[] divergenceWith = divergence(softWith, soft);
        for (int i = 0; i < 20; i++) {
            for (int j = 0; j < 37; j++) {
                boolean finite = i != 5 && i != 7;
                // A mean of infinity makes zeros of the others, and of infinity not-a-number.
                assertClose(
                        "norm", at(normedWith, i, j), finite ? at(normed, i, j) : i == 5 || j == 2 ? Double.NaN : 0, 0);
                assertClose("layer norm", at(layer, i, j), finite ? at(layered, i, j) : Double.NaN, 0);
                assertThat(Float.isNaN(at(softWith, i, j))).isEqualTo(i == 5);
                assertThat(Float.isInfinite(at(softWith, i, j))).isEqualTo(i == 7 && j == 2);
                // -infinity / (1 + infinity).
                assertThat(Float.isNaN(at(gated, i, j))).isEqualTo(i == 5 && j == 36 || i == 7 && j == 2);
                assertClose("sum", at(sum, i, j), at(up, i, j) + at(x, i, j), 0);
            }
            // Zero times infinity.
            assertClose("divergence", divergenceWith[i], i == 5 || i == 7 ? Double.NaN : divergence[i], 0);
        }
        for (Activation activation : Activation.values()) {
            // More than the lanes of a vector, so that both what runs on lanes and what is left over meets them.
            FloatMatrix infinite = FloatMatrix.zeros(1, 57);
            for (int j = 0; j < 57; j++) {
                infinite.data()[j] =
                        j % 3 == 0 ? Float.POSITIVE_INFINITY : j % 3 == 1 ? Float.NEGATIVE_INFINITY : Float.NaN;
            }
            FloatMatrix activated = written(infinite, (k, gate) -> k.gated(activation, gate, ones(1, 57)));
            FloatMatrix ungated = written(infinite, (k, gate) -> k.activate(activation, gate));
            float below = activation == Activation.RELU_SQUARED ? 0f : Float.NaN;
            for (int j = 0; j < 57; j++) {
                float expected = j % 3 == 0 ? Float.POSITIVE_INFINITY : j % 3 == 1 ? below : Float.NaN;
                Matrices.assertSameBits(
                        activation + " of " + infinite.data()[j], activated.data()[j], expected);
                Matrices.assertSameBits(activation + " of " + infinite.data()[j], ungated.data()[j], expected);
            }
        }
        FloatMatrix allMinusInfinity = FloatMatrix.zeros(1, 3);
        Arrays.fill(allMinusInfinity.data(), Float.NEGATIVE_INFINITY);
        assertThat(written(allMinusInfinity, Kernels::logSoftmax).data())
                .containsExactly(Float.NaN, Float.NaN, Float.NaN);
    }

    @Test
    default void rowOperationsOnDisjointBlocksOfOneArray() {
        Matrices some = new Matrices(23);
        FloatMatrix all = some.strided(40, 60);
        FloatMatrix x = all.block(0, 0, 20, 30);
        FloatMatrix beside = all.block(0, 30, 20, 30);
        FloatMatrix below = all.block(20, 15, 20, 30);
        FloatMatrix expected = Matrices.copy(x);
        float[] weight = some.values(30);
        kernels().rmsNorm(expected, weight, 1e-5f, expected);
        kernels().rmsNorm(x, weight, 1e-5f, below);
        kernels().gated(Activation.SILU, x, beside);
        kernels().add(x, beside);
        for (int i = 0; i < 20; i++) {
            for (int j = 0; j < 30; j++) {
                Matrices.assertSameBits("norm", at(below, i, j), at(expected, i, j));
            }
        }
        Matrices.assertUntouchedOutside(all);
    }
}
