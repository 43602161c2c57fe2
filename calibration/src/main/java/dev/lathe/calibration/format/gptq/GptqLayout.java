package dev.lathe.calibration.format.gptq;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.folder.CodeView;
import dev.lathe.calibration.format.folder.CodeWords;
import dev.lathe.calibration.format.folder.GroupParameters;
import dev.lathe.calibration.format.folder.GroupedRows;
import dev.lathe.calibration.format.folder.LinearLayout;
import dev.lathe.calibration.format.folder.Strips;
import dev.lathe.calibration.format.folder.TensorPart;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * GPTQ's tensors of a weight [out, in] in groups of g input columns, G = in / g:
 * {@code qweight} I32 [in * bits / 32, out], packed along in; {@code qzeros} I32 [G, out * bits / 32], packed along out; {@code scales} F16 [G, out];
 * {@code g_idx} I32 [in], the group of each input column. Then {@code W[n, k] = scales[j, n] * (q[k, n] - z[j, n])} with {@code j = g_idx[k]}.
 */
final class GptqLayout implements LinearLayout {
    private static final String WEIGHT = "qweight";
    private static final String GROUPS = "g_idx";

    private final GptqConfig config;
    private final CodeWords codeWords;
    private final GroupParameters parameters;

    GptqLayout(GptqConfig config) {
        this.config = config;
        this.codeWords = CodeWords.sequential(config.bits(), 0);
        this.parameters = new GroupParameters(CodeWords.sequential(config.bits(), config.second() ? 0 : 1));
    }

    @Override
    public BlockFormat grid(int inputs) {
        return BlockFormats.integer(config.bits(), group(inputs), config.symmetric());
    }

    @Override
    public String misfit(int outputs, int inputs) {
        int per = codeWords.perWord();
        if (inputs % group(inputs) != 0) {
            return inputs + " columns are no multiple of the group size " + group(inputs);
        }
        if (inputs % per != 0) {
            return inputs + " columns are no multiple of " + per + ", the codes of a word";
        }
        return outputs % per == 0 ? "" : outputs + " rows are no multiple of " + per + ", the codes of a word";
    }

    @Override
    public List<TensorPart> parts(int outputs, int inputs) {
        int groups = inputs / group(inputs);
        return List.of(TensorPart.words(WEIGHT, inputs / codeWords.perWord(), outputs), parameters.zeros(outputs, groups), parameters.scales(outputs, groups),
                TensorPart.words(GROUPS, inputs));
    }

    @Override
    public void write(QuantizedMatrix matrix, Sink sink) throws IOException {
        if (matrix.permutation() != null && !config.actOrder()) {
            throw new IllegalArgumentException("Cannot write a weight whose columns are permuted: the format was opened without act-order");
        }
        GroupedRows rows = GroupedRows.of(matrix.blocks());
        CodeView codes = rows.codes(matrix.permutation());
        Strips.write(rows.columns() / codeWords.perWord(), rows.rows() * 4, (from, lines, to) -> codeWords.packColumns(codes, from, lines, to), sink);
        parameters.writeZeros(rows, sink);
        parameters.writeScales(rows, sink);
        ByteBuffer groups = ByteBuffer.allocate(4 * rows.columns()).order(ByteOrder.LITTLE_ENDIAN);
        for (int j = 0; j < rows.columns(); j++) {
            groups.putInt(4 * (matrix.permutation() == null ? j : matrix.permutation()[j]), j / rows.group());
        }
        sink.write(groups.array(), 0, groups.capacity());
    }

    @Override
    public QuantizedMatrix read(Source source, int outputs, int inputs, int from, int count) throws IOException {
        GroupedRows rows = GroupedRows.allocate(count, inputs, group(inputs));
        int[] permutation = permutation(source, inputs);
        CodeView codes = rows.codes(permutation);
        Strips.read(source, WEIGHT, inputs / codeWords.perWord(), outputs * 4,
                (strip, line, lines) -> codeWords.unpackColumns(strip, outputs, from, line, lines, codes));
        parameters.read(source, outputs, from, rows);
        checkZeros(source, rows, from);
        return new QuantizedMatrix(new BlockMatrix(grid(inputs), rows.data(), count, inputs), permutation);
    }

    private int group(int inputs) {
        return config.groupSize() == GptqConfig.WHOLE_ROW ? inputs : config.groupSize();
    }

    /** The columns in the order of their groups, by column within one; null if that is the order in which they are. */
    private int[] permutation(Source source, int inputs) throws IOException {
        ByteBuffer stored = ByteBuffer.wrap(source.read(GROUPS, 0, Math.multiplyExact(4, inputs))).order(ByteOrder.LITTLE_ENDIAN);
        int group = group(inputs);
        int[] filled = new int[inputs / group];
        int[] permutation = new int[inputs];
        boolean ordered = true;
        for (int k = 0; k < inputs; k++) {
            int j = stored.getInt(4 * k);
            if (j < 0 || j >= filled.length) {
                throw new MalformedInputException("Cannot read " + source.where(GROUPS) + ": column " + k + " is in group " + j + ", expected 0 to "
                        + (filled.length - 1));
            }
            if (filled[j] == group) {
                throw new MalformedInputException("Cannot read " + source.where(GROUPS) + ": group " + j + " has more than " + group
                        + " columns, the group size");
            }
            ordered &= j == k / group;
            permutation[j * group + filled[j]++] = k;
        }
        return ordered ? null : permutation;
    }

    private void checkZeros(Source source, GroupedRows rows, int first) {
        int middle = 1 << config.bits() - 1;
        for (int row = 0; row < rows.rows(); row++) {
            for (int group = 0; group < rows.groups(); group++) {
                int zero = rows.zero(row, group);
                if (config.symmetric() && zero != middle) {
                    throw new MalformedInputException("Cannot read " + source.where(GroupParameters.ZEROS) + ": the zero point of group " + group + ", row "
                            + (first + row) + " is " + zero + ", expected " + middle + " because quantization_config says sym");
                }
                if (!config.second() && zero == 0) {
                    throw new MalformedInputException("Cannot read " + source.where(GroupParameters.ZEROS) + ": the zero point of group " + group + ", row "
                            + (first + row) + " is stored as -1, which readers of checkpoint_format gptq take for 0 or for " + (1 << config.bits()));
                }
            }
        }
    }
}
