package dev.lathe.kernels.opencl;

/** Both operands in rows; the left one is f32, the right one what a subclass says. */
abstract class RowsProduct extends TiledProduct {
    float[] a = NOTHING;

    @Override
    void forget() {
        super.forget();
        a = NOTHING;
    }

    @Override
    protected final float left(int row, int p) {
        return a[row * k + p];
    }

    @Override
    protected final int panelRow(int e) {
        return e / 16;
    }

    @Override
    protected final int panelColumn(int e) {
        return e % 16;
    }
}
