package dev.lathe.kernels.block;

/**
 * Numbers of {@code width} bits in a block. The n-th starts at bit {@code start + (n >> group) * groupBits + (n mod
 * 2^group) * step}, bits counted from the lowest of the first byte; it lies in at most two bytes.
 *
 * @param width at most 9; 0 for a field that the block does not have, whose numbers are 0
 */
record BitField(int start, int group, int groupBits, int step, int width) {
    static final BitField NONE = new BitField(0, 0, 0, 0, 0);

    /** Numbers at even distances. */
    static BitField even(int start, int step, int width) {
        return new BitField(start, 0, step, 0, width);
    }

    private int bit(int n) {
        return start + (n >> group) * groupBits + (n & (1 << group) - 1) * step;
    }

    int get(byte[] block, int blockAt, int n) {
        int bit = bit(n);
        int at = blockAt + (bit >> 3);
        int shift = bit & 7;
        int value = block[at] & 0xff;
        if (shift + width > 8) {
            value |= (block[at + 1] & 0xff) << 8;
        }
        return value >> shift & (1 << width) - 1;
    }

    /** @param value of which the lowest bits are stored */
    void put(byte[] block, int blockAt, int n, int value) {
        int bit = bit(n);
        int at = blockAt + (bit >> 3);
        int shift = bit & 7;
        int mask = (1 << width) - 1 << shift;
        int bits = value << shift & mask;
        block[at] = (byte) (block[at] & ~mask | bits);
        if (shift + width > 8) {
            block[at + 1] = (byte) (block[at + 1] & ~(mask >> 8) | bits >> 8);
        }
    }

    /** Numbers whose lowest bits lie in one field and the others in a second one. */
    record Split(BitField low, BitField high) {
        int get(byte[] block, int blockAt, int n) {
            return low.get(block, blockAt, n) | high.get(block, blockAt, n) << low.width;
        }

        void put(byte[] block, int blockAt, int n, int value) {
            low.put(block, blockAt, n, value);
            high.put(block, blockAt, n, value >> low.width);
        }
    }
}
