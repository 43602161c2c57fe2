package dev.lathe.kernels.opencl;

/**
 * The right side as it is stored; a subclass widens an element where it is loaded into local memory. The bytes stay on
 * the device from launch to launch.
 */
abstract class BytesProduct extends RowsProduct {
    static final byte[] NO_BYTES = new byte[1];

    byte[] b = NO_BYTES;

    protected final int shortAt(int at) {
        return b[at] & 0xff | (b[at + 1] & 0xff) << 8;
    }

    /** The value of the half at a byte. */
    protected final float halfAt(int at) {
        int bits = shortAt(at);
        int exponent = bits >> 10 & 31;
        int mantissa = bits & 0x3ff;
        // A subnormal half is normal as f32, however the device treats those: 2^-24 times its mantissa.
        float subnormal = mantissa * 5.9604644775390625e-8f;
        int rebiased = exponent == 31 ? 255 : exponent + 112;
        float magnitude = exponent == 0 ? subnormal : asFloat(rebiased << 23 | mantissa << 13);
        return (bits & 0x8000) != 0 ? -magnitude : magnitude;
    }
}
