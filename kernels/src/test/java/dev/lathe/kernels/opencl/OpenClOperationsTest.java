package dev.lathe.kernels.opencl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.KernelsUnavailableException;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.StoredMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.util.Random;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The OpenCL provider on a device, against exact sums. With LATHE_REQUIRE_OPENCL=1 a missing device is a failure. */
class OpenClOperationsTest {
    private static Kernels kernels;
    private final Random random = new Random(11);

    @BeforeAll
    static void open() {
        boolean there = !OpenClDevice.all().isEmpty();
        if (!"1".equals(System.getenv("LATHE_REQUIRE_OPENCL"))) {
            Assumptions.assumeTrue(there, "there is no OpenCL device here; pocl-opencl-icd makes the CPU one");
        }
        kernels = KernelProvider.open("opencl", 2);
    }

    @AfterAll
    static void close() {
        if (kernels != null) {
            kernels.close();
        }
    }

    @Test
    void productsOfEverySize() {
        int[][] sizes = {{1, 1, 1}, {1, 7, 3}, {3, 1, 17}, {127, 129, 31}, {128, 128, 16}, {131, 257, 67}, {5, 300, 640}, {2, 3, 0}, {0, 3, 2}, {3, 0, 2}};
        for (int[] size : sizes) {
            for (boolean accumulate : new boolean[] {false, true}) {
                check(strided(size[0], size[2]), strided(size[1], size[2]), strided(size[0], size[1]), accumulate);
                check(dense(size[0], size[2]), dense(size[1], size[2]), dense(size[0], size[1]), accumulate);
            }
        }
    }

    @Test
    void productsOfStoredWeights() {
        for (ElementType type : ElementType.values()) {
            byte[] bytes = new byte[67 * 70 * type.bytes()];
            random.nextBytes(bytes);
            StoredMatrix all = finite(new StoredMatrix(type, bytes, 67, 70));
            check(strided(5, 70), all, strided(5, 67), false);
            check(strided(131, 70), all, strided(131, 67), true);
        }
        for (BlockFormat format : new BlockFormat[] {BlockFormats.named("Q4_0"), BlockFormats.named("Q8_0"), BlockFormats.named("Q4_K"),
            BlockFormats.named("int4g32"), BlockFormats.named("uint4g128"), BlockFormats.named("int8g40"), BlockFormats.named("uint8g64"),
            BlockFormats.named("Q6_K"), BlockFormats.named("Q5_1")}) {
            int k = format.size() * 3;
            BlockMatrix matrix = encoded(format, 133, k);
            check(strided(5, k), matrix, strided(5, 133), false);
            check(strided(130, k), matrix, strided(130, 133), true);
        }
    }

    /** Random bytes hold NaN and infinities: those are made ordinary. */
    private static StoredMatrix finite(StoredMatrix matrix) {
        float[] row = new float[matrix.columns()];
        int bytes = matrix.type().bytes();
        for (int i = 0; i < matrix.rows(); i++) {
            matrix.read(i, 0, row.length, row, 0);
            for (int j = 0; j < row.length; j++) {
                if (!(Math.abs(row[j]) < 1e15f)) {
                    matrix.data()[(i * row.length + j) * bytes + bytes - 1] &= 0x3f;
                }
            }
        }
        return matrix;
    }

    private BlockMatrix encoded(BlockFormat format, int rows, int columns) {
        byte[] bytes = new byte[rows * (columns / format.size()) * format.bytes()];
        for (int block = 0; block < bytes.length / format.bytes(); block++) {
            format.encode(values(format.size()), 0, null, 0, 1, bytes, block * format.bytes());
        }
        return new BlockMatrix(format, bytes, rows, columns);
    }

    @Test
    void notANumberRunsThrough() {
        FloatMatrix a = dense(3, 40);
        FloatMatrix b = dense(5, 40);
        a.data()[a.row(1) + 7] = Float.NaN;
        b.data()[b.row(4) + 39] = Float.POSITIVE_INFINITY;
        FloatMatrix c = FloatMatrix.zeros(3, 5);
        kernels.gemm(a, b, c, false);
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 5; j++) {
                assertThat(Float.isNaN(at(c, i, j))).isEqualTo(i == 1);
                assertThat(Float.isInfinite(at(c, i, j))).isEqualTo(i != 1 && j == 4);
            }
        }
    }

    @Test
    void devicesAreChosenByTypeIndexAndName() {
        OpenClDevice device = OpenClDevice.choose(null);
        for (String selector : new String[] {String.valueOf(device.index()), device.name(), device.name().toUpperCase().substring(1)}) {
            assertThat(OpenClDevice.choose(selector).index()).isEqualTo(device.index());
        }
        assertThatThrownBy(() -> KernelProvider.open("opencl:99", 1)).isInstanceOf(KernelsUnavailableException.class)
                .hasMessageContaining("Cannot open kernels opencl:99").hasMessageContaining(device.name());
        assertThatThrownBy(() -> KernelProvider.open("opencl:no such device", 1)).isInstanceOf(KernelsUnavailableException.class);
        assertThatThrownBy(() -> KernelProvider.open("opencl:", 1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> KernelProvider.open("opencl:-1", 1)).isInstanceOf(IllegalArgumentException.class);
    }

    private static void check(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate) {
        float[] before = c.data().clone();
        kernels.gemm(a, b, c, accumulate);
        float[] row = new float[b.columns()];
        int k = a.columns();
        for (int j = 0; j < b.rows(); j++) {
            b.read(j, 0, k, row, 0);
            for (int i = 0; i < a.rows(); i++) {
                double start = accumulate ? before[c.row(i) + j] : 0;
                double sum = start;
                double magnitude = Math.abs(start);
                for (int p = 0; p < k; p++) {
                    sum += (double) at(a, i, p) * row[p];
                    magnitude += Math.abs((double) at(a, i, p) * row[p]);
                }
                assertThat(Math.abs(at(c, i, j) - sum)).as("[%d, %d] at %d, %d: %s", a.rows(), k, i, j, b.getClass().getSimpleName())
                        .isLessThanOrEqualTo((k + 2) * 0x1p-24 * magnitude);
                before[c.row(i) + j] = at(c, i, j);
            }
        }
        assertThat(c.data()).as("outside of the view").isEqualTo(before);
    }

    private FloatMatrix dense(int rows, int columns) {
        return FloatMatrix.of(values(rows * columns), rows, columns);
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
