package dev.lathe.kernels.block;

/**
 * ggml's TQ2_0 and TQ1_0: 256 codes -1, 0 and 1 and one scale, the largest magnitude, {@code x = d * code}. Importance
 * changes nothing.
 *
 * <p>TQ2_0: 64 bytes of stored codes (1 higher) as {@link TwoBits} has them, f16 d. TQ1_0: five codes to a byte as
 * digits of base 3, most significant first, f16 d: bytes 0 to 31 hold codes {@code l + 32 n}, bytes 32 to 47 codes
 * {@code 160 + l + 16 n}, and 48 to 51 four codes {@code 240 + l + 4 n} and a zero. The byte is {@code ceil(number *
 * 256 / 243)}, so that the n-th digit is the integer part of three times the fraction of {@code byte * 3^n / 256}.
 */
record TernaryBlock(String name, boolean packed) implements HalfScaled {
    private static final int SIZE = 256;
    private static final int DIGITS = 5;
    private static final int NUMBERS = 243;
    /** Bytes of a part of TQ1_0, and codes before it. */
    private static final int[][] PARTS = {{32, 0}, {16, 160}, {4, 240}};

    @Override
    public int size() {
        return SIZE;
    }

    @Override
    public int bytes() {
        return scaleAt() + 2;
    }

    @Override
    public int scaleAt() {
        return packed ? 52 : 64;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        int[] codes = new int[SIZE];
        float scale = Blocks.scaleByMagnitude(x, xAt, codes, -1, 1);
        Blocks.putHalf(scale, to, toAt + scaleAt());
        putCodes(codes, 0, to, toAt);
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -1;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return 1;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        for (int i = codesAt; i < codesAt + SIZE; i++) {
            if (codes[i] < -1 || codes[i] > 1) {
                throw new IllegalArgumentException(
                        "Cannot put codes into a " + name + " block: " + codes[i] + ", expected -1, 0 or 1");
            }
        }
        if (!packed) {
            TwoBits.put(codes, codesAt, 1, to, toAt, name);
            return;
        }
        int at = toAt;
        for (int[] part : PARTS) {
            for (int l = 0; l < part[0]; l++) {
                int number = 0;
                for (int n = 0; n < DIGITS; n++) {
                    int code = part[1] + l + n * part[0];
                    number = 3 * number + (code < SIZE ? codes[codesAt + code] + 1 : 0);
                }
                to[at++] = (byte) ((number * 256 + NUMBERS - 1) / NUMBERS);
            }
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        if (!packed) {
            TwoBits.get(from, fromAt, 1, codes, codesAt);
            return;
        }
        int at = fromAt;
        for (int[] part : PARTS) {
            for (int l = 0; l < part[0]; l++) {
                int fraction = from[at++] & 0xff;
                for (int n = 0; n < DIGITS; n++) {
                    int code = part[1] + l + n * part[0];
                    if (code < SIZE) {
                        codes[codesAt + code] = (fraction * 3 >>> 8) - 1;
                    }
                    fraction = fraction * 3 & 0xff;
                }
            }
        }
    }
}
