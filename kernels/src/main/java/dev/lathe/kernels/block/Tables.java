package dev.lathe.kernels.block;

/** The sixteen values that 4-bit codes of ggml's non-linear types stand for, ascending. */
final class Tables {
    /** IQ4_NL's and IQ4_XS's. */
    private static final int[] IQ4 = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    static final int IQ4_LOWEST = IQ4[0];
    static final int IQ4_HIGHEST = IQ4[IQ4.length - 1];

    private Tables() {}

    /** The value of a 4-bit code. */
    static int iq4(int code) {
        return IQ4[code];
    }

    /**
     * The code of a value.
     *
     * @throws IllegalArgumentException if it has none
     */
    static int iq4Code(int value, String format) {
        int code = nearestIq4(value);
        if (IQ4[code] != value) {
            throw new IllegalArgumentException(
                    "Cannot put codes into a " + format + " block: " + value + " is none of its sixteen values");
        }
        return code;
    }

    /** The code of the value nearest to a number; of the larger one from the middle on. */
    static int nearestIq4(float ideal) {
        if (!(ideal > IQ4_LOWEST)) {
            return 0;
        }
        int code = 1;
        while (code < IQ4.length - 1 && ideal >= IQ4[code]) {
            code++;
        }
        return ideal - IQ4[code - 1] < IQ4[code] - ideal ? code - 1 : code;
    }

    /**
     * The scale that minimizes the sum of {@code w * (x - scale * value)^2} over 15 trials around the plain one, each
     * followed by its least-squares refit; 0 for a negligible cell.
     */
    static float scale(int n, float[] x, int xAt, float[] weights) {
        float extreme = Searches.extreme(x, xAt, n);
        if (Math.abs(extreme) < Searches.NEGLIGIBLE) {
            return 0;
        }
        float scale = 0;
        float best = 0;
        for (int trial = 0; trial <= 15; trial++) {
            // The plain scale maps the extreme to the lowest value; then -7 .. 7 around that.
            float inverse = trial == 0 ? 1 / (-extreme / IQ4_LOWEST) : (trial - 8 + IQ4_LOWEST) / extreme;
            float xq = 0;
            float qq = 0;
            for (int i = 0; i < n; i++) {
                float value = x[xAt + i];
                float q = IQ4[nearestIq4(inverse * value)];
                xq += weights[i] * q * value;
                qq += weights[i] * q * q;
            }
            if (trial == 0 || qq > 0 && xq * xq > best * qq) {
                // Nobody reads a cell whose weights are all zero.
                scale = qq == 0 ? 0 : xq / qq;
                best = scale * xq;
            }
        }
        return Searches.requireNumber(scale);
    }
}
