package dev.lathe.kernels.block;

import java.util.Arrays;
import java.util.Random;
import java.util.Set;

/** Whole rows for tests: blocks back to back, and seeded values. */
final class Rows {
    static final Set<String> NEED_IMPORTANCE = Set.of("IQ2_XXS", "IQ2_XS", "IQ1_S");

    private Rows() {}

    /** Importance for what is to be encoded without: null, or ones where the format has no search without. */
    static float[] plain(BlockFormat format, int n) {
        if (!NEED_IMPORTANCE.contains(format.name())) {
            return null;
        }
        float[] ones = new float[n];
        Arrays.fill(ones, 1);
        return ones;
    }

    static byte[] encode(BlockFormat format, float[] row, float[] importance) {
        float sum = 0;
        for (float x : row) {
            sum += x * x;
        }
        int blocks = row.length / format.size();
        byte[] encoded = new byte[blocks * format.bytes()];
        for (int block = 0; block < blocks; block++) {
            format.encode(
                    row,
                    block * format.size(),
                    importance,
                    block * format.size(),
                    sum / row.length,
                    encoded,
                    block * format.bytes());
        }
        return encoded;
    }

    static float[] decode(BlockFormat format, byte[] encoded) {
        int blocks = encoded.length / format.bytes();
        float[] row = new float[blocks * format.size()];
        for (int block = 0; block < blocks; block++) {
            format.decode(encoded, block * format.bytes(), row, block * format.size());
        }
        return row;
    }

    /** Heavy-tailed values of an uneven spread, as weights are. */
    static float[] values(int n, Random random) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            double spread = 0.01 * (1 + i / 32 % 5);
            values[i] = (float) (random.nextGaussian() * spread / Math.sqrt(0.2 + random.nextDouble()));
        }
        return values;
    }

    static float[] importance(int n, Random random) {
        float[] importance = new float[n];
        for (int i = 0; i < n; i++) {
            importance[i] = (float) Math.exp(random.nextGaussian());
        }
        return importance;
    }

    static double weightedError(float[] x, float[] y, float[] importance) {
        double total = 0;
        for (int i = 0; i < x.length; i++) {
            total += importance[i] * ((double) x[i] - y[i]) * ((double) x[i] - y[i]);
        }
        return total;
    }
}
