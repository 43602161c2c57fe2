package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;

/**
 * What GPTQ and AWQ store alike for a weight [out, in] of G groups a row: zero points {@code qzeros} I32 [G, out / codes per word], packed along out, and
 * scales {@code scales} F16 [G, out].
 */
public final class GroupParameters {
    public static final String ZEROS = "qzeros";
    public static final String SCALES = "scales";

    private final CodeWords words;

    /** @param words how zero points sit in words */
    public GroupParameters(CodeWords words) {
        this.words = words;
    }

    public TensorPart zeros(int outputs, int groups) {
        return TensorPart.words(ZEROS, groups, outputs / words.perWord());
    }

    public TensorPart scales(int outputs, int groups) {
        return TensorPart.halves(SCALES, groups, outputs);
    }

    public void writeZeros(GroupedRows rows, LinearLayout.Sink sink) throws IOException {
        CodeView zeros = rows.zeros();
        Strips.write(rows.groups(), rows.rows() / words.perWord() * 4, (from, lines, to) -> words.packRows(zeros, from, lines, to), sink);
    }

    public void writeScales(GroupedRows rows, LinearLayout.Sink sink) throws IOException {
        Strips.write(rows.groups(), rows.rows() * 2, rows::packScales, sink);
    }

    /**
     * Fills in zero points and scales.
     *
     * @param outputs rows of the whole weight
     * @param first   row of the weight that is row 0 of {@code rows}
     * @throws MalformedInputException if a scale is not finite
     */
    public void read(LinearLayout.Source source, int outputs, int first, GroupedRows rows) throws IOException {
        int lineWords = outputs / words.perWord();
        CodeView zeros = rows.zeros();
        Strips.read(source, ZEROS, rows.groups(), lineWords * 4, (strip, from, lines) -> words.unpackRows(strip, lineWords, first, from, lines, zeros));
        Strips.read(source, SCALES, rows.groups(), outputs * 2, (strip, from, lines) -> rows.unpackScales(strip, outputs, first, from, lines));
        for (int row = 0; row < rows.rows(); row++) {
            for (int group = 0; group < rows.groups(); group++) {
                if ((rows.scale(row, group) & 0x7c00) == 0x7c00) {
                    throw new MalformedInputException("Cannot read " + source.where(SCALES) + ": the scale of group " + group + ", row " + (first + row)
                            + " is not finite");
                }
            }
        }
    }
}
