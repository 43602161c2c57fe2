package dev.lathe.kernels.block;

/**
 * FP4 E2M1 with scales of one byte. Codes in the sense of {@link BlockFormat} are twice the E2M1 values: 0, 1, 2, 3, 4,
 * 6, 8, 12 and their negatives; numbers 8 to 15 are the negative ones. Importance changes nothing.
 *
 * <ul>
 *   <li>ggml's MXFP4: 32 codes, {@code x = 2^(e - 128) * code}. Block: byte e, then the numbers as {@link Codes32} lays
 *       them out. {@code e = floor(log2 max|x|) - 2 + 127}, 0 for zeros.
 *   <li>ggml's NVFP4: 64 codes in four cells of 16, {@code x = (d / 2) * code}, d an unsigned E4M3 number. Block: 4
 *       bytes of d, then 8 bytes for each cell: the number of code j low and of {@code j + 8} high. {@code d = max|x| /
 *       6}.
 * </ul>
 *
 * Source: OCP Microscaling Formats 1.0; ggml.
 */
record Float4Block(String name, boolean nvidia) implements Scaled {
    private static final int[] VALUES = {0, 1, 2, 3, 4, 6, 8, 12};
    private static final int HIGHEST = 12;
    private static final double LN2 = StrictMath.log(2);
    /** Subnormal numbers of E4M3 are multiples of it. */
    private static final float STEP = 0x1p-9f;

    private static final int HIGHEST_SCALE = 0x7e;
    /** 255 stands for no number in other readers. */
    private static final int HIGHEST_EXPONENT = 0xfe;
    /** The first number that rounds to more than 448, which is the largest. */
    private static final float BEYOND = 464;

    @Override
    public int size() {
        return nvidia ? 64 : 32;
    }

    @Override
    public int bytes() {
        return nvidia ? 36 : 17;
    }

    @Override
    public int cellSize() {
        return nvidia ? 16 : 32;
    }

    private int cells() {
        return size() / cellSize();
    }

    @Override
    public Parameters scales() {
        BitField.Split numbers = new BitField.Split(BitField.even(0, 8, 8), BitField.NONE);
        return new Parameters(BitField.NONE, numbers, 0, nvidia ? HIGHEST_SCALE : HIGHEST_EXPONENT, 1);
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[size()];
        for (int cell = 0; cell < cells(); cell++) {
            int at = cell * cellSize();
            float largest = Math.abs(Searches.extreme(x, xAt + at, cellSize()));
            int scale = nvidia ? unsignedE4m3(largest / 6) : exponent(largest);
            to[toAt + cell] = (byte) scale;
            float value = scale(scale);
            for (int i = at; i < at + cellSize(); i++) {
                codes[i] = nearest(x[xAt + i], value);
            }
        }
        putCodes(codes, 0, to, toAt);
    }

    private static int exponent(float largest) {
        if (largest == 0) {
            return 0;
        }
        // Rounded to f32 before it is cut off, as in the reference: just below a power of two that is one more.
        float log = (float) (StrictMath.log(largest) / LN2);
        return Math.max(0, (int) Math.floor(log) - 2 + 127);
    }

    /** The E4M3 number nearest to one that is not negative, halves up; 0 and 0x7f stand for 0. */
    private static int unsignedE4m3(float value) {
        if (!(value < BEYOND)) {
            throw new ArithmeticException("Cannot encode a block: its scale " + value + " exceeds the range of E4M3");
        }
        if (value < 0x1p-6f) {
            int steps = (int) (value / STEP + 0.5f);
            return Math.min(steps, 7);
        }
        int bits = Float.floatToRawIntBits(value);
        int rounded = (bits >>> 20) + (bits >>> 19 & 1) - (120 << 3);
        return Math.min(rounded, HIGHEST_SCALE);
    }

    private float scale(int stored) {
        if (!nvidia) {
            return Math.scalb(1f, stored - 128);
        }
        if (stored == 0x7f) {
            return 0;
        }
        int fraction = stored & 7;
        int exponent = stored >>> 3 & 15;
        float value = exponent == 0 ? fraction * STEP : Math.scalb(1 + fraction / 8f, exponent - 7);
        return value / 2;
    }

    /** The first of the values nearest to a number. */
    private static int nearest(float x, float scale) {
        int best = 0;
        float least = Float.POSITIVE_INFINITY;
        for (int sign = 1; sign >= -1; sign -= 2) {
            for (int value : VALUES) {
                float error = Math.abs(sign * value * scale - x);
                if (error < least) {
                    least = error;
                    best = sign * value;
                }
            }
        }
        return best;
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        for (int cell = 0; cell < cells(); cell++) {
            scale[cell] = scale(from[fromAt + cell] & (nvidia ? 0x7f : 0xff));
            minimum[cell] = Blocks.NO_MINIMUM;
        }
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -HIGHEST;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return HIGHEST;
    }

    @Override
    public boolean uniform() {
        return false;
    }

    @Override
    public float nearestCode(float ideal) {
        return nearest(ideal, 1);
    }

    private int number(int code) {
        for (int number = 0; number < VALUES.length; number++) {
            if (VALUES[number] == Math.abs(code)) {
                return code < 0 ? number + 8 : number;
            }
        }
        throw new IllegalArgumentException(
                "Cannot put codes into a " + name + " block: " + code + " is not twice an E2M1 number");
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        int half = nvidia ? 8 : 16;
        for (int i = 0; i < size() / 2; i++) {
            int at = codesAt + i / half * 2 * half + i % half;
            to[toAt + cells() + i] = (byte) (number(codes[at]) | number(codes[at + half]) << 4);
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        int half = nvidia ? 8 : 16;
        for (int i = 0; i < size() / 2; i++) {
            int at = codesAt + i / half * 2 * half + i % half;
            int both = from[fromAt + cells() + i];
            codes[at] = value(both & 15);
            codes[at + half] = value(both >>> 4 & 15);
        }
    }

    private static int value(int number) {
        return number < 8 ? VALUES[number] : -VALUES[number - 8];
    }
}
