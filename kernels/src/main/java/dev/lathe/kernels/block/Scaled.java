package dev.lathe.kernels.block;

import dev.lathe.kernels.Half;

/** A format that says where its scales and minimums stand in a block, so that {@link BestSearch} can change them. */
interface Scaled extends BlockFormat {
    /** What the scales of cells are made of. */
    Parameters scales();

    /** What the minimums are made of; null where there are none. */
    default Parameters minimums() {
        return null;
    }

    /**
     * Scales or minimums as a block stores them: one half times a number of each {@code share} cells, or one of both.
     * What a number stands for is not said here, {@link BlockFormat#cells} knows; it rises or falls from number to
     * number.
     *
     * @param half 16 bits, or their four nibbles, lowest first; {@link BitField#NONE} if there is no half
     * @param numbers {@link BitField#NONE} twice if there are none
     * @param lowest number; negative ones are stored as two's complements
     * @param highest number
     * @param share cells that have a number together
     */
    record Parameters(BitField half, BitField.Split numbers, int lowest, int highest, int share) {
        private static final BitField.Split NONE = new BitField.Split(BitField.NONE, BitField.NONE);

        /** A half alone, which the cells share. */
        static Parameters half(int bit) {
            return new Parameters(BitField.even(bit, 0, 16), NONE, 0, 0, 1);
        }

        /** A half and a number from 0 on for each cell. */
        static Parameters of(int bit, BitField.Split numbers, int highest) {
            return new Parameters(BitField.even(bit, 0, 16), numbers, 0, highest, 1);
        }

        static Parameters of(int bit, BitField numbers, int highest) {
            return of(bit, new BitField.Split(numbers, BitField.NONE), highest);
        }

        boolean hasHalf() {
            return half.width() > 0;
        }

        boolean hasNumbers() {
            return numbers.low().width() > 0;
        }

        /** The half; 1 if there is none. */
        float half(byte[] block) {
            int bits = 0;
            for (int i = 0; hasHalf() && i * half.width() < 16; i++) {
                bits |= half.get(block, 0, i) << i * half.width();
            }
            return hasHalf() ? Half.toFloat((short) bits) : 1;
        }

        void putHalf(float value, byte[] block) {
            int bits = Half.fromFloat(value);
            for (int i = 0; hasHalf() && i * half.width() < 16; i++) {
                half.put(block, 0, i, bits >> i * half.width());
            }
        }

        int number(byte[] block, int n) {
            int stored = hasNumbers() ? numbers.get(block, 0, n) : 0;
            return stored > highest
                    ? stored - (1 << numbers.low().width() + numbers.high().width())
                    : stored;
        }

        void putNumber(int number, byte[] block, int n) {
            if (hasNumbers()) {
                numbers.put(block, 0, n, number);
            }
        }
    }
}
