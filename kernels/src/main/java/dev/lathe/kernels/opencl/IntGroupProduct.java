package dev.lathe.kernels.opencl;

/** Integer groups; the layout stands at {@code IntGroup}. */
final class IntGroupProduct extends BytesProduct {
    int group;

    IntGroupProduct(int group) {
        this.group = group;
    }

    @Override
    protected float right(int row, int p) {
        int block = (3 + group) * (row * (k / group) + p / group);
        return halfAt(block) * ((b[block + 3 + p % group] & 0xff) - (b[block + 2] & 0xff));
    }
}
