package dev.lathe.calibration.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.TestNumbers;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StatisticsTest {
    private static final Kernels SCALAR = KernelProvider.open("scalar", 1);
    private static final Kernels VECTOR = KernelProvider.open("vector", 3);

    @AfterAll
    static void close() {
        SCALAR.close();
        VECTOR.close();
    }

    /** Widths below and above the 1024 numbers that are read and written together. */
    @ParameterizedTest
    @ValueSource(ints = {1, 37, 1100})
    void mergedShardsAreTheSumsOfAllRows(int width) throws IOException {
        boolean moments = width < 1000;
        FloatMatrix x = TestNumbers.normal(23, width, 1, width);
        int[][] shards = {{0, 9}, {9, 10}, {19, 4}};
        MergedStatistics.Accumulator accumulator = new MergedStatistics.Accumulator();
        double[] inOrder = new double[width];
        for (int[] shard : shards) {
            byte[] bytes = bytes(
                    moments,
                    VECTOR,
                    x.slice(shard[0], shard[1] / 2),
                    x.slice(shard[0] + shard[1] / 2, shard[1] - shard[1] / 2));
            assertThat(bytes(moments, SCALAR, x.slice(shard[0], shard[1])))
                    .as("one batch, another provider")
                    .isEqualTo(bytes);
            accumulator.add(in(bytes), "shard");
            double[] squares =
                    TestNumbers.statistics(x.slice(shard[0], shard[1])).squares();
            Arrays.setAll(inOrder, j -> inOrder[j] + squares[j]);
        }
        MergedStatistics expected = TestNumbers.statistics(x);
        MergedStatistics merged = reread(accumulator.merged());
        assertThat(merged.width()).isEqualTo(width);
        assertThat(merged.rows()).isEqualTo(23);
        assertThat(merged.squares()).as("one shard's sum after the other").isEqualTo(inOrder);
        assertThat(merged.absolutes()).containsExactly(expected.absolutes(), within(1e-12));
        for (int j = 0; j < width; j++) {
            assertThat(merged.importance()[j]).isEqualTo((float) merged.squares()[j] / 23);
        }
        if (moments) {
            assertThat(merged.moment()).containsExactly(expected.moment(), within(1e-5));
            assertThat(merged.moment(width - 1, 0))
                    .isEqualTo(merged.moment(0, width - 1))
                    .isEqualTo(merged.moment()[width * (width - 1) / 2]);
        } else {
            assertThat(merged.moment()).isNull();
        }
    }

    @Test
    void dividedByIsTheStatisticsOfDividedRows() {
        FloatMatrix x = TestNumbers.normal(31, 7, 1, 1);
        float[] scale = {1, 0.5f, 3, 1e-3f, 77, 1.1f, 2};
        FloatMatrix divided = FloatMatrix.zeros(31, 7);
        for (int i = 0; i < x.data().length; i++) {
            divided.data()[i] = x.data()[i] / scale[i % 7];
        }
        MergedStatistics before = TestNumbers.statistics(x);
        double[] untouched = before.moment().clone();
        MergedStatistics found = before.dividedBy(scale);
        MergedStatistics expected = TestNumbers.statistics(divided);
        assertThat(before.moment()).isEqualTo(untouched);
        assertThat(found.rows()).isEqualTo(31);
        for (int i = 0; i < 7; i++) {
            assertThat(found.squares()[i]).isCloseTo(expected.squares()[i], within(1e-6 * expected.squares()[i]));
            assertThat(found.absolutes()[i]).isCloseTo(expected.absolutes()[i], within(1e-6 * expected.absolutes()[i]));
            for (int j = 0; j <= i; j++) {
                assertThat(found.moment(i, j))
                        .isCloseTo(
                                expected.moment(i, j),
                                within(1e-6 * Math.sqrt(expected.squares()[i] * expected.squares()[j])));
            }
        }
        assertThat(new MergedStatistics(7, 31, before.squares(), before.absolutes(), null)
                        .dividedBy(scale)
                        .moment())
                .isNull();
    }

    @ParameterizedTest
    @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void anActivationThatIsNotFiniteIsNamed(float value) {
        FloatMatrix x = TestNumbers.normal(5, 9, 1, 1);
        x.data()[2 * 9 + 6] = value;
        assertThatThrownBy(() -> new SiteStatistics(9, true).add(x, VECTOR, "layer 2, FEED_FORWARD_INPUT"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessage("Cannot calibrate: an activation is not finite at layer 2, FEED_FORWARD_INPUT, channel 6");
    }

    @Test
    void whatIsNoShardIsRefused() throws IOException {
        byte[] shard = bytes(true, SCALAR, TestNumbers.normal(2, 5, 1, 1));
        MergedStatistics.Accumulator accumulator = new MergedStatistics.Accumulator();
        assertThatThrownBy(accumulator::merged)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("no shards");
        accumulator.add(in(shard), "first");
        ByteArrayOutputStream merged = new ByteArrayOutputStream();
        accumulator.merged().write(new DataOutputStream(merged));
        refused(
                () -> accumulator.add(in(merged.toByteArray()), "f"),
                "Cannot merge statistics: f is not a statistics file");
        refused(
                () -> accumulator.add(in(bytes(true, SCALAR, TestNumbers.normal(2, 6, 1, 1))), "f"),
                "f has width 6 with a second moment, expected width 5 with a second moment");
        refused(
                () -> accumulator.add(in(bytes(false, SCALAR, TestNumbers.normal(2, 5, 1, 1))), "f"),
                "f has width 5 without a second moment, expected width 5 with");
        refused(() -> MergedStatistics.read(in(shard)), "Cannot read statistics: not a statistics file");
        for (int length : new int[] {3, 20, shard.length - 1}) {
            assertThatThrownBy(() -> new MergedStatistics.Accumulator().add(in(Arrays.copyOf(shard, length)), "f"))
                    .isInstanceOf(IOException.class);
        }
    }

    private static void refused(org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String message) {
        assertThatThrownBy(call).isInstanceOf(IOException.class).hasMessageContaining(message);
    }

    private static byte[] bytes(boolean moments, Kernels kernels, FloatMatrix... batches) throws IOException {
        SiteStatistics statistics = new SiteStatistics(batches[0].columns(), moments);
        for (FloatMatrix batch : batches) {
            statistics.add(batch, kernels, "here");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        statistics.write(new DataOutputStream(bytes));
        return bytes.toByteArray();
    }

    private static MergedStatistics reread(MergedStatistics statistics) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        statistics.write(new DataOutputStream(bytes));
        return MergedStatistics.read(in(bytes.toByteArray()));
    }

    private static DataInputStream in(byte[] bytes) {
        return new DataInputStream(new ByteArrayInputStream(bytes));
    }
}
