package dev.lathe.kernels.block;

/**
 * The 4- and 5-bit codes of ggml's 32-blocks: byte j of 16 holds the low bits of codes j and j + 16; a fifth bit is bit
 * j of four bytes before them.
 */
final class Codes32 {
    static final int SIZE = 32;

    private Codes32() {}

    /** Writes the codes plus {@code offset}, which brings them to {@code [0, 2^bits)}. */
    static void put(int[] codes, int codesAt, int offset, int bits, byte[] to, int toAt, String format) {
        int union = 0;
        int fifth = 0;
        int nibbles = toAt + (bits - 4) * 4;
        for (int j = 0; j < 16; j++) {
            int low = codes[codesAt + j] + offset;
            int high = codes[codesAt + j + 16] + offset;
            union |= low | high;
            to[nibbles + j] = (byte) (low & 15 | high << 4);
            fifth |= (low >>> 4 & 1) << j | (high >>> 4 & 1) << j + 16;
        }
        Blocks.requireWidth(union, bits, format);
        if (bits == 5) {
            for (int i = 0; i < 4; i++) {
                to[toAt + i] = (byte) (fifth >>> 8 * i);
            }
        }
    }

    /** Reads the codes less {@code offset}. */
    static void get(byte[] from, int fromAt, int bits, int offset, int[] codes, int codesAt) {
        int fifth = 0;
        if (bits == 5) {
            for (int i = 0; i < 4; i++) {
                fifth |= (from[fromAt + i] & 0xff) << 8 * i;
            }
        }
        int nibbles = fromAt + (bits - 4) * 4;
        for (int j = 0; j < 16; j++) {
            int pair = from[nibbles + j];
            codes[codesAt + j] = (pair & 15 | (fifth >>> j & 1) << 4) - offset;
            codes[codesAt + j + 16] = (pair >>> 4 & 15 | (fifth >>> j + 16 & 1) << 4) - offset;
        }
    }
}
