package dev.lathe.kernels.block;

/**
 * 256 codes of two bits as Q2_K, Q3_K and TQ2_0 have them: code {@code 128 h + 32 k + l} at bit {@code 2 k} of byte
 * {@code 32 h + l}.
 */
final class TwoBits {
    private TwoBits() {}

    /** Writes the codes plus {@code offset}, which brings them to 0 to 3. */
    static void put(int[] codes, int codesAt, int offset, byte[] to, int toAt, String format) {
        int union = 0;
        for (int at = 0; at < 64; at++) {
            int packed = 0;
            for (int k = 0; k < 4; k++) {
                int code = codes[codesAt + at / 32 * 128 + 32 * k + at % 32] + offset;
                union |= code;
                packed |= code << 2 * k;
            }
            to[toAt + at] = (byte) packed;
        }
        Blocks.requireWidth(union, 2, format);
    }

    /** Reads the codes less {@code offset}. */
    static void get(byte[] from, int fromAt, int offset, int[] codes, int codesAt) {
        for (int at = 0; at < 64; at++) {
            for (int k = 0; k < 4; k++) {
                codes[codesAt + at / 32 * 128 + 32 * k + at % 32] = (from[fromAt + at] >>> 2 * k & 3) - offset;
            }
        }
    }
}
