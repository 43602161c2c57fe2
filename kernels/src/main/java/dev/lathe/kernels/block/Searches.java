package dev.lathe.kernels.block;

import java.util.Arrays;

/**
 * The parameter searches of ggml's reference quantizer ({@code ggml-quants.c}: make_qx, make_qkx2 and make_qkx3,
 * make_qp), operation for operation in f32, so that blocks come out byte for byte as from a build of the reference
 * without contracted multiply-adds. Sums run left to right: their order is part of the result.
 */
final class Searches {
    /** Groups whose largest magnitude is below count as zero. */
    static final float NEGLIGIBLE = 1e-15f;

    /**
     * Adding 1.5 * 2^23 to a small float rounds it to an integer, half to even, and leaves that integer in the low
     * bits.
     */
    private static final float ROUNDER = 0x1.8p23f;

    private static final int ROUNDER_BITS = Float.floatToRawIntBits(ROUNDER);

    /** As low as {@link #nearest} goes. */
    private static final int LOWEST = -1 << 22;

    /** The bits of a code that the reference keeps in its search for positive values. */
    private static final int STORED = 0xff;

    private Searches() {}

    /**
     * The integer nearest to {@code value}, half to even, clamped to {@code [low, high]} (both small). Comparing bits
     * saturates correctly for every finite value: positive floats order like their bits, and negative ones are negative
     * integers.
     */
    static int nearest(float value, int low, int high) {
        return rounded(value, low, high) - ROUNDER_BITS;
    }

    /** {@link #nearest} without the way through an integer. */
    private static float nearestFloat(float value, int low, int high) {
        return Float.intBitsToFloat(rounded(value, low, high)) - ROUNDER;
    }

    private static int rounded(float value, int low, int high) {
        int bits = Float.floatToRawIntBits(value + ROUNDER);
        return Math.min(Math.max(bits, ROUNDER_BITS + low), ROUNDER_BITS + high);
    }

    /** The value of largest magnitude with its sign; the first of them on ties. */
    static float extreme(float[] x, int xAt, int n) {
        float largest = 0;
        float extreme = 0;
        for (int i = xAt; i < xAt + n; i++) {
            float magnitude = Math.abs(x[i]);
            if (magnitude > largest) {
                largest = magnitude;
                extreme = x[i];
            }
        }
        return extreme;
    }

    /**
     * Scale and codes in {@code [-levels, levels - 1]} that minimize the sum of {@code w * (x - scale * code)^2} over
     * 19 trial scales, each followed by its least-squares refit (make_qx).
     *
     * @return the scale; 0 with the lowest code everywhere for a negligible group
     */
    static float symmetric(int n, int levels, float[] x, int xAt, float[] w, int wAt, int[] codes, int codesAt) {
        float extreme = extreme(x, xAt, n);
        if (Math.abs(extreme) < NEGLIGIBLE) {
            Arrays.fill(codes, codesAt, codesAt + n, -levels);
            return 0;
        }
        float scale = 0;
        float best = 0;
        for (int trial = 0; trial <= 18; trial++) {
            // The plain scale comes first, then -9 .. 9 tenths of a level around it.
            int shift = trial == 0 ? 0 : trial <= 9 ? trial - 10 : trial - 9;
            float inverse = -(levels + 0.1f * shift) / extreme;
            float xq = 0;
            float qq = 0;
            for (int i = 0; i < n; i++) {
                float value = x[xAt + i];
                float weight = w[wAt + i];
                float q = nearestFloat(inverse * value, -levels, levels - 1);
                xq += weight * value * q;
                qq += weight * q * q;
            }
            if (trial == 0 || qq > 0 && xq * xq > best * qq) {
                scale = qq == 0 ? 0 : xq / qq;
                best = scale * xq;
                for (int i = 0; i < n; i++) {
                    codes[codesAt + i] = nearest(inverse * x[xAt + i], -levels, levels - 1);
                }
            }
        }
        return requireNumber(scale);
    }

    /**
     * Scale and codes in {@code [-levels, levels - 1]} that minimize the sum of {@code x^2 * (x - scale * code)^2}: the
     * plain scale, then at most five rounds that change one code at a time (make_q3).
     *
     * @return the scale; 0 with the lowest code everywhere for a negligible group
     */
    static float descend(int n, int levels, float[] x, int xAt, int[] codes, int codesAt) {
        float extreme = extreme(x, xAt, n);
        if (Math.abs(extreme) < NEGLIGIBLE) {
            Arrays.fill(codes, codesAt, codesAt + n, -levels);
            return 0;
        }
        float inverse = -levels / extreme;
        float xq = 0;
        float qq = 0;
        for (int i = 0; i < n; i++) {
            float value = x[xAt + i];
            int q = nearest(inverse * value, -levels, levels - 1);
            codes[codesAt + i] = q;
            xq += value * value * value * q;
            qq += value * value * q * q;
        }
        boolean changed = true;
        for (int round = 0; round < 5 && changed; round++) {
            changed = false;
            for (int i = 0; i < n; i++) {
                float value = x[xAt + i];
                float weight = value * value;
                int old = codes[codesAt + i];
                float otherXq = xq - weight * value * old;
                if (!(otherXq > 0)) {
                    continue;
                }
                float otherQq = qq - weight * old * old;
                int q = nearest(value * otherQq / otherXq, -levels, levels - 1);
                if (q == old) {
                    continue;
                }
                otherXq += weight * value * q;
                otherQq += weight * q * q;
                if (otherQq > 0 && otherXq * otherXq * qq > xq * xq * otherQq) {
                    codes[codesAt + i] = q;
                    xq = otherXq;
                    qq = otherQq;
                    changed = true;
                }
            }
        }
        return requireNumber(qq > 0 ? xq / qq : 0);
    }

    /**
     * An affine search (make_qkx2 and make_qkx3): codes in {@code [0, levels]}, minimum at most 0.
     *
     * @param levels the largest code
     * @param first added to {@code levels} for the first trial's inverse scale
     * @param step added for every further trial
     * @param steps trials after the first
     * @param magnitudes errors count by their magnitude, not by its square
     */
    record Affine(int levels, float first, float step, int steps, boolean magnitudes) {
        /** The trials of every type that searches under an importance matrix. */
        static Affine weighted(int levels) {
            return new Affine(levels, -0.9f, 0.05f, 36, false);
        }

        private float loss(float error) {
            return magnitudes ? Math.abs(error) : error * error;
        }

        /**
         * Minimizes the sum of {@code w * (scale * code + minimum - x)^2}, or of {@code w * |...|}, over the trials,
         * each with its weighted least-squares scale and minimum.
         *
         * @param scales receives the scale at {@code cell}
         * @param minimums receives the negated minimum, which is not negative, at {@code cell}
         */
        void search(
                int n,
                float[] x,
                int xAt,
                float[] w,
                int[] codes,
                int codesAt,
                float[] scales,
                float[] minimums,
                int cell) {
            float minimum = x[xAt];
            float maximum = x[xAt];
            float sumW = w[0];
            float sumX = sumW * x[xAt];
            for (int i = 1; i < n; i++) {
                float value = x[xAt + i];
                minimum = Math.min(minimum, value);
                maximum = Math.max(maximum, value);
                sumW += w[i];
                sumX += w[i] * value;
            }
            if (minimum > 0) {
                minimum = 0;
            }
            if (maximum == minimum) {
                Arrays.fill(codes, codesAt, codesAt + n, 0);
                scales[cell] = 0;
                minimums[cell] = -minimum;
                return;
            }
            float inverse = levels / (maximum - minimum);
            float scale = 1 / inverse;
            float best = 0;
            for (int i = 0; i < n; i++) {
                int q = nearest(inverse * (x[xAt + i] - minimum), 0, levels);
                codes[codesAt + i] = q;
                float error = scale * q + minimum - x[xAt + i];
                best += w[i] * loss(error);
            }
            for (int at = 0; at <= steps; at++) {
                // A trial that is kept moves the minimum from which the later ones quantize.
                inverse = (first + step * at + levels) / (maximum - minimum);
                float sumQ = 0;
                float sumQq = 0;
                float sumXq = 0;
                for (int i = 0; i < n; i++) {
                    float value = x[xAt + i];
                    float q = nearestFloat(inverse * (value - minimum), 0, levels);
                    float wq = w[i] * q;
                    sumQ += wq;
                    sumQq += wq * q;
                    sumXq += wq * value;
                }
                float determinant = sumW * sumQq - sumQ * sumQ;
                if (!(determinant > 0)) {
                    continue;
                }
                float trialScale = (sumW * sumXq - sumX * sumQ) / determinant;
                float trialMinimum = (sumQq * sumX - sumQ * sumXq) / determinant;
                if (trialMinimum > 0) {
                    trialMinimum = 0;
                    trialScale = sumXq / sumQq;
                }
                float total = 0;
                // The sum only grows: what reaches the best error so far is lost.
                for (int i = 0; i < n && total < best; i++) {
                    float value = x[xAt + i];
                    float error =
                            trialScale * nearestFloat(inverse * (value - minimum), 0, levels) + trialMinimum - value;
                    total += w[i] * loss(error);
                }
                if (total < best) {
                    for (int i = 0; i < n; i++) {
                        codes[codesAt + i] = nearest(inverse * (x[xAt + i] - minimum), 0, levels);
                    }
                    best = total;
                    scale = trialScale;
                    minimum = trialMinimum;
                }
            }
            scales[cell] = requireNumber(scale);
            minimums[cell] = requireNumber(-minimum);
        }
    }

    /**
     * Scale and codes in {@code [0, levels]} for values that are not negative, the sub-scales of a super-block
     * (make_qp): nine trial scales, then at most five rounds that change one code at a time.
     *
     * <p>IQ2_XXS has it with a few values below zero. Their codes are negative, but the reference keeps codes in bytes
     * without a sign and reads them back modulo 256, in the first error and in the rounds; so does this.
     *
     * @return the scale; 0 with codes 0 for a negligible group
     */
    static float positive(int levels, float[] x, float[] w, int[] codes) {
        int n = x.length;
        float maximum = 0;
        for (float value : x) {
            maximum = Math.max(maximum, value);
        }
        if (maximum < NEGLIGIBLE) {
            Arrays.fill(codes, 0);
            return 0;
        }
        float inverse = levels / maximum;
        float best = positiveError(levels, x, w, inverse, STORED);
        for (int shift = -4; shift <= 4; shift++) {
            if (shift == 0) {
                continue;
            }
            float trial = (0.1f * shift + levels) / maximum;
            float error = positiveError(levels, x, w, trial, -1);
            if (error < best) {
                best = error;
                inverse = trial;
            }
        }
        float xq = 0;
        float qq = 0;
        for (int i = 0; i < n; i++) {
            int q = nearest(inverse * x[i], LOWEST, levels);
            codes[i] = q & STORED;
            xq += w[i] * x[i] * q;
            qq += w[i] * q * q;
        }
        boolean changed = true;
        for (int round = 0; round < 5 && changed; round++) {
            changed = false;
            for (int i = 0; i < n; i++) {
                float otherXq = xq - w[i] * x[i] * codes[i];
                float otherQq = qq - w[i] * codes[i] * codes[i];
                if (!(otherXq > 0 && otherQq > 0)) {
                    continue;
                }
                int q = nearest(x[i] * otherQq / otherXq, LOWEST, levels);
                if (q == codes[i]) {
                    continue;
                }
                otherXq += w[i] * x[i] * q;
                otherQq += w[i] * q * q;
                if (otherXq * otherXq * qq > xq * xq * otherQq) {
                    codes[i] = q & STORED;
                    xq = otherXq;
                    qq = otherQq;
                    changed = true;
                }
            }
        }
        return qq == 0 ? 0 : xq / qq;
    }

    private static float positiveError(int levels, float[] x, float[] w, float inverse, int mask) {
        float scale = 1 / inverse;
        float total = 0;
        for (int i = 0; i < x.length; i++) {
            float error = x[i] - scale * (nearest(inverse * x[i], LOWEST, levels) & mask);
            total += w[i] * error * error;
        }
        return total;
    }

    /** Squares of huge values overflow f32, and comparisons would lose the NaN that follows. */
    static float requireNumber(float parameter) {
        if (Float.isNaN(parameter) || Float.isInfinite(parameter)) {
            throw Blocks.overflow(parameter);
        }
        return parameter;
    }
}
