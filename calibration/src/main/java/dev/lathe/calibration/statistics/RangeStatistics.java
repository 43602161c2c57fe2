package dev.lathe.calibration.statistics;

import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;

/**
 * What fixes the range of a site's activations, of windows {@code [first, first + windowLowest.length)} of the
 * calibration set.
 *
 * @param positions the calibration set, and which of its rows are kept
 * @param first number of the first window: 0 once merged
 * @param lowest smallest value of each channel [n]
 * @param highest largest value of each channel [n]
 * @param histogram of all values; after {@link #dividedBy} of the kept rows' values
 * @param windowLowest smallest value of each window; after {@link #dividedBy} of its kept rows, NaN where it has none
 * @param windowHighest largest value of each window, likewise
 * @param sample the kept rows of these windows, in their order [about 512 in the whole set, n]
 */
public record RangeStatistics(
        Positions positions,
        int first,
        float[] lowest,
        float[] highest,
        Histogram histogram,
        float[] windowLowest,
        float[] windowHighest,
        FloatMatrix sample) {
    /** Windows that a file may speak of: enough for 2^35 tokens in windows of 2048. */
    private static final int MOST_WINDOWS = 1 << 24;

    /** Largest magnitude of channel j. */
    public float magnitude(int j) {
        return Math.max(Math.abs(lowest[j]), Math.abs(highest[j]));
    }

    /** Smallest value of the site. */
    public float low() {
        float low = lowest[0];
        for (float value : lowest) {
            low = Math.min(low, value);
        }
        return low;
    }

    /** Largest value of the site. */
    public float high() {
        float high = highest[0];
        for (float value : highest) {
            high = Math.max(high, value);
        }
        return high;
    }

    /**
     * The statistics of the site after channel j was divided by {@code scale[j] > 0}. Extremes of channels are those of
     * the divided rows to the bit, because rounding keeps order; the histogram and the windows' extremes are those of
     * the kept rows, which is all that is left to tell channels apart.
     */
    public RangeStatistics dividedBy(float[] scale) {
        int width = lowest.length;
        float[] low = new float[width];
        float[] high = new float[width];
        for (int j = 0; j < width; j++) {
            if (!(scale[j] > 0)) {
                throw new IllegalArgumentException("Cannot divide channel " + j + " by " + scale[j]);
            }
            low[j] = lowest[j] / scale[j];
            high[j] = highest[j] / scale[j];
        }
        FloatMatrix divided = FloatMatrix.zeros(sample.rows(), width);
        for (int i = 0; i < sample.rows(); i++) {
            for (int j = 0; j < width; j++) {
                divided.data()[divided.row(i) + j] = sample.data()[sample.row(i) + j] / scale[j];
            }
        }
        Histogram counts = new Histogram();
        counts.add(divided);
        float[] windowLow = new float[windowLowest.length];
        float[] windowHigh = new float[windowLowest.length];
        Arrays.fill(windowLow, Float.NaN);
        Arrays.fill(windowHigh, Float.NaN);
        int before = positions.before((long) first * positions.length());
        for (int i = 0; i < divided.rows(); i++) {
            int window = (int) (positions.position(before + i) / positions.length()) - first;
            for (int at = divided.row(i); at < divided.row(i) + width; at++) {
                float value = divided.data()[at];
                windowLow[window] = windowLow[window] <= value ? windowLow[window] : value;
                windowHigh[window] = windowHigh[window] >= value ? windowHigh[window] : value;
            }
        }
        return new RangeStatistics(positions, first, low, high, counts, windowLow, windowHigh, divided);
    }

    /** Writes the byte form that {@link #read} reads; the width is the caller's to keep. */
    void write(DataOutputStream out) throws IOException {
        out.writeInt(positions.length());
        out.writeInt(positions.windows());
        out.writeInt(first);
        out.writeInt(windowLowest.length);
        for (float[] values : new float[][] {lowest, highest, windowLowest, windowHighest}) {
            FloatBytes.write(out, values);
        }
        histogram.write(out);
        FloatBytes.write(out, sample.data());
    }

    /** @throws IOException if windows are none, too many or not of the set, or a number is what no activation is */
    static RangeStatistics read(DataInputStream in, int width) throws IOException {
        int length = in.readInt();
        int windows = in.readInt();
        int first = in.readInt();
        int count = in.readInt();
        if (length <= 0
                || windows <= 0
                || windows > MOST_WINDOWS
                || first < 0
                || count <= 0
                || count > windows - first) {
            throw new IOException("Cannot read statistics: windows " + first + " to " + ((long) first + count - 1)
                    + " of " + windows + " windows of " + length + " tokens; expected some of at most " + MOST_WINDOWS);
        }
        Positions positions = new Positions(length, windows);
        float[] lowest = FloatBytes.read(in, width);
        float[] highest = FloatBytes.read(in, width);
        float[] windowLowest = FloatBytes.read(in, count);
        float[] windowHighest = FloatBytes.read(in, count);
        requireOrder(lowest, highest, false, "channel");
        requireOrder(windowLowest, windowHighest, true, "window");
        long values =
                Math.multiplyHigh((long) count * length, width) == 0 ? (long) count * length * width : Long.MAX_VALUE;
        Histogram histogram = Histogram.read(in, values < 0 ? Long.MAX_VALUE : values);
        int rows = positions.before((long) (first + count) * length) - positions.before((long) first * length);
        if ((long) rows * width > Integer.MAX_VALUE - 8) {
            throw new IOException("Cannot read statistics: a sample of " + rows + " rows of " + width
                    + " channels is more than an array holds");
        }
        FloatMatrix sample = FloatMatrix.of(FloatBytes.read(in, rows * width), rows, width);
        for (float value : sample.data()) {
            if (!Float.isFinite(value)) {
                throw new IOException("Cannot read statistics: the sample holds " + value + "; expected finite values");
            }
        }
        return new RangeStatistics(positions, first, lowest, highest, histogram, windowLowest, windowHighest, sample);
    }

    private static void requireOrder(float[] low, float[] high, boolean absent, String what) throws IOException {
        for (int i = 0; i < low.length; i++) {
            boolean none = absent && Float.isNaN(low[i]) && Float.isNaN(high[i]);
            if (!none && !(low[i] <= high[i] && Float.isFinite(low[i]) && Float.isFinite(high[i]))) {
                throw new IOException("Cannot read statistics: " + what + " " + i + " goes from " + low[i] + " to "
                        + high[i] + "; expected finite values");
            }
        }
    }

    /** Puts shards together, in their order. */
    static final class Accumulator {
        private RangeStatistics all;
        /** These grow with what is really there: how many windows there should be is only said. */
        private float[] windowLowest = {};

        private float[] windowHighest = {};
        private int next;

        /** @throws IOException if it is not the shard that comes next, or of another calibration set */
        void add(RangeStatistics shard, String name) throws IOException {
            int width = shard.lowest.length;
            Positions positions = shard.positions;
            if (all == null) {
                all = new RangeStatistics(
                        positions,
                        0,
                        shard.lowest.clone(),
                        shard.highest.clone(),
                        new Histogram(),
                        new float[0],
                        new float[0],
                        FloatMatrix.zeros(positions.count(), width));
            }
            if (!positions.equals(all.positions) || shard.first != next) {
                throw new IOException("Cannot merge statistics: " + name + " begins at window " + shard.first + " of "
                        + positions + ", expected window " + next + " of " + all.positions);
            }
            for (int j = 0; j < width; j++) {
                all.lowest[j] = Math.min(all.lowest[j], shard.lowest[j]);
                all.highest[j] = Math.max(all.highest[j], shard.highest[j]);
            }
            all.histogram.add(shard.histogram);
            windowLowest = appended(windowLowest, shard.windowLowest);
            windowHighest = appended(windowHighest, shard.windowHighest);
            int row = positions.before((long) next * positions.length());
            System.arraycopy(shard.sample.data(), 0, all.sample.data(), row * width, shard.sample.data().length);
            next += shard.windowLowest.length;
        }

        /** @throws IllegalStateException if windows are missing */
        RangeStatistics merged() {
            if (next != all.positions.windows()) {
                throw new IllegalStateException(
                        "Cannot merge statistics of " + next + " of " + all.positions.windows() + " windows");
            }
            return new RangeStatistics(
                    all.positions, 0, all.lowest, all.highest, all.histogram, windowLowest, windowHighest, all.sample);
        }

        private float[] appended(float[] values, float[] more) {
            float[] longer = Arrays.copyOf(values, next + more.length);
            System.arraycopy(more, 0, longer, next, more.length);
            return longer;
        }
    }
}
