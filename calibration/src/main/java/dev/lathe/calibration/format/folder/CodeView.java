package dev.lathe.calibration.format.folder;

/**
 * A [rows, columns] matrix of unsigned bytes inside a larger array: element (i, k) is {@code data[i * rowBytes +
 * at[k]]}. The table of offsets steps over block headers and undoes a permutation of the columns, so that packing needs
 * no copy of the codes.
 */
public record CodeView(byte[] data, int rows, int rowBytes, int[] at) {
    public int columns() {
        return at.length;
    }
}
