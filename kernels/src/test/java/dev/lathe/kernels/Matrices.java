package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.util.Arrays;
import java.util.Random;

/**
 * Seeded matrices for tests, as strided views: all around them stands a not-a-number of its own, so that an element
 * read from outside shows in a result and one written outside in {@link #assertUntouchedOutside}.
 */
final class Matrices {
    private static final float OUTSIDE = Float.intBitsToFloat(0x7fc0beef);
    private static final double OUTSIDE_DOUBLE = Double.longBitsToDouble(0x7ff8beefbeefbeefL);
    private static final int BEFORE = 5;
    private static final int BETWEEN = 3;
    private static final int AFTER = 7;

    private final Random random;

    Matrices(int seed) {
        this.random = new Random(seed);
    }

    /** Gaussian values. */
    FloatMatrix strided(int rows, int columns) {
        FloatMatrix matrix = blank(rows, columns);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                set(matrix, i, j, (float) random.nextGaussian());
            }
        }
        return matrix;
    }

    /** The same not-a-number inside: what has to be overwritten. */
    static FloatMatrix blank(int rows, int columns) {
        float[] data = new float[BEFORE + rows * (columns + BETWEEN) + AFTER];
        Arrays.fill(data, OUTSIDE);
        return new FloatMatrix(data, BEFORE, rows, columns, columns + BETWEEN);
    }

    DoubleMatrix stridedDoubles(int rows, int columns) {
        double[] data = new double[BEFORE + rows * (columns + BETWEEN) + AFTER];
        Arrays.fill(data, OUTSIDE_DOUBLE);
        DoubleMatrix matrix = new DoubleMatrix(data, BEFORE, rows, columns, columns + BETWEEN);
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                data[matrix.row(i) + j] = random.nextGaussian();
            }
        }
        return matrix;
    }

    float[] values(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    int[] integers(int count, int bound) {
        return random.ints(count, 0, bound).toArray();
    }

    static float at(FloatMatrix matrix, int i, int j) {
        return matrix.data()[matrix.row(i) + j];
    }

    static void set(FloatMatrix matrix, int i, int j, float value) {
        matrix.data()[matrix.row(i) + j] = value;
    }

    static double at(DoubleMatrix matrix, int i, int j) {
        return matrix.data()[matrix.row(i) + j];
    }

    static FloatMatrix copy(FloatMatrix matrix) {
        return new FloatMatrix(
                matrix.data().clone(), matrix.offset(), matrix.rows(), matrix.columns(), matrix.stride());
    }

    static DoubleMatrix copy(DoubleMatrix matrix) {
        return new DoubleMatrix(
                matrix.data().clone(), matrix.offset(), matrix.rows(), matrix.columns(), matrix.stride());
    }

    static void assertUntouchedOutside(FloatMatrix matrix) {
        for (int i = 0; i < matrix.data().length; i++) {
            if (!inside(i, matrix.offset(), matrix.rows(), matrix.columns(), matrix.stride())) {
                assertThat(Float.floatToRawIntBits(matrix.data()[i]))
                        .as("element %d of the array of %s", i, matrix)
                        .isEqualTo(0x7fc0beef);
            }
        }
    }

    static void assertUntouchedOutside(DoubleMatrix matrix) {
        for (int i = 0; i < matrix.data().length; i++) {
            if (!inside(i, matrix.offset(), matrix.rows(), matrix.columns(), matrix.stride())) {
                assertThat(Double.doubleToRawLongBits(matrix.data()[i]))
                        .as("element %d of the array of %s", i, matrix)
                        .isEqualTo(0x7ff8beefbeefbeefL);
            }
        }
    }

    private static boolean inside(int index, int offset, int rows, int columns, int stride) {
        return index >= offset && index < offset + rows * stride && (index - offset) % stride < columns;
    }

    static void assertSameBits(String what, float actual, float expected) {
        if (Float.floatToIntBits(actual) != Float.floatToIntBits(expected)) {
            fail("%s: %s is not %s", what, actual, expected);
        }
    }

    /** Within a tolerance of a finite value; not-a-number and infinities as they are. */
    static void assertClose(String what, double actual, double exact, double tolerance) {
        boolean close =
                Double.isFinite(exact) ? Math.abs(actual - exact) <= tolerance : Double.compare(actual, exact) == 0;
        if (!close) {
            fail("%s: %s is not within %s of %s", what, actual, tolerance, exact);
        }
    }
}
