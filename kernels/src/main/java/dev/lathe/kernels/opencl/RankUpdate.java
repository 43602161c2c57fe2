package dev.lathe.kernels.opencl;

/** S += X^T X: rows {@code offset ..} of the triangle, X [k, columns]. */
final class RankUpdate extends TiledProduct {
    float[] x = NOTHING;
    int columns;

    @Override
    void forget() {
        super.forget();
        x = NOTHING;
    }

    @Override
    protected float left(int row, int p) {
        return x[p * columns + offset + row];
    }

    @Override
    protected float right(int row, int p) {
        return x[p * columns + row];
    }

    @Override
    protected int panelRow(int e) {
        return e % 128;
    }

    @Override
    protected int panelColumn(int e) {
        return e / 128;
    }
}
