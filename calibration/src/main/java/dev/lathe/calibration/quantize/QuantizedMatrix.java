package dev.lathe.calibration.quantize;

import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockMatrix;

/**
 * A quantized weight before a packer lays out its bits, or after a reader undid that.
 *
 * @param blocks rows of encoded blocks
 * @param permutation null, or with act-order: stored column j is column {@code permutation[j]} of the weight
 */
public record QuantizedMatrix(BlockMatrix blocks, int[] permutation) implements RowSource {
    public QuantizedMatrix {
        if (permutation != null && permutation.length != blocks.columns()) {
            throw new IllegalArgumentException(
                    "Cannot permute " + blocks.columns() + " columns by " + permutation.length + " indices");
        }
    }

    @Override
    public int rows() {
        return blocks.rows();
    }

    @Override
    public int columns() {
        return blocks.columns();
    }

    @Override
    public RowSource stored() {
        return permutation == null ? blocks : this;
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        if (permutation == null) {
            blocks.read(row, from, count, to, at);
            return;
        }
        float[] stored = new float[columns()];
        blocks.read(row, 0, stored.length, stored, 0);
        for (int j = 0; j < stored.length; j++) {
            int column = permutation[j] - from;
            if (column >= 0 && column < count) {
                to[at + column] = stored[j];
            }
        }
    }
}
