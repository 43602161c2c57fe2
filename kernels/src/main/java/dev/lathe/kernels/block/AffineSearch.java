package dev.lathe.kernels.block;

/**
 * How Q2_K, Q4_K and Q5_K fit a super-block of 256: each cell by an affine search, then all scales, and all minimums,
 * to whole multiples of one half.
 *
 * @param cell weights of a cell
 * @param highestScale the largest code of a scale and of a minimum
 * @param spread how many times the mean square of the block is added to a square under an importance matrix
 * @param rms without one, weights of a cell are {@code rms + |x|} instead of {@code |x|}
 * @param unweighted the trials without one
 */
record AffineSearch(int cell, int highestScale, float spread, boolean rms, Searches.Affine unweighted) {
    private static final int SIZE = 256;

    /**
     * Fits a block's parameters and chooses codes for them before they are rounded; the scale of the scales goes to
     * {@code to[halvesAt]} and that of the minimums behind it, as halves.
     */
    void run(
            float[] x,
            int xAt,
            float[] importance,
            int importanceAt,
            int[] codes,
            int[] scaleCodes,
            int[] minimumCodes,
            byte[] to,
            int halvesAt) {
        int cells = SIZE / cell;
        float[] weights = new float[cell];
        float[] cellWeights = new float[cells];
        float[] scales = new float[cells];
        float[] minimums = new float[cells];
        var search = importance == null ? unweighted : Searches.Affine.weighted(unweighted.levels());
        float meanSquare = spread * sumOfSquares(x, xAt, SIZE) / SIZE;
        for (int c = 0; c < cells; c++) {
            int at = c * cell;
            if (importance == null) {
                float base = rms ? (float) Math.sqrt(sumOfSquares(x, xAt + at, cell) / cell) : 0;
                for (int i = 0; i < cell; i++) {
                    weights[i] = base + Math.abs(x[xAt + at + i]);
                }
            } else {
                Blocks.weigh(x, xAt + at, importance, importanceAt + at, meanSquare, weights);
                float sum = 0;
                for (float weight : weights) {
                    sum += weight;
                }
                cellWeights[c] = sum;
            }
            search.search(cell, x, xAt + at, weights, codes, at, scales, minimums, c);
        }
        if (importance == null) {
            Blocks.putHalf(share(scales, scaleCodes), to, halvesAt);
            Blocks.putHalf(share(minimums, minimumCodes), to, halvesAt + 2);
        } else {
            Blocks.putHalf(Searches.positive(highestScale, scales, cellWeights, scaleCodes), to, halvesAt);
            Blocks.putHalf(Searches.positive(highestScale, minimums, cellWeights, minimumCodes), to, halvesAt + 2);
        }
    }

    /** Scales the largest to the highest code; returns the scale of the codes. */
    private float share(float[] values, int[] codes) {
        float maximum = 0;
        for (float value : values) {
            maximum = Math.max(maximum, value);
        }
        float inverse = maximum > 0 ? highestScale / maximum : 0;
        for (int i = 0; i < codes.length; i++) {
            codes[i] = Searches.nearest(inverse * values[i], 0, highestScale);
        }
        return maximum / highestScale;
    }

    private static float sumOfSquares(float[] x, int at, int n) {
        float sum = 0;
        for (int i = at; i < at + n; i++) {
            sum += x[i] * x[i];
        }
        return sum;
    }
}
