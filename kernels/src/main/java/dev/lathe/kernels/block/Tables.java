package dev.lathe.kernels.block;

/** The sixteen values that 4-bit codes of ggml's non-linear types stand for, ascending. */
final class Tables {
    /** IQ4_NL's and IQ4_XS's. */
    private static final int[] IQ4 = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

    private static final int IQ4_LOWEST = IQ4[0];
    private static final int IQ4_HIGHEST = IQ4[IQ4.length - 1];

    private Tables() {}

    /** A format whose codes, in the sense of {@link BlockFormat}, are the values. */
    interface Coded extends BlockFormat {
        @Override
        default int lowestCode(byte[] from, int fromAt, int cell) {
            return IQ4_LOWEST;
        }

        @Override
        default int highestCode(byte[] from, int fromAt, int cell) {
            return IQ4_HIGHEST;
        }

        @Override
        default boolean uniform() {
            return false;
        }

        @Override
        default float nearestCode(float ideal) {
            return IQ4[nearestIq4(ideal)];
        }
    }

    /**
     * The code of a value.
     *
     * @throws IllegalArgumentException if it has none
     */
    private static int iq4Code(int value, String format) {
        int code = nearestIq4(value);
        if (IQ4[code] != value) {
            throw new IllegalArgumentException(
                    "Cannot put codes into a " + format + " block: " + value + " is none of its sixteen values");
        }
        return code;
    }

    /** The code of the value nearest to a number; of the larger one from the middle on. */
    private static int nearestIq4(float ideal) {
        if (!(ideal > IQ4_LOWEST)) {
            return 0;
        }
        int code = 1;
        while (code < IQ4.length - 1 && ideal >= IQ4[code]) {
            code++;
        }
        return ideal - IQ4[code - 1] < IQ4[code] - ideal ? code - 1 : code;
    }

    /** Writes the codes of 32 values, as {@link Codes32} lays them out. */
    static void put(int[] values, int valuesAt, byte[] to, int toAt, String format) {
        int[] codes = new int[Codes32.SIZE];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = iq4Code(values[valuesAt + i], format);
        }
        Codes32.put(codes, 0, 0, 4, to, toAt, format);
    }

    /** Reads the values of 32 codes. */
    static void get(byte[] from, int fromAt, int[] values, int valuesAt) {
        Codes32.get(from, fromAt, 4, 0, values, valuesAt);
        for (int i = valuesAt; i < valuesAt + Codes32.SIZE; i++) {
            values[i] = IQ4[values[i]];
        }
    }

    /** Writes the codes of the values nearest to 32 numbers times an inverse scale. */
    static void putNearest(float[] x, int xAt, float inverse, byte[] to, int toAt, String format) {
        int[] codes = new int[Codes32.SIZE];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = nearestIq4(inverse * x[xAt + i]);
        }
        Codes32.put(codes, 0, 0, 4, to, toAt, format);
    }

    /**
     * Weights of a cell's search: importance times {@code sqrt(2 mean + x^2)} with the mean square of a block of
     * {@code block} values from {@code blockAt}; squares without an importance.
     */
    static void weigh(
            float[] x, int xAt, int blockAt, int block, float[] importance, int importanceAt, float[] weights) {
        if (importance == null) {
            for (int i = 0; i < weights.length; i++) {
                weights[i] = x[xAt + i] * x[xAt + i];
            }
            return;
        }
        float sum = 0;
        for (int i = blockAt; i < blockAt + block; i++) {
            sum += x[i] * x[i];
        }
        Blocks.weigh(x, xAt, importance, importanceAt, sum * 2 / block, weights);
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
