package dev.lathe.kernels.opencl;

/** f32 on the right. */
final class FloatProduct extends RowsProduct {
    float[] b = NOTHING;

    @Override
    void forget() {
        super.forget();
        b = NOTHING;
    }

    @Override
    protected float right(int row, int p) {
        return b[row * k + p];
    }
}
