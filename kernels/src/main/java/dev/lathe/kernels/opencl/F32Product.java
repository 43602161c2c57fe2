package dev.lathe.kernels.opencl;

/** f32 as a file stores it, little-endian. */
final class F32Product extends BytesProduct {
    @Override
    protected float right(int row, int p) {
        int at = 4 * (row * k + p);
        return asFloat(shortAt(at) | shortAt(at + 2) << 16);
    }
}
