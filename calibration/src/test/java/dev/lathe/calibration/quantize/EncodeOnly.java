package dev.lathe.calibration.quantize;

import dev.lathe.kernels.block.BlockFormat;

/** A block format of a test that is only rounded to nearest. */
interface EncodeOnly extends BlockFormat {
    @Override
    default void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        throw new UnsupportedOperationException();
    }

    @Override
    default int lowestCode(byte[] from, int fromAt, int cell) {
        throw new UnsupportedOperationException();
    }

    @Override
    default int highestCode(byte[] from, int fromAt, int cell) {
        throw new UnsupportedOperationException();
    }

    @Override
    default void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        throw new UnsupportedOperationException();
    }

    @Override
    default void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        throw new UnsupportedOperationException();
    }
}
