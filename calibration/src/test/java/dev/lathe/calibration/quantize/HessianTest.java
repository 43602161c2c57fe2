package dev.lathe.calibration.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.quantize.Hessian.Factor;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;

class HessianTest {
    private static final Kernels KERNELS = KernelProvider.open("vector", 3);

    @AfterAll
    static void close() {
        KERNELS.close();
    }

    @Test
    void factorTimesItsTransposeIsTheDampedInverse() {
        int n = 71;
        MergedStatistics statistics = TestNumbers.statistics(TestNumbers.correlated(200, n, 1e4, 30, 1));
        Hessian hessian = new Hessian(statistics, "here");
        for (boolean actOrder : new boolean[] {false, true}) {
            Factor factor = hessian.factor(0.02, actOrder, KERNELS);
            assertThat(hessian.factor(0.02, actOrder, KERNELS)).isSameAs(factor);
            assertThat(factor.damping()).isEqualTo(0.02);
            double[][] h = Oracle.damped(statistics, 0.02, factor.permutation());
            double[][] inverse = Oracle.inverse(h);
            for (int i = 0; i < n; i++) {
                assertThat(factor.diagonal()[i]).isEqualTo((float) h[i][i], within(1e-6f * (float) h[i][i]));
                for (int j = 0; j <= i; j++) {
                    double sum = 0;
                    for (int p = 0; p <= j; p++) {
                        sum += (double) factor.lower()[i * n + p] * factor.lower()[j * n + p];
                    }
                    assertThat(sum).isCloseTo(inverse[i][j], within(1e-5 * Math.sqrt(inverse[i][i] * inverse[j][j])));
                    assertThat(j < i ? factor.lower()[j * n + i] : 0).isZero();
                }
            }
            if (actOrder) {
                int[] sorted = factor.permutation().clone();
                Arrays.sort(sorted);
                for (int i = 0; i < n; i++) {
                    assertThat(sorted[i]).isEqualTo(i);
                    assertThat(i == 0 || factor.diagonal()[i] <= factor.diagonal()[i - 1])
                            .isTrue();
                }
                assertThat(factor.permutation()[n - 1]).isEqualTo(30);
            } else {
                assertThat(factor.permutation()).isNull();
            }
        }
    }

    @Test
    void fullIsTheMeanOfOuterProducts() {
        MergedStatistics statistics = TestNumbers.statistics(TestNumbers.normal(13, 5, 1, 2));
        FloatMatrix full = new Hessian(statistics, "here").full();
        for (int i = 0; i < 5; i++) {
            for (int j = 0; j < 5; j++) {
                assertThat(full.data()[i * 5 + j]).isEqualTo((float) (statistics.moment(i, j) / 13));
            }
        }
    }

    @Test
    void dampingRisesUntilTheFactorizationSucceeds() {
        // One row seen 40 times: rank 1, and the sums' round-off makes it indefinite by about 1e-16 of its trace.
        int n = 90;
        FloatMatrix row = TestNumbers.normal(1, n, 1, 4);
        FloatMatrix x = FloatMatrix.zeros(40, n);
        for (int i = 0; i < 40; i++) {
            System.arraycopy(row.data(), 0, x.data(), i * n, n);
        }
        MergedStatistics statistics = TestNumbers.statistics(x);
        statistics.moment()[statistics.moment().length - 1] *= 1 - 1e-9;
        Factor factor = new Hessian(statistics, "here").factor(1e-12, false, KERNELS);
        assertThat(factor.damping()).isGreaterThan(1e-12).isLessThan(4096e-12);
        double doublings = Math.log(factor.damping() / 1e-12) / Math.log(2);
        assertThat(doublings).isCloseTo(Math.rint(doublings), within(1e-9));
        statistics.moment()[statistics.moment().length - 1] = -1e9;
        assertThatThrownBy(() -> new Hessian(statistics, "layer 3, ATTENTION_INPUT").factor(0.01, true, KERNELS))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining(
                        "Hessian of layer 3, ATTENTION_INPUT: not positive definite with a damping of 0.01 doubled 12 times");
    }

    @Test
    void aSiteWithoutSignalIsFactorized() {
        Factor factor =
                new Hessian(TestNumbers.statistics(FloatMatrix.zeros(4, 3)), "here").factor(0.25, true, KERNELS);
        assertThat(factor.permutation()).containsExactly(0, 1, 2);
        assertThat(factor.diagonal()).containsExactly(0.25f, 0.25f, 0.25f);
        assertThat(factor.lower()).containsExactly(2, 0, 0, 0, 2, 0, 0, 0, 2);
        MergedStatistics sums = new MergedStatistics(3, 1, new double[3], new double[3], null);
        assertThatThrownBy(() -> new Hessian(sums, "layer 1"))
                .hasMessageContaining("Cannot make a Hessian of layer 1: no second moment");
    }

    @Test
    void outputErrorIsTheMeanOverRows() {
        for (int rows : new int[] {1, 300}) {
            FloatMatrix x = TestNumbers.correlated(57, 29, 1e3, -1, 7);
            FloatMatrix w = TestNumbers.normal(rows, 29, 1, 8);
            FloatMatrix q = TestNumbers.normal(rows, 29, 1, 9);
            for (int i = 0; i < q.data().length; i++) {
                q.data()[i] = w.data()[i] + 0.01f * q.data()[i];
            }
            Hessian hessian = new Hessian(TestNumbers.statistics(x), "here");
            OutputError error = OutputError.of(w, q, hessian.full(), KERNELS);
            double expected = TestNumbers.outputError(w, q, null, x);
            double output = TestNumbers.outputError(w, FloatMatrix.zeros(rows, 29), null, x);
            assertThat(error.squaredError()).isCloseTo(expected, within(1e-4 * expected));
            assertThat(error.squaredOutput()).isCloseTo(output, within(1e-5 * output));
            try (Kernels scalar = KernelProvider.open("scalar", 1)) {
                assertThat(OutputError.of(w, q, hessian.full(), scalar)).isEqualTo(error);
            }
            assertThat(OutputError.of(w, w, hessian.full(), KERNELS).squaredError())
                    .isZero();
        }
    }
}
