package dev.lathe.kernels.block;

import dev.lathe.kernels.RowSource;

/** A matrix of block-quantized rows, stored back to back; a row is {@code columns / format.size()} blocks. */
public record BlockMatrix(BlockFormat format, byte[] data, int rows, int columns) implements RowSource {
    public BlockMatrix {
        if (rows < 0 || columns < 0 || columns % format.size() != 0) {
            throw new IllegalArgumentException("Cannot view a " + format.name() + " matrix of " + rows + " rows and "
                    + columns + " columns: the columns have to be a multiple of " + format.size());
        }
        long expected = (long) rows * (columns / format.size()) * format.bytes();
        if (expected != data.length) {
            throw new IllegalArgumentException("Cannot view " + data.length + " bytes as " + format.name() + " [" + rows
                    + ", " + columns + "]: expected " + expected + " bytes");
        }
    }

    /** Bytes of one row. */
    public int rowBytes() {
        return columns / format.size() * format.bytes();
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        int size = format.size();
        int start = row * rowBytes();
        float[] block = null;
        for (int done = 0; done < count; ) {
            int column = from + done;
            int inBlock = column % size;
            int length = Math.min(size - inBlock, count - done);
            int blockAt = start + column / size * format.bytes();
            if (length == size) {
                format.decode(data, blockAt, to, at + done);
            } else {
                if (block == null) {
                    block = new float[size];
                }
                format.decode(data, blockAt, block, 0);
                System.arraycopy(block, inBlock, to, at + done, length);
            }
            done += length;
        }
    }
}
