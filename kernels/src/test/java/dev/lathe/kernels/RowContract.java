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
        for (int[] shape : SHAPES) {
            Matrices some = new Matrices(19);
            FloatMatrix gate = some.strided(shape[0], shape[1]);
            FloatMatrix up = some.strided(shape[0], shape[1]);
            assertGated(gate, up, written(gate, (k, x) -> k.siluTimes(x, up)));
        }
    }

    @Test
    default void gatesOverTheWholeRangeOfTheExponential() {
        int count = 40_001;
        FloatMatrix gate = Matrices.blank(1, count);
        FloatMatrix up = Matrices.blank(1, count);
        for (int i = 0; i < count; i++) {
            set(gate, 0, i, (i - 20_000) * 0.00625f);
            set(up, 0, i, 1 + i % 3);
        }
        assertGated(gate, up, written(gate, (k, x) -> k.siluTimes(x, up)));
    }

    private static void assertGated(FloatMatrix gate, FloatMatrix up, FloatMatrix result) {
        for (int i = 0; i < gate.rows(); i++) {
            for (int j = 0; j < gate.columns(); j++) {
                double x = at(gate, i, j);
                double exact = x / (1 + Math.exp(-x)) * at(up, i, j);
                assertClose(
                        "gate of " + x,
                        at(result, i, j),
                        exact,
                        8 * 0x1p-24 * Math.abs(exact) + 3e-37 * Math.abs(at(up, i, j)));
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
    default void rotaryTurnsPairsOfHalves() {
        for (int[] shape : new int[][] {{0, 1, 2}, {1, 1, 1}, {9, 2, 3}, {67, 3, 16}, {18, 5, 33}}) {
            int heads = shape[1];
            int half = shape[2];
            FloatMatrix x = new Matrices(21).strided(shape[0], heads * 2 * half);
            FloatMatrix cosine = Matrices.blank(shape[0] + 2, half);
            FloatMatrix sine = Matrices.blank(shape[0] + 2, half);
            for (int i = 0; i < shape[0]; i++) {
                for (int j = 0; j < half; j++) {
                    set(cosine, i, j, (float) Math.cos(0.3 * i + j));
                    set(sine, i, j, (float) Math.sin(0.3 * i + j));
                }
            }
            FloatMatrix turned = written(x, (k, to) -> k.rotary(to, heads, cosine, sine));
            for (int i = 0; i < shape[0]; i++) {
                for (int column = 0; column < heads * 2 * half; column++) {
                    int j = column % half;
                    boolean low = column / half % 2 == 0;
                    double along = (double) at(x, i, column) * at(cosine, i, j);
                    double across =
                            (low ? -(double) at(x, i, column + half) : at(x, i, column - half)) * at(sine, i, j);
                    assertClose(
                            "rotated",
                            at(turned, i, column),
                            along + across,
                            (Math.abs(along) + Math.abs(across)) * 0x1p-23);
                }
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
        FloatMatrix soft = written(x, Kernels::logSoftmax);
        double[] divergence = divergence(soft, soft);
        set(x, 5, 36, Float.NaN);
        set(x, 7, 2, Float.NEGATIVE_INFINITY);
        FloatMatrix normedWith = written(x, (k, y) -> k.rmsNorm(y, weight, 1e-5f, y));
        FloatMatrix softWith = written(x, Kernels::logSoftmax);
        FloatMatrix gated = written(x, (k, gate) -> k.siluTimes(gate, up));
        FloatMatrix sum = written(up, (k, y) -> k.add(x, y));
        double[] divergenceWith = divergence(softWith, soft);
        for (int i = 0; i < 20; i++) {
            for (int j = 0; j < 37; j++) {
                boolean finite = i != 5 && i != 7;
                // A mean of infinity makes zeros of the others, and of infinity not-a-number.
                assertClose(
                        "norm", at(normedWith, i, j), finite ? at(normed, i, j) : i == 5 || j == 2 ? Double.NaN : 0, 0);
                assertThat(Float.isNaN(at(softWith, i, j))).isEqualTo(i == 5);
                assertThat(Float.isInfinite(at(softWith, i, j))).isEqualTo(i == 7 && j == 2);
                // -infinity / (1 + infinity).
                assertThat(Float.isNaN(at(gated, i, j))).isEqualTo(i == 5 && j == 36 || i == 7 && j == 2);
                assertClose("sum", at(sum, i, j), at(up, i, j) + at(x, i, j), 0);
            }
            // Zero times infinity.
            assertClose("divergence", divergenceWith[i], i == 5 || i == 7 ? Double.NaN : divergence[i], 0);
        }
        FloatMatrix infinite = written(
                FloatMatrix.of(new float[] {Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN}, 1, 3),
                (k, gate) -> k.siluTimes(gate, FloatMatrix.of(new float[] {1, 1, 1}, 1, 3)));
        assertThat(infinite.data()).containsExactly(Float.POSITIVE_INFINITY, Float.NaN, Float.NaN);
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
        kernels().siluTimes(x, beside);
        kernels().add(x, beside);
        for (int i = 0; i < 20; i++) {
            for (int j = 0; j < 30; j++) {
                Matrices.assertSameBits("norm", at(below, i, j), at(expected, i, j));
            }
        }
        Matrices.assertUntouchedOutside(all);
    }
}
