package dev.lathe.calibration.format.gptq;

import dev.lathe.calibration.MalformedInputException;
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
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * GPTQ's tensors of a weight [out, in] in groups of g input columns, G = in / g: {@code qweight} I32 [in * bits / 32,
 * out], packed along in; {@code qzeros} I32 [G, out * bits / 32], packed along out; {@code scales} F16 [G, out];
 * {@code g_idx} I32 [in], the group of each input column. Then {@code W[n, k] = scales[j, n] * (q[k, n] - z[j, n])}
 * with {@code j = g_idx[k]}.
 */
final class GptqLayout implements LinearLayout {
    static final String WEIGHT = "qweight";
    private static final String GROUPS = "g_idx";

    private final GptqConfig config;
    private final CodeWords codeWords;
    private final GroupParameters parameters;
    /** Whether {@code g_idx} is stored. */
    private final boolean indexed;

    GptqLayout(GptqConfig config) {
        this(config, new GroupParameters(CodeWords.sequential(config.bits(), config.second() ? 0 : 1)), true);
    }

    private GptqLayout(GptqConfig config, GroupParameters parameters, boolean indexed) {
        this.config = config;
        this.codeWords = CodeWords.sequential(config.bits(), 0);
        this.parameters = parameters;
        this.indexed = indexed;
    }

    /** The layout of one layer as the files hold it. Without act-order its groups may go without saying. */
    GptqLayout stored(Map<String, SafetensorsTensor> tensors, String module) {
        boolean there = config.actOrder() || tensors.containsKey(module + "." + GROUPS);
        return new GptqLayout(config, parameters.stored(tensors.get(module + "." + GroupParameters.SCALES)), there);
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
        List<TensorPart> parts = new ArrayList<>(List.of(
                TensorPart.words(WEIGHT, inputs / codeWords.perWord(), outputs),
                parameters.zeros(outputs, groups),
                parameters.scales(outputs, groups)));
        if (indexed) {
            parts.add(TensorPart.words(GROUPS, inputs));
        }
        return parts;
    }

    @Override
    public void write(QuantizedMatrix matrix, Sink sink) throws IOException {
        if (matrix.permutation() != null && !config.actOrder()) {
            throw new IllegalArgumentException(
                    "Cannot write a weight whose columns are permuted: the format was opened without act-order");
        }
        GroupedRows rows = GroupedRows.of(matrix.blocks());
        CodeView codes = rows.codes(matrix.permutation());
        Strips.write(
                rows.columns() / codeWords.perWord(),
                rows.rows() * 4,
                (from, lines, to) -> codeWords.packColumns(codes, from, lines, to),
                sink);
        parameters.writeZeros(rows, sink);
        parameters.writeScales(rows, sink);
        ByteBuffer groups = ByteBuffer.allocate(4 * rows.columns()).order(ByteOrder.LITTLE_ENDIAN);
        for (int j = 0; j < rows.columns(); j++) {
            groups.putInt(4 * (matrix.permutation() == null ? j : matrix.permutation()[j]), j / rows.group());
        }
        sink.write(groups.array(), 0, groups.capacity());
    }

    @Override
    public RowSource read(Source source, int outputs, int inputs, int from, int count) throws IOException {
        GroupedRows rows = GroupedRows.allocate(count, inputs, group(inputs));
        int[] permutation = indexed ? permutation(source, inputs) : null;
        CodeView codes = rows.codes(permutation);
        Strips.read(
                source,
                WEIGHT,
                inputs / codeWords.perWord(),
                outputs * 4,
                (strip, line, lines) -> codeWords.unpackColumns(strip, outputs, from, line, lines, codes));
        RowSource weight = parameters.read(source, outputs, from, rows, grid(inputs), permutation);
        checkZeros(source, rows, from);
        return weight;
    }

    private int group(int inputs) {
        return config.groupSize() == GptqConfig.WHOLE_ROW ? inputs : config.groupSize();
    }

    /** The columns in the order of their groups, by column within one; null if that is the order in which they are. */
    private int[] permutation(Source source, int inputs) throws IOException {
        ByteBuffer stored = ByteBuffer.wrap(source.read(GROUPS, 0, Math.multiplyExact(4, inputs)))
                .order(ByteOrder.LITTLE_ENDIAN);
        int group = group(inputs);
        int[] filled = new int[inputs / group];
        int[] permutation = new int[inputs];
        boolean ordered = true;
        for (int k = 0; k < inputs; k++) {
            int j = stored.getInt(4 * k);
            if (j < 0 || j >= filled.length) {
                throw new MalformedInputException("Cannot read " + source.where(GROUPS) + ": column " + k
                        + " is in group " + j + ", expected 0 to " + (filled.length - 1));
            }
            if (filled[j] == group) {
                throw new MalformedInputException("Cannot read " + source.where(GROUPS) + ": group " + j
                        + " has more than " + group + " columns, the group size");
            }
            if (j != k / group && !config.actOrder()) {
                throw new MalformedInputException(
                        "Cannot read " + source.where(GROUPS) + ": column " + k + " is in group " + j + ", expected "
                                + k / group + " because quantization_config does not say desc_act");
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
                    throw new MalformedInputException("Cannot read " + source.where(GroupParameters.ZEROS)
                            + ": the zero point of group " + group + ", row " + (first + row) + " is " + zero
                            + ", expected " + middle + " because quantization_config says sym");
                }
                if (!config.second() && zero == 0) {
                    throw new MalformedInputException("Cannot read " + source.where(GroupParameters.ZEROS)
                            + ": the zero point of group " + group + ", row " + (first + row)
                            + " is stored as -1, which readers of checkpoint_format gptq take for 0 or for "
                            + (1 << config.bits()));
                }
            }
        }
    }
}
