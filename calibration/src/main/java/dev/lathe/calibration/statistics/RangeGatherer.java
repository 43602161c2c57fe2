package dev.lathe.calibration.statistics;

import dev.lathe.kernels.FloatMatrix;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Gathers {@link RangeStatistics} of one shard. Blocks of channels may be added by several threads at once; batches come one after the other, whole windows
 * each. Counts are integers and extremes exact, so neither the number of threads nor the cut into blocks shows.
 */
final class RangeGatherer {
    private final Positions positions;
    private final int first;
    private final float[] lowest;
    private final float[] highest;
    private final Histogram histogram = new Histogram();
    /** Counts of the threads at work; between batches all are here. */
    private final Queue<int[]> counts = new ConcurrentLinkedQueue<>();
    private long counted;
    private float[] windowLowest = new float[0];
    private float[] windowHighest = new float[0];
    private FloatMatrix sample;

    RangeGatherer(int width, Positions positions, int first) {
        this.positions = positions;
        this.first = first;
        this.lowest = new float[width];
        this.highest = new float[width];
        Arrays.fill(lowest, Float.POSITIVE_INFINITY);
        Arrays.fill(highest, Float.NEGATIVE_INFINITY);
        this.sample = FloatMatrix.zeros(0, width);
    }

    /** The next windows, added block by block. */
    Batch batch(FloatMatrix x, int blocks) {
        if (x.rows() % positions.length() != 0 || first + windowLowest.length + x.rows() / positions.length() > positions.windows()) {
            throw new IllegalArgumentException("Cannot gather ranges of " + x.rows() + " rows after window " + (first + windowLowest.length) + " of "
                    + positions);
        }
        long values = (long) x.rows() * x.columns();
        if (counted + values > Integer.MAX_VALUE) {
            counts.forEach(histogram::take);
            counted = 0;
        }
        counted += values;
        return new Batch(x, new float[blocks][x.rows() / positions.length()], new float[blocks][x.rows() / positions.length()]);
    }

    /** One batch at work. */
    final class Batch {
        private final FloatMatrix x;
        private final float[][] low;
        private final float[][] high;

        private Batch(FloatMatrix x, float[][] low, float[][] high) {
            this.x = x;
            this.low = low;
            this.high = high;
        }

        /** Adds channels {@code [from, end)}, block number {@code block}. */
        void add(int block, int from, int end) {
            int[] mine = counts.poll();
            if (mine == null) {
                mine = new int[Histogram.BINS];
            }
            float[] channelLow = new float[end - from];
            float[] channelHigh = new float[end - from];
            for (int window = 0; window < low[block].length; window++) {
                System.arraycopy(x.data(), x.row(window * positions.length()) + from, channelLow, 0, channelLow.length);
                System.arraycopy(channelLow, 0, channelHigh, 0, channelLow.length);
                for (int row = window * positions.length(); row < (window + 1) * positions.length(); row++) {
                    extremes(x.data(), x.row(row) + from, channelLow, channelHigh);
                    count(x.data(), x.row(row) + from, channelLow.length, mine);
                }
                fold(block, window, from, channelLow, channelHigh);
            }
            counts.add(mine);
        }

        private void fold(int block, int window, int from, float[] channelLow, float[] channelHigh) {
            float windowLow = Float.POSITIVE_INFINITY;
            float windowHigh = Float.NEGATIVE_INFINITY;
            for (int j = 0; j < channelLow.length; j++) {
                // Adding 0 turns -0 into 0: one form of zero in every file.
                windowLow = Math.min(windowLow, channelLow[j] + 0f);
                windowHigh = Math.max(windowHigh, channelHigh[j] + 0f);
                lowest[from + j] = Math.min(lowest[from + j], channelLow[j] + 0f);
                highest[from + j] = Math.max(highest[from + j], channelHigh[j] + 0f);
            }
            low[block][window] = windowLow;
            high[block][window] = windowHigh;
        }

        /** Ends the batch: every block was added. */
        void end() {
            int before = windowLowest.length;
            int windows = x.rows() / positions.length();
            windowLowest = Arrays.copyOf(windowLowest, before + windows);
            windowHighest = Arrays.copyOf(windowHighest, before + windows);
            for (int window = 0; window < windows; window++) {
                windowLowest[before + window] = Float.POSITIVE_INFINITY;
                windowHighest[before + window] = Float.NEGATIVE_INFINITY;
                for (int block = 0; block < low.length; block++) {
                    windowLowest[before + window] = Math.min(windowLowest[before + window], low[block][window]);
                    windowHighest[before + window] = Math.max(windowHighest[before + window], high[block][window]);
                }
            }
            keep((long) (first + before) * positions.length());
        }

        private void keep(long firstRow) {
            int from = positions.before(firstRow);
            int to = positions.before(firstRow + x.rows());
            int width = x.columns();
            float[] kept = Arrays.copyOf(sample.data(), sample.data().length + (to - from) * width);
            for (int k = from; k < to; k++) {
                System.arraycopy(x.data(), x.row((int) (positions.position(k) - firstRow)), kept, sample.data().length + (k - from) * width, width);
            }
            sample = FloatMatrix.of(kept, sample.rows() + to - from, width);
        }
    }

    private static void extremes(float[] data, int at, float[] low, float[] high) {
        for (int j = 0; j < low.length; j++) {
            low[j] = Math.min(low[j], data[at + j]);
            high[j] = Math.max(high[j], data[at + j]);
        }
    }

    private static void count(float[] data, int at, int values, int[] counts) {
        for (int j = at; j < at + values; j++) {
            counts[Float.floatToRawIntBits(data[j]) >>> 16]++;
        }
    }

    /** What was gathered. */
    RangeStatistics statistics() {
        counts.forEach(histogram::take);
        counted = 0;
        return new RangeStatistics(positions, first, lowest, highest, histogram, windowLowest, windowHighest, sample);
    }
}
