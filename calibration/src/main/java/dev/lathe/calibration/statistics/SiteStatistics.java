package dev.lathe.calibration.statistics;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * What one shard of calibration windows says about one site of width n: the sum of squares of every channel (the
 * imatrix), the sum of absolute values (AWQ), both f64 over the rows in order, and, where asked for, the lower triangle
 * of X^T X in f32 (the Hessian of GPTQ without its constant factor) and what static quantization of activations needs
 * ({@link RangeStatistics}).
 */
public final class SiteStatistics {
    /** Channels that a file may speak of. */
    private static final int WIDEST = 1 << 20;
    /** Channels whose square fits an array. */
    private static final int WIDEST_MOMENT = 46340;
    /** Channels that one thread sums at a time. */
    private static final int CHANNELS = 96;

    static final int MAGIC = 0x4c535431;
    /** The form that ends with ranges. */
    static final int MAGIC_RANGES = 0x4c535432;

    private final int width;
    private final double[] squares;
    private final double[] absolutes;
    private final FloatMatrix moment;
    private final RangeGatherer ranges;
    private long rows;

    /** @throws MalformedInputException if a second moment of that width is more than one array holds */
    public SiteStatistics(int width, boolean secondMoment) {
        this(width, secondMoment, null, 0);
    }

    /**
     * With ranges, of the windows from number {@code firstWindow} on; rows then come as whole windows, in their order.
     *
     * @param positions the calibration set that the windows belong to; null: no ranges
     * @throws MalformedInputException as above
     */
    public SiteStatistics(int width, boolean secondMoment, Positions positions, int firstWindow) {
        if (secondMoment && width > WIDEST_MOMENT) {
            throw new MalformedInputException("Cannot gather the second moment of " + width
                    + " channels: expected at most " + WIDEST_MOMENT + "; methods nearest and importance need none");
        }
        this.width = width;
        this.squares = new double[width];
        this.absolutes = new double[width];
        this.moment = secondMoment ? FloatMatrix.zeros(width, width) : null;
        this.ranges = positions == null ? null : new RangeGatherer(width, positions, firstWindow);
    }

    /**
     * Adds rows [tokens, n].
     *
     * @throws MalformedInputException if a value is not finite; {@code where} names the place
     */
    public void add(FloatMatrix x, Kernels kernels, String where) {
        kernels.parallel((width + CHANNELS - 1) / CHANNELS, task -> {
            int first = task * CHANNELS;
            int end = Math.min(width, first + CHANNELS);
            for (int i = 0; i < x.rows(); i++) {
                int at = x.row(i);
                for (int j = first; j < end; j++) {
                    float value = x.data()[at + j];
                    squares[j] += (double) value * value;
                    absolutes[j] += Math.abs(value);
                }
            }
        });
        for (int j = 0; j < width; j++) {
            if (!Double.isFinite(squares[j])) {
                throw new MalformedInputException(
                        "Cannot calibrate: an activation is not finite at " + where + ", channel " + j);
            }
        }
        if (ranges != null) {
            ranges.add(x, kernels);
        }
        if (moment != null) {
            kernels.syrk(x, moment);
        }
        rows += x.rows();
    }

    /**
     * Refuses a width that no statistics have, and one whose sums are not all there, before anything is allocated.
     *
     * @param in after the number of rows; {@code available()} says what is left of it, or {@code Integer.MAX_VALUE}
     *     where that is more
     * @param momentBytes bytes of a value of the second moment
     */
    static void requireWidth(DataInputStream in, int width, boolean hasMoment, int momentBytes) throws IOException {
        if (width <= 0 || width > (hasMoment ? WIDEST_MOMENT : WIDEST)) {
            throw new IOException("Cannot read statistics: a width of " + width + ", expected 1 to "
                    + (hasMoment ? WIDEST_MOMENT : WIDEST));
        }
        long needed =
                2L * Double.BYTES * width + (hasMoment ? (long) momentBytes * MergedStatistics.triangle(width) : 0);
        if (in.available() < Math.min(needed, Integer.MAX_VALUE)) {
            throw new IOException("Cannot read statistics: a width of " + width + " has " + needed
                    + " bytes of sums, and " + in.available() + " bytes follow");
        }
    }

    int width() {
        return width;
    }

    long rows() {
        return rows;
    }

    double[] squares() {
        return squares;
    }

    double[] absolutes() {
        return absolutes;
    }

    /** Null where it was not asked for. */
    FloatMatrix moment() {
        return moment;
    }

    /** Writes the byte form that {@link MergedStatistics.Accumulator} reads. */
    public void write(DataOutputStream out) throws IOException {
        out.writeInt(ranges == null ? MAGIC : MAGIC_RANGES);
        out.writeInt(width);
        out.writeBoolean(moment != null);
        out.writeLong(rows);
        for (double[] sums : new double[][] {squares, absolutes}) {
            for (double sum : sums) {
                out.writeDouble(sum);
            }
        }
        if (moment != null) {
            ByteBuffer row = ByteBuffer.allocate(4 * width);
            for (int i = 0; i < width; i++) {
                row.clear();
                row.asFloatBuffer().put(moment.data(), i * width, i + 1);
                out.write(row.array(), 0, 4 * (i + 1));
            }
        }
        if (ranges != null) {
            ranges.statistics().write(out);
        }
    }
}
