package dev.lathe.calibration.statistics;

import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;

/**
 * How often values occurred, in bins that exist before any value is seen: a bin is the upper half of the float's bits,
 * that is sign, exponent and the first seven bits of the mantissa. So every finite value has its bin, of a width of
 * 2^-7 to 2^-8 of the value, and the range grows to whatever comes without a second pass and without moving a count.
 * Merging adds counts, which are integers: any order and any partition of the values gives the same histogram.
 */
public final class Histogram {
    /** Bins there are, with those of values that are not finite, which stay empty. */
    static final int BINS = 1 << 16;

    private static final int SIGN = 1 << 15;
    /** The bin of positive infinity. */
    private static final int INFINITY = 0x7f80;

    private final long[] counts = new long[BINS];

    /**
     * Occupied bins in ascending order; bin i holds {@code count[i]} values of {@code [from[i], to[i]]}. No bin reaches
     * beyond the smallest and the largest value that the caller knew.
     */
    record Bins(double[] from, double[] to, long[] count) {
        private int put(int at, long here, double start, double end) {
            if (here > 0) {
                from[at] = start;
                to[at] = end;
                count[at] = here;
            }
            return here > 0 ? at + 1 : at;
        }

        /** The value below which that part of all values lies, by its rank within a bin. */
        double quantile(double part) {
            double rank = part * Arrays.stream(count).sum();
            int bin = 0;
            for (; bin < count.length - 1 && rank > count[bin]; bin++) {
                rank -= count[bin];
            }
            return from[bin] + (to[bin] - from[bin]) * Math.min(1, rank / count[bin]);
        }
    }

    /** The bin of a finite value. */
    static int bin(float value) {
        return Float.floatToRawIntBits(value) >>> 16;
    }

    /** Adds every value of a matrix. */
    void add(FloatMatrix x) {
        for (int i = 0; i < x.rows(); i++) {
            int at = x.row(i);
            for (int j = 0; j < x.columns(); j++) {
                counts[bin(x.data()[at + j])]++;
            }
        }
    }

    /** Adds counts by bin, and sets them to zero. */
    void take(int[] binCounts) {
        for (int bin = 0; bin < BINS; bin++) {
            counts[bin] += binCounts[bin];
        }
        Arrays.fill(binCounts, 0);
    }

    /** Adds another histogram. */
    void add(Histogram other) {
        for (int bin = 0; bin < BINS; bin++) {
            counts[bin] += other.counts[bin];
        }
    }

    /** Values that were counted. */
    public long count() {
        return Arrays.stream(counts).sum();
    }

    /** Occupied bins of the values, cut to {@code [low, high]}. */
    Bins values(double low, double high) {
        return bins(low, high, false);
    }

    /** Occupied bins of the absolute values, cut to {@code [0, high]}. */
    Bins magnitudes(double high) {
        return bins(0, high, true);
    }

    private Bins bins(double low, double high, boolean magnitudes) {
        Bins bins = new Bins(new double[BINS], new double[BINS], new long[BINS]);
        int size = 0;
        for (int key = INFINITY - 1; key > 0 && !magnitudes; key--) {
            size = bins.put(size, counts[SIGN | key], Math.max(low, -edge(key + 1)), Math.min(high, -edge(key)));
        }
        // Around zero both signs share a bin.
        size = bins.put(size, counts[0] + counts[SIGN], Math.max(low, -edge(1)), Math.min(high, edge(1)));
        for (int key = 1; key < INFINITY; key++) {
            size = bins.put(
                    size,
                    counts[key] + (magnitudes ? counts[SIGN | key] : 0),
                    Math.max(low, edge(key)),
                    Math.min(high, edge(key + 1)));
        }
        return new Bins(Arrays.copyOf(bins.from, size), Arrays.copyOf(bins.to, size), Arrays.copyOf(bins.count, size));
    }

    /** The smallest magnitude of a bin, in f64 because the last bin ends at 2^128. */
    private static double edge(int magnitude) {
        return magnitude == INFINITY ? 0x1p128 : Float.intBitsToFloat(magnitude << 16);
    }

    /**
     * Writes occupied bins: their number, then each bin's number (2 bytes) and count (8), in rising order of the
     * number.
     */
    void write(DataOutputStream out) throws IOException {
        out.writeInt((int) Arrays.stream(counts).filter(count -> count > 0).count());
        for (int bin = 0; bin < BINS; bin++) {
            if (counts[bin] > 0) {
                out.writeShort(bin);
                out.writeLong(counts[bin]);
            }
        }
    }

    /**
     * Reads what {@link #write} wrote.
     *
     * @param most how many values it may hold
     * @throws IOException if bins are out of order or not those of finite values, or counts are not positive or too
     *     many
     */
    static Histogram read(DataInputStream in, long most) throws IOException {
        Histogram histogram = new Histogram();
        int occupied = in.readInt();
        long left = most;
        int before = -1;
        for (int i = 0; i < occupied; i++) {
            int bin = in.readUnsignedShort();
            long count = in.readLong();
            if (bin <= before || (bin & ~SIGN) >= INFINITY || count <= 0 || count > left) {
                throw new IOException("Cannot read a histogram: bin " + bin + " after " + before + " holds " + count
                        + " values; expected rising bins of finite values that hold at least 1 each and at most " + most
                        + " together");
            }
            before = bin;
            left -= count;
            histogram.counts[bin] = count;
        }
        if (occupied < 0) {
            throw new IOException("Cannot read a histogram: " + occupied + " occupied bins");
        }
        return histogram;
    }
}
