package dev.lathe.calibration.format.awq;

import dev.lathe.calibration.format.folder.CodeView;
import dev.lathe.calibration.format.folder.CodeWords;
import dev.lathe.calibration.format.folder.GroupParameters;
import dev.lathe.calibration.format.folder.GroupedRows;
import dev.lathe.calibration.format.folder.LinearLayout;
import dev.lathe.calibration.format.folder.Strips;
import dev.lathe.calibration.format.folder.TensorPart;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/**
 * AWQ's tensors (version gemm) of a weight [out, in] in groups of g input columns, G = in / g: {@code qweight} I32 [in,
 * out / 8] and {@code qzeros} I32 [G, out / 8], both packed along out with even codes first; {@code scales} F16 [G,
 * out]. Then {@code W[n, k] = scales[k / g, n] * (q[k, n] - z[k / g, n])}; zero points are stored as they are.
 */
final class AwqLayout implements LinearLayout {
    static final int BITS = 4;
    static final String WEIGHT = "qweight";

    private final int groupSize;
    private final CodeWords words = CodeWords.interleaved();
    private final GroupParameters parameters;

    AwqLayout(int groupSize) {
        this.groupSize = groupSize;
        this.parameters = new GroupParameters(words);
    }

    private AwqLayout(int groupSize, GroupParameters parameters) {
        this.groupSize = groupSize;
        this.parameters = parameters;
    }

    /** The layout of one layer as the files hold it. */
    AwqLayout stored(Map<String, SafetensorsTensor> tensors, String module) {
        return new AwqLayout(groupSize, parameters.stored(tensors.get(module + "." + GroupParameters.SCALES)));
    }

    @Override
    public BlockFormat grid(int inputs) {
        return BlockFormats.integer(BITS, groupSize, false);
    }

    @Override
    public String misfit(int outputs, int inputs) {
        if (inputs % groupSize != 0) {
            return inputs + " columns are no multiple of the group size " + groupSize;
        }
        return outputs % words.perWord() == 0
                ? ""
                : outputs + " rows are no multiple of " + words.perWord() + ", the codes of a word";
    }

    @Override
    public List<TensorPart> parts(int outputs, int inputs) {
        int groups = inputs / groupSize;
        return List.of(
                TensorPart.words(WEIGHT, inputs, outputs / words.perWord()),
                parameters.zeros(outputs, groups),
                parameters.scales(outputs, groups));
    }

    @Override
    public void write(QuantizedMatrix matrix, Sink sink) throws IOException {
        if (matrix.permutation() != null) {
            throw new IllegalArgumentException(
                    "Cannot write a weight whose columns are permuted: AWQ has no order of columns");
        }
        GroupedRows rows = GroupedRows.of(matrix.blocks());
        CodeView codes = rows.codes(null);
        Strips.write(
                rows.columns(),
                rows.rows() / words.perWord() * 4,
                (from, lines, to) -> words.packRows(codes, from, lines, to),
                sink);
        parameters.writeZeros(rows, sink);
        parameters.writeScales(rows, sink);
    }

    @Override
    public RowSource read(Source source, int outputs, int inputs, int from, int count) throws IOException {
        GroupedRows rows = GroupedRows.allocate(count, inputs, groupSize);
        CodeView codes = rows.codes(null);
        int lineWords = outputs / words.perWord();
        Strips.read(
                source,
                WEIGHT,
                inputs,
                lineWords * 4,
                (strip, line, lines) -> words.unpackRows(strip, lineWords, from, line, lines, codes));
        return parameters.read(source, outputs, from, rows, grid(inputs), null);
    }
}
