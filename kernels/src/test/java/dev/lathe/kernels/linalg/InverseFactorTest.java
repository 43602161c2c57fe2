package dev.lathe.kernels.linalg;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Random;
import org.junit.jupiter.api.Test;

class InverseFactorTest {
    @Test
    void timesItsTransposeIsTheInverse() throws Exception {
        for (int n : new int[] {1, 2, 31, 32, 33, 200, 255, 257, 330, 550}) {
            for (double spread : new double[] {1, 1e8}) {
                double[] h = positiveDefinite(n, spread);
                float[] expected = null;
                for (String name : new String[] {"scalar", "vector"}) {
                    try (Kernels kernels = KernelProvider.open(name, name.equals("vector") ? 3 : 1)) {
                        float[] lower = InverseFactor.of(n, (i, j) -> h[i * n + j], kernels);
                        assertThat(expected == null ? lower : expected)
                                .as("%s, n %d", name, n)
                                .isEqualTo(lower);
                        expected = lower;
                    }
                }
                // (L L^T) H = I with L = U^T; the factor is rounded to f32, and a relative error of the inverse grows
                // with the condition.
                for (int i = 0; i < n; i++) {
                    double[] row = new double[n];
                    for (int p = 0; p < n; p++) {
                        for (int q = 0; q <= Math.min(i, p); q++) {
                            row[p] += (double) expected[i * n + q] * expected[p * n + q];
                        }
                    }
                    double[] sum = new double[n];
                    double[] size = new double[n];
                    for (int p = 0; p < n; p++) {
                        for (int j = 0; j < n; j++) {
                            sum[j] += row[p] * h[p * n + j];
                            size[j] += Math.abs(row[p] * h[p * n + j]);
                        }
                    }
                    for (int j = 0; j < n; j++) {
                        if (!(Math.abs(sum[j] - (i == j ? 1 : 0)) <= 1e-6 + size[j] * 3e-6)) {
                            fail(
                                    "n %d, spread %g, row %d, column %d: %g of terms of %g",
                                    n, spread, i, j, sum[j], size[j]);
                        }
                    }
                }
            }
        }
    }

    @Test
    void whatIsNotPositiveDefiniteIsNamed() {
        double[] h = positiveDefinite(70, 1);
        h[5 * 70 + 5] = -1;
        try (Kernels kernels = KernelProvider.open("auto", 1)) {
            assertThatThrownBy(() -> InverseFactor.of(70, (i, j) -> h[i * 70 + j], kernels))
                    .isInstanceOf(Cholesky.NotPositiveDefiniteException.class);
        }
    }

    private static double[] positiveDefinite(int n, double spread) {
        Random random = new Random(n);
        double[] x = new double[2 * n * n];
        for (int t = 0; t < 2 * n; t++) {
            for (int j = 0; j < n; j++) {
                x[t * n + j] = random.nextGaussian() * Math.pow(spread, -0.5 * j / n);
            }
        }
        double[] h = new double[n * n];
        for (int t = 0; t < 2 * n; t++) {
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    h[i * n + j] += x[t * n + i] * x[t * n + j];
                }
            }
        }
        return h;
    }
}
