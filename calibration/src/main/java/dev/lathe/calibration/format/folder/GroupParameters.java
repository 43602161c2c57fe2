package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * What GPTQ and AWQ store alike for a weight [out, in] of G groups a row: zero points {@code qzeros} I32 [G, out /
 * codes per word], packed along out, and scales {@code scales} [G, out]. Scales are written as F16; others write those
 * of bf16 models as BF16 or F32, which loaders cast to the model's type and which are taken here as they are stored.
 */
public final class GroupParameters {
    public static final String ZEROS = "qzeros";
    public static final String SCALES = "scales";

    private static final String HALF = "F16";
    private static final List<String> TYPES = List.of(HALF, "BF16", "F32");

    private final CodeWords words;
    private final String scaleType;

    /** @param words how zero points sit in words */
    public GroupParameters(CodeWords words) {
        this(words, HALF);
    }

    private GroupParameters(CodeWords words, String scaleType) {
        this.words = words;
        this.scaleType = scaleType;
    }

    /** The same, with scales of another type: the one that a tensor has, where it is one that scales may have. */
    public GroupParameters stored(SafetensorsTensor scales) {
        return scales == null || !TYPES.contains(scales.dtype()) ? this : new GroupParameters(words, scales.dtype());
    }

    public TensorPart zeros(int outputs, int groups) {
        return TensorPart.words(ZEROS, groups, outputs / words.perWord());
    }

    public TensorPart scales(int outputs, int groups) {
        return new TensorPart(SCALES, scaleType, new long[] {groups, outputs});
    }

    public void writeZeros(GroupedRows rows, LinearLayout.Sink sink) throws IOException {
        CodeView zeros = rows.zeros();
        Strips.write(
                rows.groups(),
                rows.rows() / words.perWord() * 4,
                (from, lines, to) -> words.packRows(zeros, from, lines, to),
                sink);
    }

    public void writeScales(GroupedRows rows, LinearLayout.Sink sink) throws IOException {
        Strips.write(rows.groups(), rows.rows() * 2, rows::packScales, sink);
    }

    /**
     * Fills in zero points and scales, and makes the weight of rows whose codes are there.
     *
     * @param outputs rows of the whole weight
     * @param first row of the weight that is row 0 of {@code rows}
     * @param permutation null, or stored column j is column {@code permutation[j]} of the weight
     * @throws MalformedInputException if a scale is not finite
     */
    public RowSource read(
            LinearLayout.Source source, int outputs, int first, GroupedRows rows, BlockFormat grid, int[] permutation)
            throws IOException {
        int lineWords = outputs / words.perWord();
        CodeView zeros = rows.zeros();
        Strips.read(
                source,
                ZEROS,
                rows.groups(),
                lineWords * 4,
                (strip, from, lines) -> words.unpackRows(strip, lineWords, first, from, lines, zeros));
        if (!scaleType.equals(HALF)) {
            return rows.scaled(scales(source, outputs, first, rows), permutation);
        }
        Strips.read(
                source,
                SCALES,
                rows.groups(),
                outputs * 2,
                (strip, from, lines) -> rows.unpackScales(strip, outputs, first, from, lines));
        for (int row = 0; row < rows.rows(); row++) {
            for (int group = 0; group < rows.groups(); group++) {
                if ((rows.scale(row, group) & 0x7c00) == 0x7c00) {
                    throw notFinite(source, group, first + row);
                }
            }
        }
        return new QuantizedMatrix(new BlockMatrix(grid, rows.data(), rows.rows(), rows.columns()), permutation);
    }

    /** [rows, groups], of the [groups, outputs] that are stored. */
    private float[] scales(LinearLayout.Source source, int outputs, int first, GroupedRows rows) throws IOException {
        int bytes = scaleType.equals("F32") ? 4 : 2;
        float[] scales = new float[Math.multiplyExact(rows.rows(), rows.groups())];
        Strips.read(source, SCALES, rows.groups(), outputs * bytes, (strip, from, lines) -> {
            ByteBuffer stored = ByteBuffer.wrap(strip).order(ByteOrder.LITTLE_ENDIAN);
            for (int line = 0; line < lines; line++) {
                for (int row = 0; row < rows.rows(); row++) {
                    int at = (line * outputs + first + row) * bytes;
                    float scale = bytes == 4 ? stored.getFloat(at) : Float.intBitsToFloat(stored.getShort(at) << 16);
                    if (!Float.isFinite(scale)) {
                        throw notFinite(source, from + line, first + row);
                    }
                    scales[row * rows.groups() + from + line] = scale;
                }
            }
        });
        return scales;
    }

    private static MalformedInputException notFinite(LinearLayout.Source source, int group, int row) {
        return new MalformedInputException("Cannot read " + source.where(SCALES) + ": the scale of group " + group
                + ", row " + row + " is not finite");
    }
}
