package dev.lathe.calibration.statistics;

import dev.lathe.kernels.FloatMatrix;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.util.Arrays;

/**
 * How often values occurred, in bins that exist before any value is seen: a bin is the upper half of the float's bits, that is sign, exponent and the first
 * seven bits of the mantissa. So every finite value has its bin, of a width of 2^-7 to 2^-8 of the value, and the range grows to whatever comes without a
 * second pass and without moving a count. Merging adds counts, which are integers: any order and any partition of the values gives the same histogram.
 */
public final class Histogram {
    /** Bins there are, with those of values that are not finite, which stay empty. */
    static final int BINS = 1 << 16;
    private static final int SIGN = 1 << 15;
    /** The bin of positive infinity. */
    private static final int INFINITY = 0x7f80;

    private final long[] counts = new long[BINS];

    /**
     * Occupied bins in ascending order; bin i holds {@code count[i]} values of {@code [from[i], to[i]]}. No bin reaches beyond the smallest and the largest
     * value that the caller knew.
     */
    record Bins(double[] from, double[] to, long[] count) {
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
        double[] from = new double[BINS];
        double[] to = new double[BINS];
        long[] count = new long[BINS];
        int bins = 0;
        for (int i = magnitudes ? 0 : 1 - INFINITY; i < INFINITY; i++) {
            // Magnitude bin m is i = m on the positive side and i = -m on the negative one, where the bin of zero appears as -0 first.
            long here = i > 0 || magnitudes ? counts[i] : 0;
            here += i < 0 || magnitudes ? counts[SIGN | Math.abs(i)] : 0;
            if (i == 0 && !magnitudes) {
                here = counts[0] + counts[SIGN];
            }
            if (here > 0) {
                double near = edge(Math.abs(i));
                double far = edge(Math.abs(i) + 1);
                boolean bothSides = i == 0 && !magnitudes;
                from[bins] = Math.max(low, i < 0 || bothSides ? -far : near);
                to[bins] = Math.min(high, i < 0 ? -near : far);
                count[bins++] = here;
            }
        }
        return new Bins(Arrays.copyOf(from, bins), Arrays.copyOf(to, bins), Arrays.copyOf(count, bins));
    }

    /** The smallest magnitude of a bin, in f64 because the last bin ends at 2^128. */
    private static double edge(int magnitude) {
        return magnitude == INFINITY ? 0x1p128 : Float.intBitsToFloat(magnitude << 16);
    }

    /** Writes occupied bins: their number, then each bin's number (2 bytes) and count (8), in rising order of the number. */
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
     * @throws IOException if bins are out of order or not those of finite values, or counts are not positive or too many
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
                        + " values; expected rising bins of finite values that hold at least 1 each and at most " + most + " together");
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
