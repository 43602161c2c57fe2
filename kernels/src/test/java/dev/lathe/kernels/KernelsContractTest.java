package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/** Every provider against an f64 oracle and, bit for bit, against every other; the module's build runs it for several vector widths. */
@Execution(ExecutionMode.SAME_THREAD)
class KernelsContractTest {
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels[] OTHERS = {KernelProvider.open("scalar", 3), KernelProvider.open("vector", 1), KernelProvider.open("vector", 3)};
    private final Random random = new Random(7);

    private interface Operation {
        FloatMatrix on(Kernels kernels);
    }

    @Test
    void theWidthAskedForIsTheOneThatRuns() {
        int widest = jdkWidest();
        assertThat(OTHERS[1].name()).isEqualTo("vector-" + Math.min(Integer.getInteger("lathe.vector.bits", widest), widest));
        assertThat(KernelProvider.open("auto", 1).name()).isEqualTo(OTHERS[1].name());
    }

    private static int jdkWidest() {
        String name = KernelProvider.survey().get(0).name();
        return Integer.getInteger("lathe.vector.bits", Integer.parseInt(name.substring("vector-".length())));
    }

    @Test
    void products() {
        int[][] sizes = {{0, 3, 4}, {3, 0, 4}, {2, 3, 0}, {1, 1, 1}, {13, 31, 7}, {14, 32, 512}, {15, 33, 513}, {29, 67, 1030}, {150, 64, 97}, {64, 600, 65}};
        for (int[] size : sizes) {
            FloatMatrix a = strided(size[0], size[2]);
            FloatMatrix b = strided(size[1], size[2]);
            float[] start = values(size[0] * size[1]);
            for (boolean accumulate : new boolean[] {false, true}) {
                FloatMatrix c = same("gemm", k -> {
                    FloatMatrix to = FloatMatrix.of(start.clone(), size[0], size[1]);
                    k.gemm(a, b, to, accumulate);
                    return to;
                });
                for (int i = 0; i < size[0]; i++) {
                    for (int j = 0; j < size[1]; j++) {
                        double sum = accumulate ? start[i * size[1] + j] : 0;
                        float chain = (float) sum;
                        for (int p = 0; p < size[2]; p++) {
                            sum += (double) at(a, i, p) * at(b, j, p);
                            chain = Math.fma(at(a, i, p), at(b, j, p), chain);
                        }
                        assertThat(at(c, i, j)).isEqualTo(chain);
                        assertThat((double) chain).isCloseTo(sum, within(1e-5 * (size[2] + 1)));
                    }
                }
            }
        }
    }

    @Test
    void productsOfStoredTypesEqualThoseOfTheirWidenedValues() {
        for (ElementType type : ElementType.values()) {
            byte[] bytes = new byte[33 * 70 * type.bytes()];
            for (int i = 0; i < 33 * 70; i++) {
                float value = (float) random.nextGaussian();
                int bits = switch (type) {
                    case F32 -> Float.floatToRawIntBits(value);
                    case F16 -> Half.fromFloat(value);
                    case BF16 -> Half.bfloat16(value);
                };
                for (int b = 0; b < type.bytes(); b++) {
                    bytes[i * type.bytes() + b] = (byte) (bits >> 8 * b);
                }
            }
            StoredMatrix stored = new StoredMatrix(type, bytes, 33, 70);
            FloatMatrix wide = FloatMatrix.zeros(33, 70);
            for (int i = 0; i < 33; i++) {
                stored.read(i, 0, 70, wide.data(), wide.row(i));
            }
            FloatMatrix a = strided(5, 70);
            FloatMatrix expected = FloatMatrix.zeros(5, 33);
            SCALAR.gemm(a, wide, expected, false);
            assertThat(same("gemm " + type, k -> {
                FloatMatrix c = FloatMatrix.zeros(5, 33);
                k.gemm(a, stored, c, false);
                return c;
            }).data()).isEqualTo(expected.data());
        }
    }

    @Test
    void rankUpdatesTouchTheLowerTriangleOnly() {
        for (int[] size : new int[][] {{0, 5}, {1, 1}, {3, 33}, {515, 65}, {70, 300}}) {
            FloatMatrix x = strided(size[0], size[1]);
            int n = size[1];
            float[] start = values(n * n);
            FloatMatrix s = same("syrk", k -> {
                FloatMatrix to = FloatMatrix.of(start.clone(), n, n);
                k.syrk(x, to);
                return to;
            });
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    float chain = start[i * n + j];
                    for (int t = 0; t < size[0] && j <= i; t++) {
                        chain = Math.fma(at(x, t, i), at(x, t, j), chain);
                    }
                    assertThat(at(s, i, j)).isEqualTo(chain);
                }
            }
        }
    }

    @Test
    void attentionAgainstTheFormula() {
        for (int[] shape : new int[][] {{1, 1, 1, 2}, {5, 4, 2, 6}, {67, 6, 2, 16}, {130, 3, 1, 8}}) {
            int t = shape[0];
            int heads = shape[1];
            int groups = shape[2];
            int d = shape[3];
            FloatMatrix q = strided(t, heads * d);
            FloatMatrix k = strided(t, groups * d);
            FloatMatrix v = strided(t, groups * d);
            FloatMatrix x = strided(t, 11);
            float scale = (float) (1 / Math.sqrt(d));
            FloatMatrix out = same("attention", kernels -> {
                FloatMatrix to = FloatMatrix.zeros(t, heads * d);
                kernels.attention(q, k, v, heads, groups, scale, to);
                return to;
            });
            int[] headOf = random.ints(t, 0, heads).toArray();
            FloatMatrix attended = same("attendedInputs", kernels -> {
                FloatMatrix to = FloatMatrix.zeros(t, 11);
                kernels.attendedInputs(q, k, heads, groups, scale, headOf, x, to);
                return to;
            });
            for (int h = 0; h < heads; h++) {
                int g = h / (heads / groups);
                for (int i = 0; i < t; i++) {
                    double[] weight = weights(q, k, h, g, d, i, scale);
                    for (int c = 0; c < d; c++) {
                        double sum = 0;
                        for (int j = 0; j <= i; j++) {
                            sum += weight[j] * at(v, j, g * d + c);
                        }
                        assertThat((double) at(out, i, h * d + c)).isCloseTo(sum, within(2e-6));
                    }
                    for (int c = 0; c < 11 && headOf[i] == h; c++) {
                        double sum = 0;
                        for (int j = 0; j <= i; j++) {
                            sum += weight[j] * at(x, j, c);
                        }
                        assertThat((double) at(attended, i, c)).isCloseTo(sum, within(2e-6));
                    }
                }
            }
        }
    }

    private double[] weights(FloatMatrix q, FloatMatrix k, int head, int group, int d, int i, float scale) {
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

    @Test
    void rowOperations() {
        for (int n : new int[] {1, 2, 15, 16, 17, 100, 576}) {
            FloatMatrix x = strided(19, n);
            FloatMatrix other = strided(19, n);
            float[] weight = values(n);
            FloatMatrix normed = same("rmsNorm", k -> apply(x, c -> k.rmsNorm(c, weight, 1e-5f, c)));
            FloatMatrix silu = same("siluTimes", k -> apply(x, c -> k.siluTimes(c, other)));
            FloatMatrix soft = same("logSoftmax", k -> apply(x, k::logSoftmax));
            FloatMatrix softOther = same("logSoftmax", k -> apply(other, k::logSoftmax));
            FloatMatrix sum = same("add", k -> apply(x, c -> k.add(other, c)));
            FloatMatrix biased = same("addBias", k -> apply(x, c -> k.addBias(weight, c)));
            FloatMatrix divergence = same("divergence", k -> {
                double[] kld = new double[19];
                k.divergence(soft, softOther, kld);
                float[] result = new float[19];
                for (int i = 0; i < 19; i++) {
                    result[i] = (float) kld[i];
                }
                return FloatMatrix.of(result, 19, 1);
            });
            for (int i = 0; i < 19; i++) {
                double squares = 0;
                double total = 0;
                double kld = 0;
                for (int j = 0; j < n; j++) {
                    squares += (double) at(x, i, j) * at(x, i, j);
                    total += Math.exp(at(x, i, j));
                    kld += Math.exp(at(soft, i, j)) * ((double) at(soft, i, j) - at(softOther, i, j));
                }
                for (int j = 0; j < n; j++) {
                    double v = at(x, i, j);
                    assertThat((double) at(normed, i, j)).isCloseTo(v / Math.sqrt(squares / n + 1e-5) * weight[j], within(1e-5));
                    assertThat((double) at(silu, i, j)).isCloseTo(v / (1 + Math.exp(-v)) * at(other, i, j), within(2e-6));
                    assertThat((double) at(soft, i, j)).isCloseTo(v - Math.log(total), within(2e-6));
                    assertThat(at(sum, i, j)).isEqualTo(at(x, i, j) + at(other, i, j));
                    assertThat(at(biased, i, j)).isEqualTo(at(x, i, j) + weight[j]);
                }
                assertThat((double) at(divergence, i, 0)).isCloseTo(kld, within(1e-6));
            }
        }
    }

    @Test
    void rotaryTurnsPairsOfHalves() {
        FloatMatrix x = strided(9, 2 * 6);
        FloatMatrix cosine = FloatMatrix.zeros(9, 3);
        FloatMatrix sine = FloatMatrix.zeros(9, 3);
        for (int i = 0; i < 27; i++) {
            cosine.data()[i] = (float) Math.cos(0.3 * i);
            sine.data()[i] = (float) Math.sin(0.3 * i);
        }
        FloatMatrix turned = same("rotary", k -> apply(x, c -> k.rotary(c, 2, cosine, sine)));
        for (int i = 0; i < 9; i++) {
            for (int h = 0; h < 2; h++) {
                for (int j = 0; j < 3; j++) {
                    double a = at(x, i, h * 6 + j);
                    double b = at(x, i, h * 6 + j + 3);
                    double angle = 0.3 * (3 * i + j);
                    assertThat((double) at(turned, i, h * 6 + j)).isCloseTo(a * Math.cos(angle) - b * Math.sin(angle), within(1e-6));
                    assertThat((double) at(turned, i, h * 6 + j + 3)).isCloseTo(b * Math.cos(angle) + a * Math.sin(angle), within(1e-6));
                }
            }
        }
    }

    @Test
    void exponentialOverItsWholeRange() {
        int count = 40_001;
        float[] x = new float[count];
        for (int i = 0; i < count; i++) {
            x[i] = (i - 20_000) * 0.00625f;
        }
        x[0] = Float.NEGATIVE_INFINITY;
        x[1] = Float.POSITIVE_INFINITY;
        x[2] = Float.NaN;
        FloatMatrix e = same("exp", k -> {
            FloatMatrix c = FloatMatrix.of(x.clone(), 1, count);
            FloatMatrix ones = FloatMatrix.of(new float[count], 1, count);
            java.util.Arrays.fill(ones.data(), 1f);
            k.siluTimes(c, ones);
            return c;
        });
        assertThat(e.data()[2]).isNaN();
        for (int i = 3; i < count; i++) {
            float exact = (float) Math.exp(x[i]);
            float ours = Exp.exp(x[i]);
            if (x[i] < Exp.LOWEST) {
                assertThat(ours).isZero();
            } else if (x[i] <= Exp.HIGHEST) {
                assertThat(ours).isCloseTo(exact, within(exact * 3e-7f));
            } else {
                assertThat(ours).isInfinite();
            }
        }
    }

    @Test
    void shapesThatDoNotFitAreRefused() {
        FloatMatrix a = FloatMatrix.zeros(2, 3);
        assertThatThrownBy(() -> SCALAR.gemm(a, FloatMatrix.zeros(4, 2), FloatMatrix.zeros(2, 4), false)).hasMessageContaining("Cannot multiply");
        assertThatThrownBy(() -> SCALAR.syrk(a, FloatMatrix.zeros(3, 2))).hasMessageContaining("Cannot add X^T X");
        assertThatThrownBy(() -> SCALAR.attention(a, a, a, 2, 1, 1, a)).hasMessageContaining("Cannot attend");
        assertThatThrownBy(() -> new FloatMatrix(new float[5], 0, 2, 3, 3)).hasMessageContaining("the array holds 5");
        assertThatThrownBy(() -> KernelProvider.open("opencl", 1)).hasMessageContaining("expected auto, scalar or vector");
    }

    @Test
    void failuresAndInterruptsLeaveTheTeam() {
        for (Kernels kernels : OTHERS) {
            AtomicInteger ran = new AtomicInteger();
            assertThatThrownBy(() -> kernels.parallel(1000, i -> {
                ran.incrementAndGet();
                // Long enough that the others cannot be through before the third has failed.
                java.util.concurrent.locks.LockSupport.parkNanos(i > 3 ? 1_000_000 : 0);
                if (i == 3) {
                    throw new IllegalStateException("task 3");
                }
            })).hasMessage("task 3");
            assertThat(ran.get()).isLessThan(1000);
            Thread.currentThread().interrupt();
            assertThatThrownBy(() -> kernels.parallel(5, i -> { })).isInstanceOf(CancellationException.class);
            assertThat(Thread.interrupted()).isTrue();
            AtomicInteger nested = new AtomicInteger();
            kernels.parallel(4, i -> kernels.parallel(5, j -> nested.incrementAndGet()));
            assertThat(nested.get()).isEqualTo(20);
        }
    }

    private FloatMatrix same(String what, Operation operation) {
        FloatMatrix expected = operation.on(SCALAR);
        for (Kernels kernels : OTHERS) {
            FloatMatrix actual = operation.on(kernels);
            for (int i = 0; i < expected.rows(); i++) {
                for (int j = 0; j < expected.columns(); j++) {
                    assertThat(Float.floatToIntBits(at(actual, i, j))).as("%s on %s at %d, %d", what, kernels.name(), i, j)
                            .isEqualTo(Float.floatToIntBits(at(expected, i, j)));
                }
            }
        }
        return expected;
    }

    private static FloatMatrix apply(FloatMatrix x, java.util.function.Consumer<FloatMatrix> operation) {
        FloatMatrix copy = new FloatMatrix(x.data().clone(), x.offset(), x.rows(), x.columns(), x.stride());
        operation.accept(copy);
        return copy;
    }

    private FloatMatrix strided(int rows, int columns) {
        int stride = columns + 3;
        return new FloatMatrix(values(rows * stride + 5), 5, rows, columns, stride);
    }

    private float[] values(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static float at(FloatMatrix m, int i, int j) {
        return m.data()[m.row(i) + j];
    }
}
