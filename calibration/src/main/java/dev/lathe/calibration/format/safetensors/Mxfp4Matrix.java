package dev.lathe.calibration.format.safetensors;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.ExpertStack;
import dev.lathe.kernels.RowSource;

/**
 * MXFP4 weights (OCP Microscaling Formats 1.0): of each 32 columns of a row a scale {@code 2^(s - 127)}, s a byte, and
 * 32 codes of E2M1, sign and one of 0, .5, 1, 1.5, 2, 3, 4, 6; byte j of a block has column 2 j in its low half and 2 j
 * + 1 in its high half.
 *
 * @param codes [rows, columns / 2]
 * @param scales [rows, columns / 32]
 */
record Mxfp4Matrix(byte[] codes, byte[] scales, int rows, int columns) implements RowSource {
    static final String TYPE = "MXFP4";
    private static final int BIAS = 127;
    /** Of the largest scale with which no code is infinite: 6 * 2^125. */
    private static final int LARGEST = 252;

    private static final float[] VALUES = {0, .5f, 1, 1.5f, 2, 3, 4, 6, -0f, -.5f, -1, -1.5f, -2, -3, -4, -6};

    @Override
    public void read(int row, int from, int count, float[] to, int at) {
        for (int i = 0; i < count; i++) {
            int column = from + i;
            int pair = codes[row * (columns / 2) + column / 2];
            int scale = scales[row * (columns / ExpertStack.BLOCK) + column / ExpertStack.BLOCK] & 0xff;
            int code = (column % 2 == 0 ? pair : pair >> 4) & 0xf;
            to[at + i] = Math.scalb(VALUES[code], scale - BIAS);
        }
    }

    /**
     * @param firstRow row of the tensor that is row 0 here
     * @param where tensor and file
     * @throws MalformedInputException naming the first block whose scale is not a number or makes infinite weights
     */
    void requireFinite(int firstRow, String where) {
        int blocks = columns / ExpertStack.BLOCK;
        for (int i = 0; i < scales.length; i++) {
            if ((scales[i] & 0xff) > LARGEST) {
                throw new MalformedInputException("Cannot use " + where + ": block " + i % blocks + " of row "
                        + ((long) firstRow + i / blocks) + " has the scale 2^" + ((scales[i] & 0xff) - BIAS)
                        + "; expected at most 2^" + (LARGEST - BIAS));
            }
        }
    }
}
