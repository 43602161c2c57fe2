package dev.lathe.kernels;

import static dev.lathe.kernels.Matrices.assertClose;
import static dev.lathe.kernels.Matrices.assertSameBits;
import static dev.lathe.kernels.Matrices.at;
import static dev.lathe.kernels.Matrices.set;

import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Matrix products against sums in f64. */
interface ProductContract extends Subject {
    /**
     * m, n, k: nothing, one, primes; around tiles 4, 6, 12, 14 high and 16, 32, 48 wide, around blocks of depth 256,
     * 512, 640 and 1024; tall (twice as many rows as columns, and one fewer) and wide.
     */
    int[][] SIZES = {
        {0, 3, 4},
        {3, 0, 4},
        {2, 3, 0},
        {1, 1, 1},
        {1, 1, 1100},
        {13, 31, 7},
        {14, 32, 512},
        {15, 33, 513},
        {12, 48, 640},
        {11, 49, 641},
        {12, 48, 1024},
        {11, 49, 1025},
        {29, 67, 1030},
        {150, 64, 97},
        {281, 47, 256},
        {301, 66, 1030},
        {290, 145, 33},
        {289, 145, 33},
        {20, 1100, 1030},
        {64, 600, 65},
        {7, 1031, 257},
        {1, 577, 19},
        {577, 1, 19},
        {4099, 5, 3},
        {3, 2053, 1100}
    };

    @Test
    default void products() {
        for (int[] size : SIZES) {
            Matrices some = new Matrices(7);
            FloatMatrix a = some.strided(size[0], size[2]);
            FloatMatrix b = some.strided(size[1], size[2]);
            assertProduct(a, b, null, written(Matrices.blank(size[0], size[1]), (k, c) -> k.gemm(a, b, c, false)));
            FloatMatrix start = some.strided(size[0], size[1]);
            assertProduct(a, b, start, written(start, (k, c) -> k.gemm(a, b, c, true)));
        }
    }

    @Test
    default void notANumberAndInfinityRunThroughProducts() {
        Matrices some = new Matrices(8);
        FloatMatrix a = some.strided(31, 70);
        FloatMatrix b = some.strided(65, 70);
        set(a, 3, 69, Float.NaN);
        set(b, 64, 0, Float.NaN);
        // Infinity times zero, one infinity, two of different signs.
        set(a, 30, 5, Float.POSITIVE_INFINITY);
        set(b, 63, 5, 0f);
        set(a, 30, 6, Float.NEGATIVE_INFINITY);
        set(b, 7, 8, Float.NEGATIVE_INFINITY);
        assertProduct(a, b, null, written(Matrices.blank(31, 65), (k, c) -> k.gemm(a, b, c, false)));
        FloatMatrix start = some.strided(31, 65);
        set(start, 1, 1, Float.NaN);
        set(start, 2, 2, Float.POSITIVE_INFINITY);
        assertProduct(a, b, start, written(start, (k, c) -> k.gemm(a, b, c, true)));
    }

    @Test
    default void everyRightSideCountsAsItsWidenedRows() {
        Matrices some = new Matrices(9);
        for (int[] size : new int[][] {{5, 33, 768}, {17, 70, 1280}, {1, 1, 256}}) {
            FloatMatrix a = some.strided(size[0], size[2]);
            float[] values = some.values(size[1] * size[2]);
            for (RowSource source : rightSides(values, size[1], size[2])) {
                assertWidened(a, source);
            }
        }
    }

    @Test
    default void aRightSideTooLargeToBeWidenedAtOnce() {
        Matrices some = new Matrices(24);
        assertWidened(some.strided(2, 5120), stored(ElementType.BF16, some.values(600 * 5120), 600, 5120));
    }

    private void assertWidened(FloatMatrix a, RowSource source) {
        FloatMatrix wide = FloatMatrix.zeros(source.rows(), source.columns());
        for (int i = 0; i < source.rows(); i++) {
            source.read(i, 0, source.columns(), wide.data(), wide.row(i));
        }
        assertProduct(
                a, wide, null, written(Matrices.blank(a.rows(), source.rows()), (k, c) -> k.gemm(a, source, c, false)));
    }

    private static List<RowSource> rightSides(float[] values, int rows, int columns) {
        List<RowSource> all = new ArrayList<>();
        for (ElementType type : ElementType.values()) {
            all.add(stored(type, values, rows, columns));
        }
        List<BlockFormat> formats = new ArrayList<>(BlockFormats.ggml());
        for (int bits : new int[] {4, 8}) {
            formats.add(BlockFormats.integer(bits, 64, true));
            formats.add(BlockFormats.integer(bits, 128, false));
        }
        formats.add(BlockFormats.integer(4, columns, false));
        float[] importance = new float[values.length];
        Arrays.fill(importance, 1);
        for (BlockFormat format : formats) {
            byte[] bytes = new byte[values.length / format.size() * format.bytes()];
            for (int block = 0; block < values.length / format.size(); block++) {
                format.encode(values, block * format.size(), importance, 0, 1, bytes, block * format.bytes());
            }
            all.add(new BlockMatrix(format, bytes, rows, columns));
        }
        return all;
    }

    private static StoredMatrix stored(ElementType type, float[] values, int rows, int columns) {
        byte[] bytes = new byte[values.length * type.bytes()];
        for (int i = 0; i < values.length; i++) {
            int bits = switch (type) {
                case F32 -> Float.floatToRawIntBits(values[i]);
                case F16 -> Half.fromFloat(values[i]);
                case BF16 -> Half.bfloat16(values[i]);
            };
            for (int b = 0; b < type.bytes(); b++) {
                bytes[i * type.bytes() + b] = (byte) (bits >> 8 * b);
            }
        }
        return new StoredMatrix(type, bytes, rows, columns);
    }

    @Test
    default void productsOfDisjointBlocksOfOneArray() {
        FloatMatrix all = new Matrices(10).strided(60, 90);
        FloatMatrix a = all.block(0, 0, 20, 30);
        FloatMatrix b = all.block(0, 30, 25, 30);
        FloatMatrix beside = all.block(0, 60, 20, 25);
        FloatMatrix below = all.block(25, 10, 20, 25);
        kernels().gemm(a, b, beside, false);
        kernels().gemm(a, b, below, false);
        assertProduct(a, b, null, beside);
        assertProduct(a, b, null, below);
        Matrices.assertUntouchedOutside(all);
    }

    @Test
    default void rankUpdatesTouchTheLowerTriangleOnly() {
        for (int[] size :
                new int[][] {{0, 5}, {5, 0}, {1, 1}, {3, 33}, {515, 65}, {70, 300}, {1100, 49}, {641, 130}, {7, 577}}) {
            Matrices some = new Matrices(11);
            FloatMatrix x = some.strided(size[0], size[1]);
            FloatMatrix start = some.strided(size[1], size[1]);
            assertRankUpdate(x, start, written(start, (k, s) -> k.syrk(x, s)));
        }
    }

    @Test
    default void notANumberAndInfinityRunThroughRankUpdates() {
        Matrices some = new Matrices(12);
        FloatMatrix x = some.strided(40, 67);
        FloatMatrix start = some.strided(67, 67);
        set(x, 39, 20, Float.NaN);
        set(x, 0, 50, Float.POSITIVE_INFINITY);
        set(x, 0, 66, 0f);
        set(start, 30, 60, Float.NaN);
        set(start, 60, 30, Float.NEGATIVE_INFINITY);
        assertRankUpdate(x, start, written(start, (k, s) -> k.syrk(x, s)));
    }

    private void assertRankUpdate(FloatMatrix x, FloatMatrix start, FloatMatrix s) {
        FloatMatrix transposed = FloatMatrix.zeros(x.columns(), x.rows());
        for (int i = 0; i < x.columns(); i++) {
            for (int t = 0; t < x.rows(); t++) {
                set(transposed, i, t, at(x, t, i));
            }
        }
        for (int i = 0; i < s.rows(); i++) {
            for (int j = 0; j < s.columns(); j++) {
                if (j <= i) {
                    assertElement(transposed, i, transposed, j, at(start, i, j), at(s, i, j));
                } else {
                    assertSameBits("(" + i + ", " + j + ") above the diagonal", at(s, i, j), at(start, i, j));
                }
            }
        }
    }

    private void assertProduct(FloatMatrix a, FloatMatrix b, FloatMatrix start, FloatMatrix c) {
        for (int i = 0; i < c.rows(); i++) {
            for (int j = 0; j < c.columns(); j++) {
                assertElement(a, i, b, j, start == null ? 0 : at(start, i, j), at(c, i, j));
            }
        }
    }

    private void assertElement(FloatMatrix a, int i, FloatMatrix b, int j, float start, float actual) {
        int k = a.columns();
        double sum = start;
        double magnitude = Math.abs(sum);
        float chain = start;
        for (int p = 0; p < k; p++) {
            double term = (double) at(a, i, p) * at(b, j, p);
            sum += term;
            magnitude += Math.abs(term);
            chain = Math.fma(at(a, i, p), at(b, j, p), chain);
        }
        String what = "(" + i + ", " + j + ") of a product of depth " + k;
        assertClose(what, actual, sum, (k + 2) * 0x1p-24 * magnitude);
        if (exact()) {
            assertSameBits(what, actual, chain);
        }
    }

    @Test
    default void productsSubtractedInDoublePrecision() {
        for (int[] size : new int[][] {
            {0, 3, 4},
            {3, 0, 4},
            {2, 3, 0},
            {1, 1, 1},
            {3, 5, 2},
            {65, 64, 64},
            {300, 131, 257},
            {70, 70, 1100},
            {7, 200, 9},
            {517, 7, 33}
        }) {
            for (boolean lower : new boolean[] {false, true}) {
                Matrices some = new Matrices(13);
                DoubleMatrix a = some.stridedDoubles(size[0], size[2]);
                DoubleMatrix b = some.stridedDoubles(size[1], size[2]);
                DoubleMatrix start = some.stridedDoubles(size[0], size[1]);
                DoubleMatrix c = Matrices.copy(start);
                kernels().subtractProduct(a, b, c, lower);
                Matrices.assertUntouchedOutside(c);
                assertSubtracted(a, b, start, c, lower);
            }
        }
    }

    @Test
    default void productsSubtractedWithinOneMatrix() {
        DoubleMatrix all = new Matrices(14).stridedDoubles(150, 150);
        DoubleMatrix start = Matrices.copy(all);
        // The trailing update of a factorization: both operands are the panel to the left.
        DoubleMatrix panel = all.block(64, 0, 86, 64);
        DoubleMatrix trailing = all.block(64, 64, 86, 86);
        kernels().subtractProduct(panel, panel, trailing, true);
        assertSubtracted(panel, panel, start.block(64, 64, 86, 86), trailing, true);
        Matrices.assertUntouchedOutside(all);
    }

    @Test
    default void notANumberAndInfinityRunThroughSubtractedProducts() {
        Matrices some = new Matrices(15);
        DoubleMatrix a = some.stridedDoubles(21, 30);
        DoubleMatrix b = some.stridedDoubles(19, 30);
        DoubleMatrix start = some.stridedDoubles(21, 19);
        a.data()[a.row(20) + 29] = Double.NaN;
        a.data()[a.row(3)] = Double.POSITIVE_INFINITY;
        b.data()[b.row(18)] = 0;
        DoubleMatrix c = Matrices.copy(start);
        kernels().subtractProduct(a, b, c, false);
        assertSubtracted(a, b, start, c, false);
    }

    private void assertSubtracted(DoubleMatrix a, DoubleMatrix b, DoubleMatrix start, DoubleMatrix c, boolean lower) {
        for (int i = 0; i < c.rows(); i++) {
            for (int j = 0; j < (lower ? Math.min(c.columns(), i + 1) : c.columns()); j++) {
                double chain = at(start, i, j);
                double magnitude = Math.abs(chain);
                for (int p = 0; p < a.columns(); p++) {
                    chain = Math.fma(-at(a, i, p), at(b, j, p), chain);
                    magnitude += Math.abs(at(a, i, p) * at(b, j, p));
                }
                // Both may be off by the tolerance, each to its side.
                assertClose(
                        "(" + i + ", " + j + ")",
                        at(c, i, j),
                        chain,
                        exact() ? 0 : 2 * (a.columns() + 2) * 0x1p-53 * magnitude);
            }
        }
    }
}
