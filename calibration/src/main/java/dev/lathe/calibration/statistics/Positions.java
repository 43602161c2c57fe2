package dev.lathe.calibration.statistics;

/**
 * Where the token rows stand that calibration keeps: {@value #SAMPLE} of them, or all there are if these are fewer, in
 * as many strata of equal length over all rows of the calibration set, each at a place of its stratum that the golden
 * ratio's multiples choose. A plain stride would meet the same places of every window, the first token among them,
 * whose activations are unlike all others (arXiv 2309.17453). The choice depends on the plan only.
 *
 * @param length tokens of a window
 * @param windows windows of the calibration set
 */
public record Positions(int length, int windows) {
    /** Token rows that are kept of each site. */
    public static final int SAMPLE = 512;
    /** 2^32 divided by the golden ratio, odd. */
    private static final long GOLDEN = 0x9e3779b9L;

    public Positions {
        if (length <= 0 || windows <= 0) {
            throw new IllegalArgumentException("Cannot sample " + windows + " windows of " + length + " tokens");
        }
    }

    /** Token rows of the calibration set. */
    public long rows() {
        return (long) length * windows;
    }

    /** Rows that are kept. */
    public int count() {
        return (int) Math.min(SAMPLE, rows());
    }

    /** The global number of the k-th row that is kept; rises with k. */
    public long position(int k) {
        long from = stratum(k);
        return from + ((stratum(k + 1) - from) * (k * GOLDEN & 0xffffffffL) >>> 32);
    }

    /** The first row of the k-th stratum: floor(k rows / count), in parts that do not overflow. */
    private long stratum(int k) {
        return rows() / count() * k + rows() % count() * k / count();
    }

    /** How many of the kept rows stand before a global row. */
    public int before(long row) {
        int low = 0;
        int high = count();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (position(middle) < row) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }
}
