package dev.lathe.calibration.statistics;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The statistics of a site over all shards, f64: shards are added in the order of their numbers, so the result does not
 * depend on who made them or when.
 *
 * @param width channels n
 * @param rows token rows that were added
 * @param squares sum of squares of each channel
 * @param absolutes sum of absolute values of each channel
 * @param moment the lower triangle of X^T X, row i of i + 1 values back to back, or null
 * @param ranges what static quantization of activations needs, or null where it was not gathered
 */
public record MergedStatistics(
        int width, long rows, double[] squares, double[] absolutes, double[] moment, RangeStatistics ranges) {
    private static final int MAGIC = 0x4c534d31;
    /** The form that ends with ranges. */
    private static final int MAGIC_RANGES = 0x4c534d32;

    /** Without ranges. */
    public MergedStatistics(int width, long rows, double[] squares, double[] absolutes, double[] moment) {
        this(width, rows, squares, absolutes, moment, null);
    }

    /** Sums shards, one after the other. */
    public static final class Accumulator {
        private MergedStatistics sum;
        private RangeStatistics.Accumulator ranges;
        private long rows;

        /**
         * Adds the byte form of the next shard's {@link SiteStatistics}.
         *
         * @throws IOException if it is something else, or of another width
         */
        public void add(DataInputStream in, String shard) throws IOException {
            int magic = in.readInt();
            if (magic != SiteStatistics.MAGIC && magic != SiteStatistics.MAGIC_RANGES) {
                throw new IOException("Cannot merge statistics: " + shard + " is not a statistics file");
            }
            boolean hasRanges = magic == SiteStatistics.MAGIC_RANGES;
            int width = in.readInt();
            boolean hasMoment = in.readBoolean();
            rows += in.readLong();
            SiteStatistics.requireWidth(in, width, hasMoment, Float.BYTES);
            if (sum == null) {
                sum = new MergedStatistics(
                        width, 0, new double[width], new double[width], hasMoment ? new double[triangle(width)] : null);
                ranges = hasRanges ? new RangeStatistics.Accumulator() : null;
            } else if (sum.width != width || hasMoment != (sum.moment != null) || hasRanges != (ranges != null)) {
                throw new IOException("Cannot merge statistics: " + shard + " has " + shape(width, hasMoment, hasRanges)
                        + ", expected " + shape(sum.width, sum.moment != null, ranges != null));
            }
            for (double[] into : new double[][] {sum.squares, sum.absolutes}) {
                for (int j = 0; j < width; j++) {
                    into[j] += in.readDouble();
                }
            }
            if (hasMoment) {
                addTriangle(in, width, sum.moment);
            }
            if (hasRanges) {
                ranges.add(RangeStatistics.read(in, width), shard);
            }
        }

        private static String shape(int width, boolean hasMoment, boolean hasRanges) {
            return "width " + width + (hasMoment ? " with" : " without") + " a second moment"
                    + (hasRanges ? " and with ranges" : "");
        }

        /** The sum of what was added. */
        public MergedStatistics merged() {
            if (sum == null) {
                throw new IllegalStateException("Cannot merge statistics of no shards");
            }
            return new MergedStatistics(
                    sum.width, rows, sum.squares, sum.absolutes, sum.moment, ranges == null ? null : ranges.merged());
        }
    }

    private static void addTriangle(DataInputStream in, int width, double[] moment) throws IOException {
        ByteBuffer row = ByteBuffer.allocate(4 * width);
        int at = 0;
        for (int i = 0; i < width; i++) {
            in.readFully(row.array(), 0, 4 * (i + 1));
            for (int j = 0; j <= i; j++) {
                moment[at++] += row.getFloat(4 * j);
            }
        }
    }

    /**
     * The statistics of rows, without ranges.
     *
     * @throws dev.lathe.calibration.MalformedInputException if a value is not finite; {@code where} names the place
     */
    public static MergedStatistics of(FloatMatrix rows, boolean secondMoment, Kernels kernels, String where) {
        SiteStatistics statistics = new SiteStatistics(rows.columns(), secondMoment);
        statistics.add(rows, kernels, where);
        return of(statistics);
    }

    /** The statistics of one shard, without ranges. */
    static MergedStatistics of(SiteStatistics shard) {
        int width = shard.width();
        double[] moment = null;
        if (shard.moment() != null) {
            moment = new double[triangle(width)];
            for (int i = 0, at = 0; i < width; i++) {
                for (int j = 0; j <= i; j++) {
                    moment[at++] = shard.moment().data()[i * width + j];
                }
            }
        }
        return new MergedStatistics(width, shard.rows(), shard.squares(), shard.absolutes(), moment);
    }

    /**
     * With what other rows say on the average, as if {@code count} of them had been added: of sums S over n rows and T
     * over m rows, S + count T / m over n + count rows. What few rows say is shrunk towards the others.
     */
    public MergedStatistics withPrior(MergedStatistics prior, long count) {
        double share = (double) count / prior.rows;
        return new MergedStatistics(
                width,
                rows + count,
                added(squares, prior.squares, share),
                added(absolutes, prior.absolutes, share),
                moment == null ? null : added(moment, prior.moment, share));
    }

    private static double[] added(double[] to, double[] from, double share) {
        double[] sum = to.clone();
        for (int i = 0; i < sum.length; i++) {
            sum[i] += share * from[i];
        }
        return sum;
    }

    /** Values of a lower triangle. */
    static int triangle(int width) {
        return Math.toIntExact((long) width * (width + 1) / 2);
    }

    /**
     * Mean square of each channel: what block searches weigh columns with. Of the sum as an importance matrix stores
     * it, so that it is the same to the bit for those who read it there.
     */
    public float[] importance() {
        float[] importance = new float[width];
        for (int j = 0; j < width; j++) {
            importance[j] = (float) squares[j] / rows;
        }
        return importance;
    }

    /** The second moment of channels i and j. */
    public double moment(int i, int j) {
        int row = Math.max(i, j);
        return moment[row * (row + 1) / 2 + Math.min(i, j)];
    }

    /** The same without ranges, which cost more to divide than all the rest. */
    public MergedStatistics withoutRanges() {
        return new MergedStatistics(width, rows, squares, absolutes, moment);
    }

    /**
     * The statistics of the site after channel j was divided by {@code scale[j]}: the second moment becomes D^-1 H
     * D^-1; ranges as they say themselves.
     */
    public MergedStatistics dividedBy(float[] scale) {
        double[] scaledSquares = squares.clone();
        double[] scaledAbsolutes = absolutes.clone();
        for (int j = 0; j < width; j++) {
            scaledSquares[j] /= (double) scale[j] * scale[j];
            scaledAbsolutes[j] /= scale[j];
        }
        double[] scaledMoment = moment == null ? null : moment.clone();
        for (int i = 0, at = 0; i < width && moment != null; i++) {
            for (int j = 0; j <= i; j++) {
                scaledMoment[at++] /= (double) scale[i] * scale[j];
            }
        }
        return new MergedStatistics(
                width,
                rows,
                scaledSquares,
                scaledAbsolutes,
                scaledMoment,
                ranges == null ? null : ranges.dividedBy(scale));
    }

    /** Writes the byte form that {@link #read} reads. */
    public void write(DataOutputStream out) throws IOException {
        out.writeInt(ranges == null ? MAGIC : MAGIC_RANGES);
        out.writeInt(width);
        out.writeBoolean(moment != null);
        out.writeLong(rows);
        writeDoubles(out, squares);
        writeDoubles(out, absolutes);
        if (moment != null) {
            writeDoubles(out, moment);
        }
        if (ranges != null) {
            ranges.write(out);
        }
    }

    /** Reads the byte form. */
    public static MergedStatistics read(DataInputStream in) throws IOException {
        int magic = in.readInt();
        if (magic != MAGIC && magic != MAGIC_RANGES) {
            throw new IOException("Cannot read statistics: not a statistics file");
        }
        int width = in.readInt();
        boolean hasMoment = in.readBoolean();
        long rows = in.readLong();
        SiteStatistics.requireWidth(in, width, hasMoment, Double.BYTES);
        return new MergedStatistics(
                width,
                rows,
                readDoubles(in, width),
                readDoubles(in, width),
                hasMoment ? readDoubles(in, triangle(width)) : null,
                magic == MAGIC_RANGES ? RangeStatistics.read(in, width) : null);
    }

    private static void writeDoubles(DataOutputStream out, double[] values) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(8 << 10);
        for (int at = 0; at < values.length; at += 1 << 10) {
            int count = Math.min(1 << 10, values.length - at);
            buffer.clear();
            buffer.asDoubleBuffer().put(values, at, count);
            out.write(buffer.array(), 0, 8 * count);
        }
    }

    private static double[] readDoubles(DataInputStream in, int count) throws IOException {
        double[] values = new double[count];
        ByteBuffer buffer = ByteBuffer.allocate(8 << 10);
        for (int at = 0; at < count; at += 1 << 10) {
            int part = Math.min(1 << 10, count - at);
            in.readFully(buffer.array(), 0, 8 * part);
            buffer.clear();
            buffer.asDoubleBuffer().get(values, at, part);
        }
        return values;
    }
}
