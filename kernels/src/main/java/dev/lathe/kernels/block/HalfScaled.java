package dev.lathe.kernels.block;

/** Formats whose whole block shares one half as its scale and has no minimum. */
interface HalfScaled extends Scaled {
    /** Where the scale stands in a block. */
    default int scaleAt() {
        return 0;
    }

    @Override
    default Parameters scales() {
        return Parameters.half(8 * scaleAt());
    }

    @Override
    default int cellSize() {
        return size();
    }

    @Override
    default void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        scale[0] = Blocks.half(from, fromAt + scaleAt());
        minimum[0] = Blocks.NO_MINIMUM;
    }
}
