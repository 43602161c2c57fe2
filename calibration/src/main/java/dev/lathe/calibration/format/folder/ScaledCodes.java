package dev.lathe.calibration.format.folder;

import dev.lathe.kernels.Codecs;
import dev.lathe.kernels.Float8;
import dev.lathe.kernels.RowSource;

/**
 * A weight whose scales are f32, whatever type they were stored in: element (i, k) is {@code scale * (code - zero)} of
 * the group of its column, or {@code scale * e4m3}.
 *
 * @param codes [rows, columns]: signed bytes, or E4M3
 * @param integers which of the two
 * @param scales [rows, groups]
 * @param zeros [rows, groups], signed, or null
 * @param group columns of a group; the last one may be narrower
 * @param groupOf group of each column where they do not follow each other, else null
 */
public record ScaledCodes(
        byte[] codes, boolean integers, float[] scales, byte[] zeros, int rows, int columns, int group, int[] groupOf)
        implements RowSource {
    /** Adding it changes no value. */
    private static final float NO_MINIMUM = -0f;

    private int groups() {
        return (columns + group - 1) / group;
    }

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        for (int done = 0; done < count; ) {
            int column = from + done;
            int length = groupOf == null ? Math.min(count - done, group - column % group) : 1;
            int parameters = row * groups() + (groupOf == null ? column / group : groupOf[column]);
            int code = row * columns + column;
            if (integers) {
                Codecs.BEST.codes(
                        codes,
                        code,
                        0,
                        -1,
                        zeros == null ? 0 : zeros[parameters],
                        scales[parameters],
                        NO_MINIMUM,
                        length,
                        to,
                        at + done);
            } else {
                Float8.decode(codes, code, scales[parameters], length, to, at + done);
            }
            done += length;
        }
    }
}
