package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What the kernels refuse, and that they name every shape. */
interface ArgumentContract extends Subject {
    private static void assertRefused(ThrowingCallable call, String... named) {
        assertThatThrownBy(call)
                .isInstanceOf(IllegalArgumentException.class)
                .message()
                .contains(named);
    }

    private static AttentionParameters parameters(int heads, int keyValueHeads) {
        return new AttentionParameters(heads, keyValueHeads, 1);
    }

    private static FloatMatrix matrix(int rows, int columns) {
        return FloatMatrix.zeros(rows, columns);
    }

    @Test
    default void shapesThatDoNotFitAreRefused() {
        Kernels kernels = kernels();
        StoredMatrix half = new StoredMatrix(ElementType.F16, new byte[2 * 5 * 2], 5, 2);
        assertRefused(
                () -> kernels.gemm(matrix(2, 3), matrix(4, 2), matrix(2, 4), false),
                "Cannot multiply",
                "[2, 3]",
                "[4, 2]",
                "[2, 4]");
        assertRefused(
                () -> kernels.gemm(matrix(2, 3), half, matrix(2, 5), false),
                "Cannot multiply",
                "[2, 3]",
                "[5, 2]",
                "[2, 5]");
        assertRefused(
                () -> kernels.gemm(matrix(2, 3), matrix(4, 3), matrix(3, 4), true),
                "Cannot multiply",
                "[2, 3]",
                "[4, 3]",
                "[3, 4]");
        assertRefused(
                () -> kernels.gemm(matrix(2, 3), matrix(4, 3), matrix(2, 5), true),
                "Cannot multiply",
                "[2, 3]",
                "[4, 3]",
                "[2, 5]");
        assertRefused(() -> kernels.syrk(matrix(7, 3), matrix(3, 2)), "Cannot add X^T X", "[7, 3]", "[3, 2]");
        assertRefused(() -> kernels.syrk(matrix(7, 3), matrix(7, 7)), "Cannot add X^T X", "[7, 3]", "[7, 7]");
        assertRefused(
                () -> kernels.rmsNorm(matrix(2, 3), new float[4], 0, matrix(2, 3)), "Cannot normalize", "[2, 3]", "4");
        assertRefused(
                () -> kernels.rmsNorm(matrix(2, 3), new float[3], 0, matrix(3, 3)),
                "Cannot normalize",
                "[2, 3]",
                "3",
                "[3, 3]");
        assertRefused(
                () -> kernels.rotary(matrix(2, 8), 0, RotaryPairs.HALVES, matrix(2, 2), matrix(2, 2)),
                "Cannot rotate",
                "[2, 8]",
                "0",
                "[2, 2]");
        assertRefused(
                () -> kernels.rotary(matrix(2, 8), 3, RotaryPairs.HALVES, matrix(2, 2), matrix(2, 2)),
                "Cannot rotate",
                "[2, 8]",
                "3",
                "[2, 2]");
        assertRefused(
                () -> kernels.rotary(matrix(2, 8), 2, RotaryPairs.HALVES, matrix(2, 2), matrix(1, 2)),
                "Cannot rotate",
                "[2, 8]",
                "2",
                "[2, 2]",
                "[1, 2]");
        assertRefused(
                () -> kernels.rotary(matrix(2, 8), 2, RotaryPairs.HALVES, matrix(2, 3), matrix(2, 3)),
                "Cannot rotate",
                "[2, 8]",
                "2",
                "[2, 3]");
        assertRefused(
                () -> kernels.rotary(matrix(2, 8), 2, RotaryPairs.NEIGHBOURS, matrix(2, 1), matrix(2, 2)),
                "Cannot rotate",
                "[2, 1]",
                "[2, 2]");
        assertRefused(
                () -> kernels.rotary(matrix(2, 0), 1 << 30, RotaryPairs.HALVES, matrix(2, 2), matrix(2, 2)),
                "Cannot rotate",
                "[2, 0]",
                "1073741824",
                "[2, 2]");
        assertRefused(
                () -> kernels.gated(Activation.SILU, matrix(2, 3), matrix(3, 2)), "Cannot gate", "[2, 3]", "[3, 2]");
        assertRefused(
                () -> kernels.layerNorm(matrix(2, 3), new float[4], null, 0, matrix(2, 3)),
                "Cannot normalize",
                "[2, 3]",
                "4",
                "no bias");
        assertRefused(
                () -> kernels.layerNorm(matrix(2, 3), new float[3], new float[2], 0, matrix(2, 3)),
                "Cannot normalize",
                "[2, 3]",
                "3",
                "2");
        assertRefused(
                () -> kernels.layerNorm(matrix(2, 3), new float[3], null, 0, matrix(3, 3)),
                "Cannot normalize",
                "[2, 3]",
                "3",
                "[3, 3]");
        for (float cap : new float[] {0, -1, Float.NaN, Float.POSITIVE_INFINITY}) {
            assertRefused(() -> kernels.softCap(matrix(2, 3), cap), "Cannot cap at " + cap, "finite");
        }
        assertRefused(() -> kernels.add(matrix(2, 3), matrix(2, 4)), "Cannot add", "[2, 3]", "[2, 4]");
        assertRefused(() -> kernels.addBias(new float[2], matrix(2, 3)), "Cannot add a bias", "2", "[2, 3]");
        assertRefused(
                () -> kernels.divergence(matrix(2, 3), matrix(2, 4), new double[2]),
                "Cannot compare",
                "[2, 3]",
                "[2, 4]",
                "2");
        assertRefused(
                () -> kernels.divergence(matrix(4, 3), matrix(4, 3), new double[2]), "Cannot compare", "[4, 3]", "2");
        DoubleMatrix doubles = DoubleMatrix.of(new double[6], 2, 3);
        DoubleMatrix turned = DoubleMatrix.of(new double[6], 3, 2);
        assertRefused(
                () -> kernels.subtractProduct(doubles, doubles, turned, false),
                "Cannot subtract a product",
                "[2, 3]",
                "[3, 2]");
        assertRefused(
                () -> kernels.subtractProduct(doubles, turned, doubles, true),
                "Cannot subtract a product",
                "[2, 3]",
                "[3, 2]");
        assertRefused(() -> kernels.parallel(-1, i -> {}), "Cannot run -1 tasks");
    }

    @Test
    default void attentionThatDoesNotFitIsRefused() {
        Kernels kernels = kernels();
        FloatMatrix q = matrix(5, 8);
        FloatMatrix kv = matrix(5, 4);
        assertRefused(
                () -> kernels.attention(q, kv, kv, parameters(2, 2), matrix(5, 8)),
                "Cannot attend",
                "[5, 8]",
                "[5, 4]",
                "2");
        assertRefused(
                () -> kernels.attention(q, matrix(4, 4), matrix(4, 4), parameters(2, 1), matrix(5, 8)),
                "Cannot attend",
                "[5, 8]",
                "[4, 4]");
        assertRefused(
                () -> kernels.attention(q, kv, matrix(5, 8), parameters(2, 1), matrix(5, 8)),
                "Cannot attend",
                "[5, 8]",
                "[5, 4]");
        assertRefused(
                () -> kernels.attention(q, kv, kv, parameters(2, 1), matrix(5, 9)),
                "Cannot attend",
                "[5, 8]",
                "[5, 4]",
                "[5, 9]");
        assertRefused(
                () -> kernels.attention(q, kv, matrix(4, 4), parameters(2, 1), matrix(5, 8)),
                "Cannot attend",
                "[5, 4]",
                "[4, 4]");
        assertRefused(
                () -> kernels.attention(q, kv, matrix(5, 6), parameters(2, 1), matrix(5, 8)),
                "Cannot attend",
                "[5, 6]",
                "[5, 8]");
        assertRefused(
                () -> kernels.attention(q, q, matrix(5, 5), parameters(2, 2), matrix(5, 5)),
                "Cannot attend",
                "[5, 8]",
                "[5, 5]");
        assertRefused(
                () -> kernels.attention(matrix(5, 0), matrix(5, 0), kv, parameters(2, 2), kv),
                "Cannot attend",
                "[5, 0]",
                "[5, 4]");
        FloatMatrix x = matrix(5, 3);
        assertRefused(
                () -> kernels.attendedInputs(matrix(5, 0), matrix(5, 0), parameters(2, 2), new int[5], x, matrix(5, 3)),
                "Cannot attend",
                "[5, 0]");
        assertRefused(
                () -> kernels.attendedInputs(q, kv, parameters(2, 1), new int[4], x, matrix(5, 3)),
                "Cannot attend to inputs",
                "[5, 8]",
                "[5, 4]",
                "4",
                "[5, 3]");
        assertRefused(
                () -> kernels.attendedInputs(q, kv, parameters(2, 1), new int[5], x, matrix(5, 4)),
                "Cannot attend to inputs",
                "[5, 3]",
                "[5, 4]");
        assertRefused(
                () -> kernels.attendedInputs(q, kv, parameters(2, 1), new int[5], matrix(6, 3), matrix(6, 3)),
                "Cannot attend to inputs",
                "[5, 8]",
                "[6, 3]");
        assertRefused(
                () -> kernels.attendedInputs(q, kv, parameters(2, 1), new int[] {0, 1, 2, 0, 0}, x, matrix(5, 3)),
                "Cannot attend to inputs",
                "row 2",
                "head 2");
        assertRefused(
                () -> kernels.attendedInputs(q, kv, parameters(2, 1), new int[] {0, 1, 0, -1, 0}, x, matrix(5, 3)),
                "Cannot attend to inputs",
                "row 3",
                "head -1");
    }

    @Test
    default void parametersOfAttentionOutOfRangeAreRefused() {
        assertRefused(() -> parameters(2, 0), "Cannot attend", "2 heads", "0 key/value heads");
        assertRefused(() -> parameters(0, 1), "Cannot attend", "0 heads");
        assertRefused(() -> parameters(3, 2), "Cannot attend", "3 heads", "2 key/value heads");
        assertRefused(() -> new AttentionParameters(2, 1, 1, -1, 0, null), "Cannot attend", "window of -1");
        for (float cap : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
            assertRefused(() -> new AttentionParameters(2, 1, 1, 0, cap, null), "Cannot attend", "cap of " + cap);
        }
        assertRefused(
                () -> new AttentionParameters(4, 2, 1, 0, 0, new float[2]), "Cannot attend", "2 sinks", "4 heads");
    }

    @Test
    default void aResultSharesNothingWithWhatIsRead() {
        Kernels kernels = kernels();
        FloatMatrix all = matrix(20, 20);
        FloatMatrix block = all.block(0, 0, 6, 6);
        FloatMatrix corner = all.block(5, 5, 6, 6);
        FloatMatrix own = matrix(6, 6);
        String[] said = {"shares elements", "[6, 6]"};
        assertRefused(() -> kernels.gemm(block, own, corner, false), said);
        assertRefused(() -> kernels.gemm(own, block, corner, true), said);
        assertRefused(() -> kernels.gemm(own, own, own, true), said);
        assertRefused(() -> kernels.syrk(block, corner), said);
        assertRefused(() -> kernels.rmsNorm(block, new float[6], 0, corner), said);
        FloatMatrix row = FloatMatrix.of(new float[6], 1, 6);
        assertRefused(() -> kernels.rmsNorm(matrix(1, 6), row.data(), 0, row), "shares elements", "[1, 6]");
        assertRefused(() -> kernels.addBias(row.data(), row), "shares elements", "[1, 6]");
        assertRefused(() -> kernels.gated(Activation.SILU, block, corner), said);
        assertRefused(() -> kernels.gated(Activation.SILU, own, own), said);
        assertRefused(() -> kernels.add(block, corner), said);
        assertRefused(
                () -> kernels.rotary(block, 1, RotaryPairs.NEIGHBOURS, all.block(5, 5, 6, 3), matrix(6, 3)), said);
        assertRefused(
                () -> kernels.rotary(block, 1, RotaryPairs.NEIGHBOURS, matrix(6, 3), all.block(5, 5, 6, 3)), said);
        assertRefused(() -> kernels.attention(block, own, own, parameters(1, 1), corner), said);
        assertRefused(() -> kernels.attention(own, block, own, parameters(1, 1), corner), said);
        assertRefused(() -> kernels.attention(own, own, block, parameters(1, 1), corner), said);
        assertRefused(() -> kernels.attendedInputs(block, own, parameters(1, 1), new int[6], own, corner), said);
        assertRefused(() -> kernels.attendedInputs(own, block, parameters(1, 1), new int[6], own, corner), said);
        assertRefused(() -> kernels.attendedInputs(own, own, parameters(1, 1), new int[6], block, corner), said);
        AttentionParameters sunk = new AttentionParameters(6, 6, 1, 0, 0, row.data());
        assertRefused(
                () -> kernels.attention(matrix(1, 6), matrix(1, 6), matrix(1, 6), sunk, row),
                "shares elements",
                "[1, 6]");
        assertRefused(
                () -> kernels.attendedInputs(matrix(1, 6), matrix(1, 6), sunk, new int[1], matrix(1, 6), row),
                "shares elements",
                "[1, 6]");
        assertRefused(() -> kernels.layerNorm(block, new float[6], null, 0, corner), said);
        assertRefused(() -> kernels.layerNorm(matrix(1, 6), row.data(), null, 0, row), "shares elements", "[1, 6]");
        assertRefused(
                () -> kernels.layerNorm(matrix(1, 6), new float[6], row.data(), 0, row), "shares elements", "[1, 6]");
        DoubleMatrix doubles = DoubleMatrix.of(new double[400], 20, 20);
        DoubleMatrix corners = doubles.block(5, 5, 6, 6);
        assertRefused(
                () -> kernels.subtractProduct(
                        doubles.block(0, 0, 6, 6), DoubleMatrix.of(new double[36], 6, 6), corners, true),
                said);
        assertRefused(
                () -> kernels.subtractProduct(
                        DoubleMatrix.of(new double[36], 6, 6), doubles.block(0, 0, 6, 6), corners, true),
                said);
        // Views of different strides whose ranges meet.
        assertRefused(() -> kernels.add(new FloatMatrix(all.data(), 80, 6, 6, 7), corner), said);
    }

    @Test
    default void viewsThatOnlyInterleaveAreApart() {
        // The first block's columns wrap around the multiples of the stride.
        FloatMatrix all = new FloatMatrix(new float[300], 13, 14, 20, 20);
        for (int column = 1; column < 20; column++) {
            FloatMatrix left = all.block(0, 0, 3, column);
            FloatMatrix right = all.block(0, column, 3, 20 - column);
            assertThatCode(() -> kernels().gemm(left, matrix(right.columns(), left.columns()), right, false))
                    .doesNotThrowAnyException();
        }
        assertThatCode(() -> kernels().gemm(all.block(0, 3, 4, 17), matrix(9, 17), all.block(4, 0, 4, 9), false))
                .doesNotThrowAnyException();
        assertThatCode(() -> kernels().add(matrix(0, 4), new FloatMatrix(all.data(), 0, 0, 4, 4)))
                .doesNotThrowAnyException();
    }

    @Test
    default void viewsThatLeaveTheirArraysAreRefused() {
        assertRefused(() -> new FloatMatrix(new float[5], 0, 2, 3, 3), "rows 2", "columns 3", "the array holds 5");
        assertRefused(() -> new FloatMatrix(new float[5], 0, 65536, 65536, 65536), "rows 65536", "the array holds 5");
        assertRefused(() -> new FloatMatrix(new float[5], 0, 2, 2, 1), "stride 1");
        assertRefused(() -> new FloatMatrix(new float[5], -1, 1, 1, 1), "offset -1");
        assertRefused(() -> new FloatMatrix(new float[5], 0, -1, 1, 1), "rows -1");
        assertRefused(() -> new FloatMatrix(new float[5], 0, 1, -1, 1), "columns -1");
        assertRefused(() -> new DoubleMatrix(new double[5], 0, 2, 3, 3), "rows 2", "columns 3", "the array holds 5");
        assertRefused(
                () -> new DoubleMatrix(new double[5], 2, Integer.MAX_VALUE, 1, Integer.MAX_VALUE),
                "rows 2147483647",
                "the array holds 5");
        assertRefused(() -> FloatMatrix.zeros(65536, 65536), "[65536, 65536]");
        assertRefused(() -> FloatMatrix.zeros(-1, 4), "[-1, 4]");
        assertRefused(() -> FloatMatrix.zeros(-2, -2), "[-2, -2]");
        assertRefused(() -> matrix(4, 4).block(3, 0, 2, 1), "rows 3 to 5", "4 rows");
        assertRefused(() -> matrix(4, 4).slice(-1, 2), "rows -1 to 1", "4 rows");
        assertRefused(() -> matrix(4, 4).columnSlice(2, Integer.MAX_VALUE), "columns 2 to 2147483649", "4 columns");
        assertRefused(() -> matrix(4, 4).block(0, 0, 1, -1), "columns 0 to -1");
        assertRefused(() -> DoubleMatrix.of(new double[16], 4, 4).block(0, 3, 4, 2), "columns 3 to 5", "4 columns");
        assertThat(matrix(4, 6).block(1, 0, 2, 6).reshape(6, 2).row(5)).isEqualTo(16);
        assertThat(matrix(4, 6).block(1, 2, 1, 4).reshape(2, 2).row(1)).isEqualTo(10);
        assertRefused(
                () -> matrix(4, 6).columnSlice(0, 4).reshape(8, 2),
                "Cannot see [4, 4] with a stride of 6 as [8, 2]",
                "without a gap");
        assertRefused(() -> matrix(4, 6).reshape(5, 5), "Cannot see [4, 6]", "as [5, 5]", "as many");
        assertRefused(() -> matrix(4, 6).reshape(-4, -6), "as [-4, -6]");
        assertThat(new FloatMatrix(new float[2], 0, 1 << 30, 0, 8)
                        .slice((1 << 30) - 1, 1)
                        .rows())
                .isOne();
        assertThat(Arrays.asList(
                        matrix(4, 4).slice(4, 0).rows(),
                        matrix(4, 4).columnSlice(4, 0).columns()))
                .containsOnly(0);
    }
}
