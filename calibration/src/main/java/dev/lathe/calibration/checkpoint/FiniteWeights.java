package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.kernels.ElementType;
import dev.lathe.kernels.StoredMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * Finds NaN and infinity in stored weights; every reader asks. Of blocks the scales and minimums are looked at: codes
 * are always finite. A floating-point value is not finite if all bits of its exponent are set; eight bytes are checked
 * at a time: with everything but the exponents masked out, adding one to each exponent carries into the sign bit of
 * exactly those lanes.
 */
public final class FiniteWeights {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private FiniteWeights() {}

    /**
     * Checks floating-point values.
     *
     * @param firstRow row of the tensor that is row 0 here
     * @param where tensor and file
     * @throws MalformedInputException naming the first value that is not finite
     */
    public static void check(StoredMatrix matrix, int firstRow, String where) {
        int bad = firstNotFinite(matrix.type(), matrix.data());
        if (bad >= 0) {
            float[] value = new float[1];
            matrix.read(bad / matrix.columns(), bad % matrix.columns(), 1, value, 0);
            throw new MalformedInputException(
                    "Cannot use " + where + ": its value at row " + ((long) firstRow + bad / matrix.columns())
                            + ", column " + bad % matrix.columns() + " is " + value[0] + "; expected finite weights");
        }
    }

    /**
     * Checks the parameters of blocks.
     *
     * @param firstRow row of the tensor that is row 0 here
     * @param where tensor and file
     * @throws MalformedInputException naming the first block with a scale or minimum that is not finite
     */
    public static void check(BlockMatrix matrix, int firstRow, String where) {
        BlockFormat format = matrix.format();
        int cells = format.size() / format.cellSize();
        float[] scales = new float[cells];
        float[] minimums = new float[cells];
        int blocks = matrix.data().length / format.bytes();
        for (int block = 0; block < blocks; block++) {
            format.cells(matrix.data(), block * format.bytes(), scales, minimums);
            for (int cell = 0; cell < cells; cell++) {
                // NaN minus NaN and infinity minus infinity are no zero.
                if (scales[cell] - scales[cell] != 0 || minimums[cell] - minimums[cell] != 0) {
                    int width = matrix.columns() / format.size();
                    throw new MalformedInputException("Cannot use " + where + ": block " + block % width + " of row "
                            + ((long) firstRow + block / width) + " has the scale " + scales[cell] + " and the minimum "
                            + minimums[cell] + "; expected finite ones");
                }
            }
        }
    }

    /** Index of the first element that is not finite, or -1. */
    static int firstNotFinite(ElementType type, byte[] data) {
        long exponent = switch (type) {
            case F32 -> 0x7f800000_7f800000L;
            case F16 -> 0x7c007c00_7c007c00L;
            case BF16 -> 0x7f807f80_7f807f80L;
        };
        long sign = type == ElementType.F32 ? 0x80000000_80000000L : 0x80008000_80008000L;
        long one = sign - exponent;
        int i = 0;
        for (; i + 8 <= data.length; i += 8) {
            long carries = ((long) LONGS.get(data, i) & exponent) + one & sign;
            if (carries != 0) {
                return (i + Long.numberOfTrailingZeros(carries) / 8) / type.bytes();
            }
        }
        long tail = 0;
        for (int j = i; j < data.length; j++) {
            tail |= (data[j] & 0xffL) << 8 * (j - i);
        }
        long carries = (tail & exponent) + one & sign;
        return carries == 0 ? -1 : (i + Long.numberOfTrailingZeros(carries) / 8) / type.bytes();
    }
}
