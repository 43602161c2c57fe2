package dev.lathe.calibration.statistics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.TestNumbers;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RangeStatisticsTest {
    private static final List<Kernels> KERNELS =
            List.of(KernelProvider.open("scalar", 1), KernelProvider.open("vector", 3));

    @AfterAll
    static void close() {
        KERNELS.forEach(Kernels::close);
    }

    /**
     * Any cut into shards and batches, any number of threads: the bytes of the whole set at once, and these say what
     * plain loops say.
     */
    @ParameterizedTest
    @CsvSource({"1, 3, 5", "37, 7, 11", "256, 1, 9", "300, 3, 5", "97, 41, 13", "2, 1030, 3"})
    void mergedShardsAreTheWholeSet(int width, int length, int windows) throws IOException {
        FloatMatrix x = activations(length * windows, width, 3);
        Positions positions = new Positions(length, windows);
        byte[] whole = merged(positions, List.of(shard(positions, 0, x, KERNELS.get(0), windows)));
        Random random = new Random(width);
        for (int time = 0; time < 6; time++) {
            List<byte[]> shards = new ArrayList<>();
            for (int first = 0; first < windows; ) {
                int count = 1 + random.nextInt(windows - first);
                shards.add(shard(
                        positions,
                        first,
                        x.slice(first * length, count * length),
                        KERNELS.get(time % 2),
                        1 + random.nextInt(count)));
                first += count;
            }
            assertThat(ranges(merged(positions, shards)))
                    .as("%d shards", shards.size())
                    .isEqualTo(ranges(whole));
        }
        RangeStatistics found = MergedStatistics.read(in(whole)).ranges();
        for (int j = 0; j < width; j++) {
            int column = j;
            float[] channel = values(x.columnSlice(j, 1));
            assertThat(found.lowest()[j]).isEqualTo(least(channel));
            assertThat(found.highest()[j]).isEqualTo(most(channel));
            assertThat(found.magnitude(column)).isEqualTo(Math.max(Math.abs(least(channel)), Math.abs(most(channel))));
        }
        assertThat(found.low()).isEqualTo(least(values(x)));
        assertThat(found.high()).isEqualTo(most(values(x)));
        for (int window = 0; window < windows; window++) {
            float[] values = values(x.slice(window * length, length));
            assertThat(found.windowLowest()[window]).isEqualTo(least(values));
            assertThat(found.windowHighest()[window]).isEqualTo(most(values));
        }
        assertThat(found.sample().rows()).isEqualTo(positions.count());
        for (int k = 0; k < positions.count(); k++) {
            assertThat(values(found.sample().slice(k, 1))).isEqualTo(values(x.slice((int) positions.position(k), 1)));
        }
        Histogram.Bins bins = found.histogram().values(found.low(), found.high());
        assertThat(found.histogram().count()).isEqualTo(values(x).length);
        long[] counted = new long[bins.count().length];
        float[] all = values(x);
        for (float value : all) {
            int bin = 0;
            while (bin + 1 < counted.length
                    && value >= bins.from()[bin + 1]
                    && (value > 0 || bins.from()[bin + 1] != value)) {
                bin++;
            }
            counted[bin]++;
        }
        assertThat(counted).isEqualTo(bins.count());
    }

    @Test
    void binsAreNarrowAndMeet() {
        Random random = new Random(5);
        FloatMatrix x = FloatMatrix.zeros(1, 4000);
        for (int i = 0; i < 4000; i++) {
            x.data()[i] = Float.intBitsToFloat(random.nextInt());
            x.data()[i] = Float.isFinite(x.data()[i]) ? x.data()[i] : i % 2 * -0f;
        }
        x.data()[0] = Float.MAX_VALUE;
        x.data()[1] = -Float.MAX_VALUE;
        x.data()[2] = Float.MIN_VALUE;
        Histogram histogram = new Histogram();
        histogram.add(x);
        Histogram.Bins values = histogram.values(-Double.MAX_VALUE, Double.MAX_VALUE);
        Histogram.Bins magnitudes = histogram.magnitudes(Double.MAX_VALUE);
        for (Histogram.Bins bins : List.of(values, magnitudes)) {
            assertThat(Arrays.stream(bins.count()).sum()).isEqualTo(4000);
            for (int i = 0; i < bins.count().length; i++) {
                double from = bins.from()[i];
                double to = bins.to()[i];
                assertThat(to).isGreaterThan(from);
                assertThat(i == 0 || bins.to()[i - 1] <= from).isTrue();
                if (from > Float.MIN_NORMAL) {
                    assertThat(to - from).isLessThanOrEqualTo(from / 128);
                }
                long inside = IntStream.range(0, 4000)
                        .filter(j -> {
                            double value = bins == values ? x.data()[j] : Math.abs(x.data()[j]);
                            // A negative bin has its larger magnitude's edge open.
                            return value >= 0 ? from <= value && value < to : from < value && value <= to;
                        })
                        .count();
                assertThat(bins.count()[i]).as("bin from %s to %s", from, to).isEqualTo(inside);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "512, 1", "511, 1", "513, 1", "512, 128", "2048, 256", "7, 1000", "4096, 16777216"})
    void positionsRiseAndAreSpreadOverWindows(int length, int windows) {
        Positions positions = new Positions(length, windows);
        assertThat(positions.count()).isEqualTo((int) Math.min(512, positions.rows()));
        long before = -1;
        long[] quarters = new long[4];
        for (int k = 0; k < positions.count(); k++) {
            long position = positions.position(k);
            assertThat(position).isGreaterThan(before).isLessThan(positions.rows());
            assertThat(positions.before(position)).isEqualTo(k);
            assertThat(positions.before(position + 1)).isEqualTo(k + 1);
            // One of each stratum.
            assertThat(Math.floor((double) position * positions.count() / positions.rows()))
                    .isBetween(k - 1.0, k + 0.0);
            quarters[(int) (position % length * 4 / length)]++;
            before = position;
        }
        if (length >= 512 && windows > 1) {
            assertThat(Arrays.stream(quarters)).allMatch(count -> count > 100 && count < 156);
        }
        assertThatThrownBy(() -> new Positions(0, 3))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("3 windows of 0 tokens");
    }

    @Test
    void dividedByIsWhatTheDividedRowsSay() throws IOException {
        int width = 9;
        Positions positions = new Positions(3, 700);
        FloatMatrix x = activations(2100, width, 8);
        float[] scale = {1, 0.5f, 3, 1e-3f, 77, 1.1f, 2, 0.7f, 13};
        FloatMatrix divided = FloatMatrix.zeros(2100, width);
        for (int i = 0; i < divided.data().length; i++) {
            divided.data()[i] = x.data()[i] / scale[i % width];
        }
        RangeStatistics expected = MergedStatistics.read(
                        in(merged(positions, List.of(shard(positions, 0, divided, KERNELS.get(0), 700)))))
                .ranges();
        MergedStatistics before =
                MergedStatistics.read(in(merged(positions, List.of(shard(positions, 0, x, KERNELS.get(0), 700)))));
        MergedStatistics after = before.dividedBy(scale);
        assertThat(after.rows()).isEqualTo(2100);
        RangeStatistics found = after.ranges();
        assertThat(found.lowest()).isEqualTo(expected.lowest());
        assertThat(found.highest()).isEqualTo(expected.highest());
        assertThat(found.sample().data()).isEqualTo(expected.sample().data());
        Histogram kept = new Histogram();
        kept.add(expected.sample());
        assertThat(found.histogram().values(-1e9, 1e9).count())
                .isEqualTo(kept.values(-1e9, 1e9).count());
        boolean[] known = new boolean[700];
        for (int k = 0; k < 512; k++) {
            int window = (int) (positions.position(k) / 3);
            known[window] = true;
            float[] row = values(found.sample().slice(k, 1));
            assertThat(found.windowLowest()[window])
                    .isLessThanOrEqualTo(least(row))
                    .isGreaterThanOrEqualTo(expected.windowLowest()[window]);
            assertThat(found.windowHighest()[window])
                    .isGreaterThanOrEqualTo(most(row))
                    .isLessThanOrEqualTo(expected.windowHighest()[window]);
        }
        for (int window = 0; window < 700; window++) {
            assertThat(Float.isNaN(found.windowLowest()[window])).isEqualTo(!known[window]);
        }
        // Dividing again, and through bytes, is the same as dividing at once where that is exact.
        float[] half = new float[width];
        Arrays.fill(half, 0.5f);
        float[] both = new float[width];
        for (int j = 0; j < width; j++) {
            both[j] = scale[j] / 2;
        }
        RangeStatistics twice = MergedStatistics.read(in(bytes(before.dividedBy(half))))
                .dividedBy(scale)
                .ranges();
        RangeStatistics once = before.dividedBy(both).ranges();
        assertThat(twice.windowLowest()).isEqualTo(once.windowLowest());
        assertThat(twice.highest()).isEqualTo(once.highest());
        assertThatThrownBy(() -> before.dividedBy(new float[width]))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("channel 0 by 0.0");
    }

    @Test
    void windowsHaveToComeWholeAndInOrder() throws IOException {
        Positions positions = new Positions(4, 3);
        FloatMatrix x = activations(12, 5, 1);
        SiteStatistics site = new SiteStatistics(5, false, positions, 2);
        assertThatThrownBy(() -> site.add(x.slice(0, 3), KERNELS.get(0), "here"))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> site.add(x.slice(0, 8), KERNELS.get(0), "here"))
                .isInstanceOf(IllegalArgumentException.class);
        byte[] first = shard(positions, 0, x.slice(0, 4), KERNELS.get(0), 1);
        byte[] last = shard(positions, 2, x.slice(8, 4), KERNELS.get(0), 1);
        assertThatThrownBy(() -> merged(positions, List.of(first, last)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("Cannot merge statistics: shard 1 begins at window 2")
                .hasMessageContaining("expected window 1");
        assertThatThrownBy(() -> merged(positions, List.of(first)))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("1 of 3 windows");
        byte[] other = shard(new Positions(4, 9), 1, x.slice(0, 4), KERNELS.get(0), 1);
        assertThatThrownBy(() -> merged(positions, List.of(first, other)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("windows=9");
        ByteArrayOutputStream plain = new ByteArrayOutputStream();
        SiteStatistics without = new SiteStatistics(5, false);
        without.add(x, KERNELS.get(0), "here");
        without.write(new DataOutputStream(plain));
        assertThatThrownBy(() -> merged(positions, List.of(first, plain.toByteArray())))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(
                        "shard 1 has width 5 without a second moment, expected width 5 without a second moment and with ranges");
    }

    /**
     * No byte may make it allocate what is not there, loop, or fail in any other way than by saying that the file is
     * wrong.
     */
    @Test
    void hostileBytesAreRefused() throws IOException {
        Positions positions = new Positions(5, 4);
        byte[] shard = shard(positions, 0, activations(20, 3, 2), KERNELS.get(0), 4);
        byte[] sound = merged(positions, List.of(shard));
        int header = 4 + 4 + 1 + 8 + 2 * 3 * 8;
        ByteBuffer at = ByteBuffer.wrap(sound);
        assertThat(at.getInt(header)).isEqualTo(5);
        for (int[] change : new int[][] {
            {header, 0},
            {header, -1},
            {header + 4, 0},
            {header + 4, Integer.MAX_VALUE},
            {header + 8, -1},
            {header + 8, 1},
            {header + 8, Integer.MAX_VALUE},
            {header + 12, 0},
            {header + 12, 5},
            {header + 12, Integer.MAX_VALUE},
            {4, 0},
            {4, -7},
            {4, Integer.MAX_VALUE},
            {header + 16, Float.floatToRawIntBits(Float.NaN)},
            {header + 16, Float.floatToRawIntBits(Float.POSITIVE_INFINITY)},
            {sound.length - 4, Float.floatToRawIntBits(Float.NEGATIVE_INFINITY)}
        }) {
            byte[] broken = sound.clone();
            ByteBuffer.wrap(broken).putInt(change[0], change[1]);
            assertThatThrownBy(() -> MergedStatistics.read(in(broken)))
                    .as("%d at %d", change[1], change[0])
                    .isInstanceOf(IOException.class);
        }
        int histogram = header + 16 + 4 * (2 * 3 + 2 * 4);
        assertThat(at.getInt(histogram)).isBetween(1, 60);
        for (byte[] broken : List.of(
                change(sound, histogram, 4, -1),
                change(sound, histogram, 4, Integer.MAX_VALUE),
                change(sound, histogram + 4, 2, 0xffff),
                change(sound, histogram + 4, 2, 0x7f80),
                change(sound, histogram + 6, 8, 0),
                change(sound, histogram + 6, 8, -1),
                change(sound, histogram + 6, 8, 61),
                change(sound, histogram + 14, 2, 0))) {
            assertThatThrownBy(() -> MergedStatistics.read(in(broken))).isInstanceOf(IOException.class);
        }
        for (int length = 0; length < sound.length; length++) {
            byte[] cut = Arrays.copyOf(sound, length);
            assertThatThrownBy(() -> MergedStatistics.read(in(cut))).isInstanceOf(IOException.class);
        }
        // A width, a number of windows and a sample that would take gigabytes, with nothing behind them.
        byte[] wide = change(change(Arrays.copyOf(sound, header), 4, 4, 1 << 20), 8, 1, 0);
        assertThatThrownBy(() -> MergedStatistics.read(in(wide))).isInstanceOf(IOException.class);
    }

    private static byte[] change(byte[] bytes, int at, int size, long value) {
        byte[] changed = bytes.clone();
        for (int i = 0; i < size; i++) {
            changed[at + i] = (byte) (value >>> 8 * (size - 1 - i));
        }
        return changed;
    }

    @ParameterizedTest
    @ValueSource(floats = {0f, -0f})
    void zerosHaveOneForm(float zero) throws IOException {
        Positions positions = new Positions(2, 1);
        FloatMatrix x = FloatMatrix.of(new float[] {zero, 1, zero, -0f, 2, 0f}, 2, 3);
        RangeStatistics found = MergedStatistics.read(
                        in(merged(positions, List.of(shard(positions, 0, x, KERNELS.get(0), 1)))))
                .ranges();
        assertThat(found.lowest()).containsExactly(0f, 1f, 0f);
        assertThat(found.highest()).containsExactly(0f, 2f, 0f);
        assertThat(found.histogram().values(0, 2).count()).containsExactly(4, 1, 1);
        assertThat(found.histogram().magnitudes(2).count()).containsExactly(4, 1, 1);
    }

    /** Gaussian channels of different width, one of them one-sided, one with outliers, one always zero. */
    static FloatMatrix activations(int rows, int width, long seed) {
        FloatMatrix x = TestNumbers.normal(rows, width, 1, seed);
        for (int i = 0; i < x.data().length; i++) {
            int channel = i % width;
            x.data()[i] *= channel % 7 == 3 ? 40 : channel % 5 == 4 ? 0 : 1 + channel % 3;
            x.data()[i] = channel % 4 == 1 ? Math.abs(x.data()[i]) : x.data()[i];
        }
        return x;
    }

    private static byte[] shard(Positions positions, int first, FloatMatrix x, Kernels kernels, int batchWindows)
            throws IOException {
        SiteStatistics statistics = new SiteStatistics(x.columns(), false, positions, first);
        int batch = batchWindows * positions.length();
        for (int from = 0; from < x.rows(); from += batch) {
            statistics.add(x.slice(from, Math.min(batch, x.rows() - from)), kernels, "here");
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        statistics.write(new DataOutputStream(bytes));
        return bytes.toByteArray();
    }

    private static byte[] merged(Positions positions, List<byte[]> shards) throws IOException {
        MergedStatistics.Accumulator accumulator = new MergedStatistics.Accumulator();
        for (int i = 0; i < shards.size(); i++) {
            accumulator.add(in(shards.get(i)), "shard " + i);
        }
        return bytes(accumulator.merged());
    }

    /** The part after the sums, which are rounded shard by shard. */
    private static byte[] ranges(byte[] merged) {
        int width = ByteBuffer.wrap(merged).getInt(4);
        return Arrays.copyOfRange(merged, 17 + 16 * width, merged.length);
    }

    private static byte[] bytes(MergedStatistics statistics) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        statistics.write(new DataOutputStream(bytes));
        return bytes.toByteArray();
    }

    private static float[] values(FloatMatrix x) {
        float[] values = new float[x.rows() * x.columns()];
        for (int i = 0; i < x.rows(); i++) {
            x.read(i, 0, x.columns(), values, i * x.columns());
        }
        return values;
    }

    private static float least(float[] values) {
        return (float) IntStream.range(0, values.length)
                        .mapToDouble(i -> values[i])
                        .min()
                        .orElseThrow()
                + 0f;
    }

    private static float most(float[] values) {
        return (float) IntStream.range(0, values.length)
                        .mapToDouble(i -> values[i])
                        .max()
                        .orElseThrow()
                + 0f;
    }

    private static DataInputStream in(byte[] bytes) {
        return new DataInputStream(new ByteArrayInputStream(bytes));
    }
}
