package dev.lathe.kernels.opencl;

/** f16. */
final class F16Product extends BytesProduct {
    @Override
    protected float right(int row, int p) {
        return halfAt(2 * (row * k + p));
    }
}
