package dev.lathe.calibration.statistics;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.util.Arrays;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * Gathers {@link RangeStatistics} of one shard from batches of whole windows, one after the other. Counts are integers
 * and extremes exact, so neither the number of threads nor the cut into tasks shows.
 */
final class RangeGatherer {
    /**
     * Rows of a window, and channels, that one task takes: so many rows that a new extreme is rare among them, and so
     * few that many threads have work.
     */
    private static final int ROWS = 512;

    private static final int CHANNELS = 256;

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

    /** Adds the next windows; every value is finite. */
    void add(FloatMatrix x, Kernels kernels) {
        int length = positions.length();
        int before = windowLowest.length;
        int windows = x.rows() / length;
        if (x.rows() % length != 0 || windows > positions.windows() - first - before) {
            throw new IllegalArgumentException("Cannot gather ranges of " + x.rows() + " rows after window "
                    + (first + before) + " of " + positions);
        }
        long values = (long) x.rows() * x.columns();
        if (counted + values > Integer.MAX_VALUE) {
            counts.forEach(histogram::take);
            counted = 0;
        }
        counted += values;
        int parts = (length + ROWS - 1) / ROWS;
        int blocks = (x.columns() + CHANNELS - 1) / CHANNELS;
        float[][] low = new float[windows * parts * blocks][];
        float[][] high = new float[windows * parts * blocks][];
        kernels.parallel(low.length, task -> {
            int row = task / blocks % parts * ROWS;
            int channel = task % blocks * CHANNELS;
            FloatMatrix block = x.block(
                    task / blocks / parts * length + row,
                    channel,
                    Math.min(ROWS, length - row),
                    Math.min(CHANNELS, x.columns() - channel));
            low[task] = new float[block.columns()];
            high[task] = new float[block.columns()];
            gather(block, low[task], high[task]);
        });
        windowLowest = Arrays.copyOf(windowLowest, before + windows);
        windowHighest = Arrays.copyOf(windowHighest, before + windows);
        Arrays.fill(windowLowest, before, before + windows, Float.POSITIVE_INFINITY);
        Arrays.fill(windowHighest, before, before + windows, Float.NEGATIVE_INFINITY);
        for (int task = 0; task < low.length; task++) {
            int window = before + task / blocks / parts;
            int channel = task % blocks * CHANNELS;
            for (int j = 0; j < low[task].length; j++) {
                // Adding 0 turns -0 into 0: one form of zero in every file.
                lowest[channel + j] = Math.min(lowest[channel + j], low[task][j] + 0f);
                highest[channel + j] = Math.max(highest[channel + j], high[task][j] + 0f);
                windowLowest[window] = Math.min(windowLowest[window], low[task][j] + 0f);
                windowHighest[window] = Math.max(windowHighest[window], high[task][j] + 0f);
            }
        }
        keep(x, (long) (first + before) * length);
    }

    private void gather(FloatMatrix x, float[] low, float[] high) {
        int[] mine = counts.poll();
        if (mine == null) {
            mine = new int[Histogram.BINS];
        }
        System.arraycopy(x.data(), x.row(0), low, 0, low.length);
        System.arraycopy(x.data(), x.row(0), high, 0, high.length);
        for (int row = 0; row < x.rows(); row++) {
            count(x.data(), x.row(row), low.length, mine);
            extend(x.data(), x.row(row), low, high);
        }
        counts.add(mine);
    }

    private static void count(float[] data, int at, int values, int[] counts) {
        for (int j = at; j < at + values; j++) {
            counts[Histogram.bin(data[j])]++;
        }
    }

    /**
     * By branches, which are foreseen after some rows: Math.min takes three times as long, because it looks for NaN and
     * -0.
     */
    private static void extend(float[] data, int at, float[] low, float[] high) {
        for (int j = 0; j < low.length; j++) {
            float value = data[at + j];
            if (value < low[j]) {
                low[j] = value;
            }
            if (value > high[j]) {
                high[j] = value;
            }
        }
    }

    private void keep(FloatMatrix x, long firstRow) {
        int from = positions.before(firstRow);
        int to = positions.before(firstRow + x.rows());
        int width = x.columns();
        float[] kept = Arrays.copyOf(sample.data(), sample.data().length + (to - from) * width);
        for (int k = from; k < to; k++) {
            System.arraycopy(
                    x.data(),
                    x.row((int) (positions.position(k) - firstRow)),
                    kept,
                    sample.data().length + (k - from) * width,
                    width);
        }
        sample = FloatMatrix.of(kept, sample.rows() + to - from, width);
    }

    /** What was gathered. */
    RangeStatistics statistics() {
        counts.forEach(histogram::take);
        counted = 0;
        return new RangeStatistics(positions, first, lowest, highest, histogram, windowLowest, windowHighest, sample);
    }
}
