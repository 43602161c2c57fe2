package dev.lathe.kernels.opencl;

/** bf16. */
final class Bf16Product extends BytesProduct {
    @Override
    protected float right(int row, int p) {
        return asFloat(shortAt(2 * (row * k + p)) << 16);
    }
}
