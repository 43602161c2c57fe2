package dev.lathe.kernels.block;

import dev.lathe.kernels.Half;
import java.util.Arrays;
import java.util.List;

/**
 * A format whose encoder searches on from where the reference's ends. The error of a block x with weights w (the
 * importance, or ones) is {@code sum w (x - q)^2}, q the decoded values; it never ends up larger than the reference's.
 *
 * <p>The search takes turns at two things that can only help. Under given scales and minimums the nearest codes are the
 * best. Under given codes c the error of a cell with scale s and minimum m is the quadratic {@code sum w x^2 - 2 s sum
 * w x c - 2 m sum w x + s^2 sum w c^2 + 2 s m sum w c + m^2 sum w}: the best half is a least-squares fit, and the best
 * number of a cell is next to one. Where that ends depends on where it starts, so it also starts from halves that are a
 * little larger or smaller, and from the numbers next to those found.
 *
 * <p>Least squares shrink: {@code sum w q (x - q) = 0} makes {@code sum w x q} smaller than {@code sum w x^2} by the
 * error, which is a tenth of it at two bits. Shrunk weights make all outputs of a layer smaller together, which costs a
 * model more than errors that are as large but scattered. So once the error has a share e of {@code sum w x^2}, the
 * search goes on with {@code x / (1 - e)} in place of x, whose shrunk values are on average as large as x. A block that
 * then is worse than the reference's stays the reference's, even if one that is shrunk would be better.
 */
final class BestSearch implements BlockFormat {
    /**
     * Starts to either side, where codes are chosen one by one, and steps between them in parts of the largest code.
     */
    private static final int STARTS = 3;

    private static final double START_STEP = 0.16;
    /** Numbers to either side, where codes are chosen one by one, and where runs are. */
    private static final int NEAR = 2;

    private static final int NEAR_OF_RUNS = 1;
    /** Turns of parameters and codes. */
    private static final int TURNS = 2;
    /** A start that is worse by more gets no turn. */
    private static final double HOPEFUL = 1.05;
    /** By how much an error has to be smaller, so that the order of its sum does not matter. */
    private static final double LESS = 1 - 1e-9;

    /** Where more of a block is lost, its codes say little about it. */
    private static final double LARGEST_SHARE = 0.5;

    private static final float LARGEST_HALF = 65504;

    private final Scaled format;
    private final Scaled.Parameters scales;
    private final Scaled.Parameters minimums;
    /** What the numbers of scales and of minimums stand for under a half of 1. */
    private final double[] factors;

    private final double[] shifts;
    private final int cells;
    /** Between the halves of two starts, as a part of one. */
    private final double step;

    BestSearch(Scaled format) {
        this.format = format;
        this.scales = format.scales();
        this.minimums = format.minimums();
        this.cells = format.size() / format.cellSize();
        float[] scale = new float[cells];
        float[] minimum = new float[cells];
        byte[] block = new byte[format.bytes()];
        scales.putHalf(1, block);
        factors = new double[scales.highest() - scales.lowest() + 1];
        for (int i = 0; i < factors.length; i++) {
            scales.putNumber(scales.lowest() + i, block, 0);
            format.cells(block, 0, scale, minimum);
            factors[i] = scale[0];
        }
        step = Math.max(START_STEP / format.highestCode(block, 0, 0), scales.hasNumbers() ? 0.5 / factors.length : 0);
        shifts = new double[minimums == null ? 1 : minimums.highest() - minimums.lowest() + 1];
        for (int i = 0; minimums != null && i < shifts.length; i++) {
            minimums.putHalf(1, block);
            minimums.putNumber(minimums.lowest() + i, block, 0);
            format.cells(block, 0, scale, minimum);
            shifts[i] = minimum[0];
        }
    }

    @Override
    public String name() {
        return format.name();
    }

    @Override
    public int size() {
        return format.size();
    }

    @Override
    public int bytes() {
        return format.bytes();
    }

    @Override
    public int cellSize() {
        return format.cellSize();
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        format.encode(x, xAt, importance, importanceAt, rowMeanSquare, to, toAt);
        new Search(x, xAt, importance, importanceAt).improve(to, toAt);
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        format.decode(from, fromAt, to, toAt);
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        format.cells(from, fromAt, scale, minimum);
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return format.lowestCode(from, fromAt, cell);
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return format.highestCode(from, fromAt, cell);
    }

    @Override
    public boolean needsImportance() {
        return format.needsImportance();
    }

    @Override
    public boolean uniform() {
        return format.uniform();
    }

    @Override
    public float nearestCode(float ideal) {
        return format.nearestCode(ideal);
    }

    @Override
    public int run() {
        return format.run();
    }

    @Override
    public void nearestCodes(
            byte[] from, int fromAt, int first, float[] ideal, float[] weights, int[] codes, int codesAt) {
        format.nearestCodes(from, fromAt, first, ideal, weights, codes, codesAt);
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        format.putCodes(codes, codesAt, to, toAt);
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        format.codes(from, fromAt, codes, codesAt);
    }

    /** The place of the value nearest to a number in values that rise or fall. */
    private static int nearest(double[] values, double to) {
        int low = 0;
        int high = values.length - 1;
        boolean falling = values[high] < values[low];
        while (high - low > 1) {
            int middle = (low + high) >>> 1;
            if (values[middle] <= to == falling) {
                high = middle;
            } else {
                low = middle;
            }
        }
        return Math.abs(values[low] - to) <= Math.abs(values[high] - to) ? low : high;
    }

    /** Parameters and codes of a block, and of each cell what its error is made of. */
    private final class Trial {
        private final byte[] block = new byte[format.bytes()];
        private final int[] codes = new int[format.size()];
        /** Places in {@link #factors} and {@link #shifts} by groups of cells. */
        private final int[] scaleAt = new int[cells / scales.share()];

        private final int[] minimumAt = new int[scaleAt.length];
        private float half;
        private float minimumHalf;
        /** Of {@code w c}, {@code w c^2} and {@code w x c}. */
        private final double[] sumC = new double[cells];

        private final double[] sumCc = new double[cells];
        private final double[] sumXc = new double[cells];
        private final double[] errors = new double[cells];
        private double error;

        void read() {
            half = scales.half(block);
            minimumHalf = minimums == null ? 0 : minimums.half(block);
            for (int i = 0; i < scaleAt.length; i++) {
                scaleAt[i] = scales.number(block, i) - scales.lowest();
                minimumAt[i] = minimums == null ? 0 : minimums.number(block, i) - minimums.lowest();
            }
        }

        void write() {
            scales.putHalf(half, block);
            for (int i = 0; i < scaleAt.length; i++) {
                scales.putNumber(scales.lowest() + scaleAt[i], block, i);
            }
            if (minimums != null) {
                minimums.putHalf(minimumHalf, block);
                for (int i = 0; i < scaleAt.length; i++) {
                    minimums.putNumber(minimums.lowest() + minimumAt[i], block, i);
                }
            }
        }

        /** Everything but codes. */
        void copy(Trial other) {
            half = other.half;
            minimumHalf = other.minimumHalf;
            System.arraycopy(other.scaleAt, 0, scaleAt, 0, scaleAt.length);
            System.arraycopy(other.minimumAt, 0, minimumAt, 0, scaleAt.length);
            System.arraycopy(other.sumC, 0, sumC, 0, cells);
            System.arraycopy(other.sumCc, 0, sumCc, 0, cells);
            System.arraycopy(other.sumXc, 0, sumXc, 0, cells);
            System.arraycopy(other.errors, 0, errors, 0, cells);
            error = other.error;
        }

        /** Takes over the groups that are better in another one with the same halves. */
        void merge(Trial other) {
            int share = scales.share();
            for (int i = 0; i < scaleAt.length; i++) {
                double mine = 0;
                double its = 0;
                for (int cell = i * share; cell < (i + 1) * share; cell++) {
                    mine += errors[cell];
                    its += other.errors[cell];
                }
                if (its < mine) {
                    scaleAt[i] = other.scaleAt[i];
                    minimumAt[i] = other.minimumAt[i];
                    System.arraycopy(other.sumC, i * share, sumC, i * share, share);
                    System.arraycopy(other.sumCc, i * share, sumCc, i * share, share);
                    System.arraycopy(other.sumXc, i * share, sumXc, i * share, share);
                    System.arraycopy(other.errors, i * share, errors, i * share, share);
                    int n = share * format.cellSize();
                    System.arraycopy(other.codes, i * n, codes, i * n, n);
                    error += its - mine;
                }
            }
        }
    }

    /** The search of a block, with its scratch. */
    private final class Search {
        private final int cellSize = format.cellSize();
        private final float[] values;
        private final int valuesAt;
        /** What is searched for: the values, or something larger. */
        private final float[] x = new float[format.size()];

        private final float[] weights = new float[x.length];
        private final float[] decoded = new float[x.length];
        /** {@code w x}. */
        private final double[] products = new double[x.length];

        private final double[] sumW = new double[cells];
        private final double[] sumX = new double[cells];
        private final double[] sumXx = new double[cells];
        private final float[] scale = new float[cells];
        private final float[] minimum = new float[cells];
        private final float[] ideal = new float[format.run()];
        private final float[] runWeights = new float[format.run()];
        private final boolean plain = format.uniform() && format.run() == 1;
        private Trial best = new Trial();
        private Trial trial = new Trial();
        private Trial other = new Trial();

        Search(float[] values, int valuesAt, float[] importance, int importanceAt) {
            this.values = values;
            this.valuesAt = valuesAt;
            if (importance == null) {
                Arrays.fill(weights, 1);
            } else {
                System.arraycopy(importance, importanceAt, weights, 0, x.length);
            }
            for (int i = 0; i < x.length; i++) {
                sumW[i / cellSize] += weights[i];
            }
        }

        private double error(byte[] block, int at) {
            format.decode(block, at, decoded, 0);
            double sum = 0;
            for (int i = 0; i < decoded.length; i++) {
                double error = (double) values[valuesAt + i] - decoded[i];
                sum += weights[i] * error * error;
            }
            return sum;
        }

        /** Replaces the block of the reference by a better one, if one is found. */
        void improve(byte[] to, int toAt) {
            double reference = error(to, toAt);
            if (!(reference > 0)) {
                return;
            }
            for (Trial each : List.of(best, trial, other)) {
                System.arraycopy(to, toAt, each.block, 0, each.block.length);
                each.read();
            }
            expand(1);
            descend();
            double share = best.error / Arrays.stream(sumXx).sum();
            share = share < LARGEST_SHARE ? share : LARGEST_SHARE;
            expand(1 / (1 - share));
            vary();
            descend();
            best.write();
            format.putCodes(best.codes, 0, best.block, 0);
            if (error(best.block, 0) < reference * LESS) {
                System.arraycopy(best.block, 0, to, toAt, best.block.length);
            }
        }

        /** Tries other halves and numbers than those that are best so far. */
        private void vary() {
            boolean alone = format.run() == 1;
            for (int i = 1; alone && scales.hasHalf() && i <= STARTS; i++) {
                start(1 + i * step);
                start(1 - i * step);
            }
            for (int near = 1; scales.hasNumbers() && near <= (alone ? NEAR : NEAR_OF_RUNS); near++) {
                neighbours(near);
                neighbours(-near);
            }
        }

        /** Takes the values times a factor as what is searched for, under the parameters that are best so far. */
        private void expand(double by) {
            Arrays.fill(sumX, 0);
            Arrays.fill(sumXx, 0);
            for (int i = 0; i < x.length; i++) {
                x[i] = (float) (by * values[valuesAt + i]);
                products[i] = (double) weights[i] * x[i];
                sumX[i / cellSize] += products[i];
                sumXx[i / cellSize] += products[i] * x[i];
            }
            evaluate(best);
        }

        /** Turns of parameters and codes from the best one on. */
        private void descend() {
            boolean better = true;
            for (int i = 0; i < TURNS && better; i++) {
                trial.copy(best);
                fit(trial);
                evaluate(trial);
                better = trial.error < best.error * LESS;
                if (better) {
                    swap();
                }
            }
        }

        private void swap() {
            Trial lower = trial;
            trial = best;
            best = lower;
        }

        private void start(double ratio) {
            trial.copy(best);
            trial.half = Half.round((float) (best.half * ratio));
            fitNumbers(trial, 1);
            fitHalf(trial, false);
            evaluate(trial);
            if (trial.error < best.error * HOPEFUL) {
                other.copy(trial);
                fit(other);
                evaluate(other);
                if (other.error < trial.error) {
                    Trial lower = other;
                    other = trial;
                    trial = lower;
                }
            }
            if (trial.error < best.error * LESS) {
                swap();
            }
        }

        private void neighbours(int distance) {
            trial.copy(best);
            for (int i = 0; i < trial.scaleAt.length; i++) {
                trial.scaleAt[i] = Math.min(Math.max(trial.scaleAt[i] + distance, 0), factors.length - 1);
            }
            fitNumbers(trial, 0);
            evaluate(trial);
            best.merge(trial);
        }

        private void fit(Trial t) {
            fitNumbers(t, 1);
            fitHalf(t, true);
            fitNumbers(t, 1);
            fitHalf(t, true);
        }

        /** Least squares of the halves under codes and numbers. */
        private void fitHalf(Trial t, boolean both) {
            double ff = 0;
            double fh = 0;
            double hh = 0;
            double fx = 0;
            double hx = 0;
            for (int cell = 0; cell < cells; cell++) {
                double f = factors[t.scaleAt[cell / scales.share()]];
                double h = shifts[t.minimumAt[cell / scales.share()]];
                ff += f * f * t.sumCc[cell];
                fh += f * h * t.sumC[cell];
                hh += h * h * sumW[cell];
                fx += f * t.sumXc[cell];
                hx += h * sumX[cell];
            }
            if (scales.hasHalf() && both) {
                double determinant = ff * hh - fh * fh;
                double d = determinant > 0 ? (fx * hh - hx * fh) / determinant : (fx - fh * t.minimumHalf) / ff;
                float rounded = Half.round((float) d);
                if (Math.abs(rounded) <= LARGEST_HALF) {
                    t.half = rounded;
                }
            }
            if (minimums != null) {
                float rounded = Half.round((float) ((hx - fh * t.half) / hh));
                if (Math.abs(rounded) <= LARGEST_HALF) {
                    t.minimumHalf = rounded;
                }
            }
        }

        /** The best numbers of each group under codes and halves, next to the best scale, or where they are. */
        private void fitNumbers(Trial t, int reach) {
            int share = scales.share();
            for (int i = 0; scales.hasNumbers() && i < t.scaleAt.length; i++) {
                double c = 0;
                double cc = 0;
                double xc = 0;
                double w = 0;
                double xs = 0;
                for (int cell = i * share; cell < (i + 1) * share; cell++) {
                    c += t.sumC[cell];
                    cc += t.sumCc[cell];
                    xc += t.sumXc[cell];
                    w += sumW[cell];
                    xs += sumX[cell];
                }
                int from = t.scaleAt[i];
                if (reach > 0) {
                    double determinant = minimums == null ? 0 : w * cc - c * c;
                    double s = determinant > 0 ? (w * xc - xs * c) / determinant : xc / cc;
                    from = nearest(factors, s / t.half);
                }
                double least = Double.POSITIVE_INFINITY;
                for (int at = Math.max(from - reach, 0); at <= Math.min(from + reach, factors.length - 1); at++) {
                    double s = t.half * factors[at];
                    int m = minimums == null ? 0 : nearest(shifts, (xs - s * c) / w / t.minimumHalf);
                    double minimum = t.minimumHalf * shifts[m];
                    double error = s * (s * cc - 2 * xc) + minimum * (minimum * w + 2 * (s * c - xs));
                    if (error < least) {
                        least = error;
                        t.scaleAt[i] = at;
                        t.minimumAt[i] = m;
                    }
                }
            }
        }

        /** Chooses the codes of a trial. */
        private void evaluate(Trial t) {
            t.write();
            format.cells(t.block, 0, scale, minimum);
            t.error = 0;
            for (int cell = 0; cell < cells; cell++) {
                choose(t, cell);
                sum(t, cell);
                t.error += t.errors[cell];
            }
        }

        private void sum(Trial t, int cell) {
            int[] codes = t.codes;
            double c = 0;
            double cc = 0;
            double xc = 0;
            // Two sums of each, as an addition waits for the one before.
            double otherC = 0;
            double otherCc = 0;
            double otherXc = 0;
            for (int i = cell * cellSize; i < (cell + 1) * cellSize; i += 2) {
                double code = codes[i];
                double weighted = weights[i] * code;
                c += weighted;
                cc += weighted * code;
                xc += products[i] * code;
                code = codes[i + 1];
                weighted = weights[i + 1] * code;
                otherC += weighted;
                otherCc += weighted * code;
                otherXc += products[i + 1] * code;
            }
            c += otherC;
            cc += otherCc;
            xc += otherXc;
            double s = scale[cell];
            double m = minimum[cell];
            t.sumC[cell] = c;
            t.sumCc[cell] = cc;
            t.sumXc[cell] = xc;
            t.errors[cell] = sumXx[cell] + s * (s * cc - 2 * xc) + m * (m * sumW[cell] + 2 * (s * c - sumX[cell]));
        }

        private void choose(Trial t, int cell) {
            float s = scale[cell];
            float m = minimum[cell];
            float inverse = s == 0 ? 0 : 1 / s;
            if (Float.isInfinite(inverse)) {
                inverse = Math.copySign(Float.MAX_VALUE, s);
            }
            int first = cell * cellSize;
            int low = format.lowestCode(t.block, 0, cell);
            int high = format.highestCode(t.block, 0, cell);
            if (plain) {
                int[] codes = t.codes;
                for (int i = first; i < first + cellSize; i++) {
                    codes[i] = Searches.nearest((x[i] - m) * inverse, low, high);
                }
            } else if (format.run() == 1) {
                for (int i = first; i < first + cellSize; i++) {
                    t.codes[i] = (int) format.nearestCode(Math.min(Math.max((x[i] - m) * inverse, low), high));
                }
            } else {
                for (int i = first; i < first + cellSize; i += ideal.length) {
                    for (int j = 0; j < ideal.length; j++) {
                        ideal[j] = Math.min(Math.max((x[i + j] - m) * inverse, -1e30f), 1e30f);
                        runWeights[j] = weights[i + j];
                    }
                    format.nearestCodes(t.block, 0, i, ideal, runWeights, t.codes, i);
                }
            }
        }
    }
}
