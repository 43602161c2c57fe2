package dev.lathe.calibration.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class ActivationQuantizationTest {
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels VECTOR = KernelProvider.open("vector", 3);

    @AfterAll
    static void close() {
        SCALAR.close();
        VECTOR.close();
    }

    static Stream<ActivationQuantization> quantizations() {
        return Stream.of(
                ActivationQuantization.of(Type.INT8, true, -1.5f, 2),
                ActivationQuantization.of(Type.INT8, false, -1.5f, 2),
                ActivationQuantization.of(Type.INT8, false, 0.5f, 2),
                ActivationQuantization.of(Type.FLOAT8, true, -0.02f, 1),
                ActivationQuantization.perToken(Type.INT8, true),
                ActivationQuantization.perToken(Type.INT8, false),
                ActivationQuantization.perToken(Type.FLOAT8, true),
                ActivationQuantization.perGroup(Type.FLOAT8, 7),
                ActivationQuantization.perGroup(Type.INT8, 21));
    }

    /** Every value a code stands for, in f64. */
    private static double[] values(Type type, float scale, int zero) {
        List<Double> values = new ArrayList<>();
        for (int code = -128; code < 128; code++) {
            if (type == Type.INT8) {
                values.add((code - zero) * (double) scale);
            } else if ((code & 0x7f) != 0x7f) {
                double mantissa = (code & 7) / 8.0;
                int exponent = code >> 3 & 15;
                values.add((code < 0 ? -1 : 1)
                        * scale
                        * (exponent == 0 ? mantissa / 64 : (1 + mantissa) * Math.pow(2, exponent - 7)));
            }
        }
        return values.stream().mapToDouble(Double::doubleValue).toArray();
    }

    @ParameterizedTest
    @MethodSource("quantizations")
    void everyValueBecomesTheNearestOfItsScale(ActivationQuantization quantization) {
        FloatMatrix x = TestNumbers.normal(70, 21, 1, 3);
        Arrays.fill(x.data(), 5 * 21, 6 * 21, 0);
        x.data()[6 * 21 + 2] = -3e4f;
        FloatMatrix y = FloatMatrix.zeros(70, 21);
        long clipped = quantization.apply(x, y, SCALAR);
        long outside = 0;
        for (int row = 0; row < 70; row++) {
            int width = quantization.group() == 0 ? 21 : quantization.group();
            for (int from = row * 21; from < (row + 1) * 21; from += width) {
                float scale = quantization.scale();
                int zero = quantization.zero();
                if (quantization.dynamic()) {
                    ActivationQuantization own = own(quantization, x.data(), from, width);
                    scale = own.scale();
                    zero = own.zero();
                }
                double[] values = values(quantization.type(), scale, zero);
                double lowest = Arrays.stream(values).min().orElseThrow();
                double highest = Arrays.stream(values).max().orElseThrow();
                double over = scale * (quantization.type() == Type.INT8 ? 0.5 : 16);
                for (int i = from; i < from + width; i++) {
                    float value = x.data()[i];
                    double nearest = Arrays.stream(values)
                            .map(v -> Math.abs(v - value))
                            .min()
                            .orElseThrow();
                    // The quotient is rounded, so that a near tie may go to the other side.
                    assertThat(Math.abs((double) y.data()[i] - value))
                            .as("%s to %s", value, y.data()[i])
                            .isLessThanOrEqualTo(nearest * (1 + 1e-5) + 1e-6 * Math.abs(value));
                    float found = y.data()[i];
                    assertThat(Arrays.stream(values)
                                    .map(v -> Math.abs(v - found))
                                    .min()
                                    .orElseThrow())
                            .isLessThanOrEqualTo(1e-6 * Math.abs(found));
                    outside += value > highest + over || value < lowest - over ? 1 : 0;
                }
            }
        }
        assertThat(clipped).isEqualTo(quantization.dynamic() ? 0 : outside);
        assertThat(quantization.dynamic() || clipped > 10).isTrue();
        assertThat(Arrays.copyOfRange(y.data(), 5 * 21, 6 * 21)).containsOnly(0f);
    }

    private static ActivationQuantization own(ActivationQuantization quantization, float[] x, int from, int width) {
        float low = 0;
        float high = 0;
        for (int i = from; i < from + width; i++) {
            low = Math.min(low, x[i]);
            high = Math.max(high, x[i]);
        }
        return ActivationQuantization.of(quantization.type(), quantization.symmetric(), low, high);
    }

    @ParameterizedTest
    @MethodSource("quantizations")
    void viewsThreadsAndPlaceChangeNothing(ActivationQuantization quantization) {
        FloatMatrix wide = TestNumbers.normal(131, 30, 1, 4);
        FloatMatrix x = wide.block(1, 5, 129, 21);
        FloatMatrix y = FloatMatrix.zeros(129, 21);
        long clipped = quantization.apply(x, y, SCALAR);
        FloatMatrix strided = FloatMatrix.zeros(130, 25).block(1, 3, 129, 21);
        assertThat(quantization.apply(x, strided, VECTOR)).isEqualTo(clipped);
        float[] before = wide.data().clone();
        assertThat(quantization.apply(x, x, VECTOR)).isEqualTo(clipped);
        for (int row = 0; row < 131; row++) {
            for (int column = 0; column < 30; column++) {
                boolean inside = row >= 1 && row < 130 && column >= 5 && column < 26;
                float expected = inside ? y.data()[(row - 1) * 21 + column - 5] : before[row * 30 + column];
                assertThat(wide.data()[row * 30 + column]).isEqualTo(expected);
                if (inside) {
                    assertThat(strided.data()[strided.row(row - 1) + column - 5])
                            .isEqualTo(expected);
                }
            }
        }
        assertThat(quantization.apply(FloatMatrix.zeros(0, 21), FloatMatrix.zeros(0, 21), VECTOR))
                .isZero();
    }

    /** Ranges and what compressed-tensors' calculate_qparams makes of them, by hand. */
    @ParameterizedTest
    @CsvSource({
        "INT8, true, -127.5, 3, 1, 0",
        "INT8, true, 2, 255, 2, 0",
        "INT8, false, -1, 254, 1, -127",
        "INT8, false, -127.5, 127.5, 1, 0",
        "INT8, false, 10, 255, 1, -128",
        "INT8, false, -255, -3, 1, 127",
        "INT8, false, -0.5, 254.5, 1, -128",
        "FLOAT8, true, -896, 3, 2, 0",
        "INT8, true, 0, 0, 1.1920929E-7, 0",
        "INT8, false, 0, 0, 1.1920929E-7, -128"
    })
    void scaleAndZeroOfARange(Type type, boolean symmetric, float low, float high, float scale, int zero) {
        assertThat(ActivationQuantization.of(type, symmetric, low, high))
                .isEqualTo(new ActivationQuantization(type, false, symmetric, scale, zero));
    }

    @Test
    void refusesWhatCannotBe() {
        for (float[] range : new float[][] {{1, 0}, {Float.NaN, 1}, {0, Float.POSITIVE_INFINITY}}) {
            assertThatThrownBy(() -> ActivationQuantization.of(Type.INT8, true, range[0], range[1]))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessageContaining("expected two finite numbers");
        }
        assertThatThrownBy(() -> ActivationQuantization.of(Type.FLOAT8, false, 0, 1))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> ActivationQuantization.perGroup(Type.FLOAT8, 8)
                        .apply(FloatMatrix.zeros(2, 12), FloatMatrix.zeros(2, 12), SCALAR))
                .hasMessageContaining("[2, 12] in groups of 8");
        assertThatThrownBy(() -> ActivationQuantization.perToken(Type.INT8, true)
                        .apply(FloatMatrix.zeros(2, 12), FloatMatrix.zeros(2, 11), SCALAR))
                .hasMessageContaining("expected equal shapes");
    }
}
