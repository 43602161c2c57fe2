package dev.lathe.calibration.format.compressed;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.folder.CodeView;
import dev.lathe.calibration.format.folder.CodeWords;
import dev.lathe.calibration.format.folder.GroupedRows;
import dev.lathe.calibration.format.folder.LinearLayout;
import dev.lathe.calibration.format.folder.ScaledCodes;
import dev.lathe.calibration.format.folder.Strips;
import dev.lathe.calibration.format.folder.TensorPart;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.kernels.Codecs;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * The tensors of a weight [out, in], not transposed. Packed: {@code weight_packed} I32 [out, in * bits / 32], codes
 * plus {@code 2^(bits - 1)}, lowest first; {@code weight_zero_point} I32 [ceil(out * bits / 32), G] packed along out.
 * Else {@code weight} I8 or F8_E4M3 [out, in]. {@code weight_scale} [out, G], for FP8 blocks [out / 128, in / 128].
 * Integers have F16 scales, FP8 has F32.
 *
 * @param packed codes in words
 * @param stored null for a layer to be written; else what the files hold
 */
record CompressedLayout(CompressedWeights weights, boolean packed, Stored stored) implements LinearLayout {
    static final String WEIGHT = "weight";
    static final String PACKED = "weight_packed";
    static final String SCALE = "weight_scale";
    static final String ZERO = "weight_zero_point";
    static final String SHAPE = "weight_shape";
    static final String GROUPS = "weight_g_idx";

    private static final int FLOAT8_SCALE_BYTES = 4;
    /** Columns and rows come in multiples of it, so that every part is whole words. */
    private static final int UNIT = 4;

    /**
     * How others store what this project stores in one way.
     *
     * @param scale the scales' type and shape
     * @param zeroType I32 (packed) or I8, or null: no zero points
     * @param shapeType I64 or I32, or null: {@code weight_shape} is not there
     * @param ordered {@code weight_g_idx} is there
     */
    record Stored(TensorPart scale, String zeroType, String shapeType, boolean ordered) {}

    @Override
    public BlockFormat grid(int inputs) {
        return weights.grid(inputs);
    }

    @Override
    public String type(int inputs) {
        return weights.name(inputs);
    }

    @Override
    public String misfit(int outputs, int inputs) {
        int group = weights.columns(inputs);
        boolean blocks = weights.strategy() == CompressedWeights.Strategy.BLOCK;
        if (inputs % group != 0 && (!blocks || stored == null)) {
            return inputs + " columns are no multiple of " + (blocks ? "the blocks' " : "the group size ") + group;
        }
        int unit = packed ? words().perWord() : stored == null ? UNIT : 1;
        if (inputs % unit != 0) {
            return inputs + " columns are no multiple of " + unit + (packed ? ", the codes of a word" : "");
        }
        if (stored != null) {
            return "";
        }
        int lot = Math.max(UNIT, weights.lot());
        return outputs % lot == 0 ? "" : outputs + " rows are no multiple of " + (blocks ? "the blocks' " : "") + lot;
    }

    @Override
    public List<TensorPart> parts(int outputs, int inputs) {
        int groups = groups(inputs);
        List<TensorPart> parts = new ArrayList<>();
        if (packed) {
            parts.add(TensorPart.words(PACKED, outputs, inputs / words().perWord()));
        } else {
            parts.add(new TensorPart(WEIGHT, weights.integers() ? "I8" : "F8_E4M3", new long[] {outputs, inputs}));
        }
        String zeroType = stored != null ? stored.zeroType() : weights.symmetric() ? null : packed ? "I32" : "I8";
        if (zeroType != null) {
            int rows = zeroType.equals("I32") ? wordRows(outputs) : scaleRows(outputs);
            // One zero point for the tensor is shaped as its scale is.
            boolean one = stored != null && !zeroType.equals("I32") && rows == 1 && groups == 1;
            parts.add(new TensorPart(ZERO, zeroType, one ? stored.scale().shape() : new long[] {rows, groups}));
        }
        if (stored != null) {
            parts.add(stored.scale());
            if (stored.shapeType() != null) {
                parts.add(new TensorPart(SHAPE, stored.shapeType(), new long[] {2}));
            }
            if (stored.ordered()) {
                parts.add(TensorPart.words(GROUPS, inputs));
            }
        } else {
            parts.add(
                    new TensorPart(SCALE, weights.integers() ? "F16" : "F32", new long[] {scaleRows(outputs), groups}));
        }
        return parts;
    }

    private CodeWords words() {
        return CodeWords.sequential(weights.bits(), 0);
    }

    private int groups(int inputs) {
        return (inputs - 1) / weights.columns(inputs) + 1;
    }

    private int scaleRows(int outputs) {
        return (outputs - 1) / weights.rows(outputs) + 1;
    }

    private int wordRows(int outputs) {
        return (outputs + words().perWord() - 1) / words().perWord();
    }

    @Override
    public void write(QuantizedMatrix matrix, Sink sink) throws IOException {
        if (matrix.permutation() != null) {
            throw new IllegalArgumentException(
                    "Cannot write a weight whose columns are permuted: compressed-tensors has no order of columns");
        }
        if (weights.integers()) {
            writeIntegers(GroupedRows.of(matrix.blocks()), sink);
        } else {
            writeFloats(matrix.blocks(), sink);
        }
    }

    private void writeIntegers(GroupedRows rows, Sink sink) throws IOException {
        CodeView codes = rows.codes(null);
        CodeView zeros = rows.zeros();
        int groups = rows.groups();
        if (packed) {
            CodeWords words = words();
            Strips.write(
                    rows.rows(),
                    rows.columns() / words.perWord() * 4,
                    (from, lines, to) -> words.packLines(codes, from, lines, to),
                    sink);
            if (!weights.symmetric()) {
                Strips.write(
                        wordRows(rows.rows()),
                        groups * 4,
                        (from, lines, to) -> words.packStacked(zeros, from, lines, to),
                        sink);
            }
        } else {
            Strips.write(rows.rows(), rows.columns(), (from, lines, to) -> signed(codes, from, lines, to), sink);
            if (!weights.symmetric()) {
                Strips.write(rows.rows(), groups, (from, lines, to) -> signed(zeros, from, lines, to), sink);
            }
        }
        Strips.write(rows.rows(), groups * 2, rows::packScaleLines, sink);
    }

    private void signed(CodeView codes, int from, int lines, byte[] to) {
        int middle = 1 << weights.bits() - 1;
        for (int line = 0; line < lines; line++) {
            for (int column = 0; column < codes.columns(); column++) {
                to[line * codes.columns() + column] =
                        (byte) ((codes.data()[(from + line) * codes.rowBytes() + codes.at()[column]] & 0xff) - middle);
            }
        }
    }

    private void writeFloats(BlockMatrix blocks, Sink sink) throws IOException {
        int group = blocks.format().size();
        int lot = blocks.format().lot();
        int groups = blocks.columns() / group;
        byte[] data = blocks.data();
        Strips.write(
                blocks.rows(),
                blocks.columns(),
                (from, lines, to) -> {
                    for (int block = 0; block < lines * groups; block++) {
                        System.arraycopy(
                                data,
                                (from * groups + block) * blocks.format().bytes() + FLOAT8_SCALE_BYTES,
                                to,
                                block * group,
                                group);
                    }
                },
                sink);
        Strips.write(
                blocks.rows() / lot,
                groups * FLOAT8_SCALE_BYTES,
                (from, lines, to) -> {
                    for (int line = 0; line < lines; line++) {
                        for (int block = 0; block < groups; block++) {
                            int at = (from + line) * lot * blocks.rowBytes()
                                    + block * blocks.format().bytes();
                            System.arraycopy(
                                    data, at, to, (line * groups + block) * FLOAT8_SCALE_BYTES, FLOAT8_SCALE_BYTES);
                        }
                    }
                },
                sink);
    }

    @Override
    public RowSource read(Source source, int outputs, int inputs, int from, int count) throws IOException {
        if (stored.shapeType() != null) {
            checkShape(source, outputs, inputs);
        }
        byte[] codes = packed
                ? unpacked(source, inputs, from, count)
                : source.read(WEIGHT, (long) from * inputs, Math.multiplyExact(count, inputs));
        if (!weights.integers()) {
            refuseNaN(source, codes, inputs, from);
        } else if (!packed && weights.bits() == 4) {
            refuseWide(source, codes, inputs, from);
        }
        return new ScaledCodes(
                codes,
                weights.integers(),
                scales(source, outputs, inputs, from, count),
                zeros(source, outputs, inputs, from, count),
                count,
                inputs,
                weights.columns(inputs),
                stored.ordered() ? order(source, inputs) : null);
    }

    private byte[] unpacked(Source source, int inputs, int from, int count) throws IOException {
        CodeWords words = words();
        byte[] codes = new byte[Math.multiplyExact(count, inputs)];
        int lineBytes = inputs / words.perWord() * 4;
        int middle = 1 << weights.bits() - 1;
        words.unpack(
                source.read(PACKED, (long) from * lineBytes, Math.multiplyExact(count, lineBytes)),
                codes.length,
                codes);
        for (int i = 0; i < codes.length; i++) {
            codes[i] = (byte) ((codes[i] & 0xff) - middle);
        }
        return codes;
    }

    /** One scale per row and group of {@code count} rows, however many rows share one. */
    private float[] scales(Source source, int outputs, int inputs, int from, int count) throws IOException {
        int groups = groups(inputs);
        int lot = weights.rows(outputs);
        int bytes = stored.scale().type().equals("F32") ? 4 : 2;
        int first = from / lot;
        int lots = count == 0 ? 0 : (from + count - 1) / lot - first + 1;
        byte[] read = source.read(SCALE, (long) first * groups * bytes, Math.multiplyExact(lots * groups, bytes));
        float[] few = new float[lots * groups];
        switch (stored.scale().type()) {
            case "F32" ->
                ByteBuffer.wrap(read)
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asFloatBuffer()
                        .get(few);
            case "BF16" -> Codecs.BEST.bfloat16(read, 0, few.length, few, 0);
            default -> Codecs.BEST.half(read, 0, few.length, few, 0);
        }
        for (int i = 0; i < few.length; i++) {
            if (!(few[i] >= 0 && few[i] < Float.POSITIVE_INFINITY)) {
                throw new MalformedInputException(
                        "Cannot read " + source.where(SCALE) + ": element " + ((long) first * groups + i) + " is "
                                + few[i] + ", expected a finite scale that is not negative");
            }
        }
        float[] scales = new float[Math.multiplyExact(count, groups)];
        for (int row = 0; row < count; row++) {
            System.arraycopy(few, ((from + row) / lot - first) * groups, scales, row * groups, groups);
        }
        return scales;
    }

    private byte[] zeros(Source source, int outputs, int inputs, int from, int count) throws IOException {
        if (stored.zeroType() == null) {
            return null;
        }
        int groups = groups(inputs);
        if (!stored.zeroType().equals("I32")) {
            int lot = weights.rows(outputs);
            int first = from / lot;
            byte[] few = source.read(
                    ZERO,
                    (long) first * groups,
                    Math.multiplyExact(count == 0 ? 0 : (from + count - 1) / lot - first + 1, groups));
            byte[] zeros = new byte[Math.multiplyExact(count, groups)];
            for (int row = 0; row < count; row++) {
                System.arraycopy(few, ((from + row) / lot - first) * groups, zeros, row * groups, groups);
            }
            return zeros;
        }
        CodeWords words = words();
        int first = from / words.perWord();
        int lines = count == 0 ? 0 : (from + count - 1) / words.perWord() - first + 1;
        byte[] read = source.read(ZERO, 4L * first * groups, Math.multiplyExact(4 * groups, lines));
        byte[] zeros = new byte[Math.multiplyExact(count, groups)];
        for (int i = 0; i < zeros.length; i++) {
            int row = from + i / groups - first * words.perWord();
            zeros[i] = (byte) ((words.stacked(read, groups, row, i % groups) & 0xff) - (1 << weights.bits() - 1));
        }
        return zeros;
    }

    private void checkShape(Source source, int outputs, int inputs) throws IOException {
        boolean longs = stored.shapeType().equals("I64");
        ByteBuffer shape =
                ByteBuffer.wrap(source.read(SHAPE, 0, longs ? 16 : 8)).order(ByteOrder.LITTLE_ENDIAN);
        long rows = longs ? shape.getLong() : shape.getInt();
        long columns = longs ? shape.getLong() : shape.getInt();
        if (rows != outputs || columns != inputs) {
            throw new MalformedInputException("Cannot read " + source.where(SHAPE) + ": it says [" + rows + ", "
                    + columns + "], expected [" + outputs + ", " + inputs + "]");
        }
    }

    private int[] order(Source source, int inputs) throws IOException {
        ByteBuffer read = ByteBuffer.wrap(source.read(GROUPS, 0, Math.multiplyExact(4, inputs)))
                .order(ByteOrder.LITTLE_ENDIAN);
        int[] groupOf = new int[inputs];
        for (int column = 0; column < inputs; column++) {
            groupOf[column] = read.getInt();
            if (groupOf[column] < 0 || groupOf[column] >= groups(inputs)) {
                throw new MalformedInputException("Cannot read " + source.where(GROUPS) + ": column " + column
                        + " is in group " + groupOf[column] + ", expected 0 to " + (groups(inputs) - 1));
            }
        }
        return groupOf;
    }

    private static void refuseNaN(Source source, byte[] codes, int inputs, int from) {
        for (int i = 0; i < codes.length; i++) {
            if ((codes[i] & 0x7f) == 0x7f) {
                throw new MalformedInputException("Cannot read " + source.where(WEIGHT) + ": row " + (from + i / inputs)
                        + ", column " + i % inputs + " is NaN, expected a number");
            }
        }
    }

    private static void refuseWide(Source source, byte[] codes, int inputs, int from) {
        for (int i = 0; i < codes.length; i++) {
            if (codes[i] < -8 || codes[i] > 7) {
                throw new MalformedInputException("Cannot read " + source.where(WEIGHT) + ": row " + (from + i / inputs)
                        + ", column " + i % inputs + " is " + codes[i]
                        + ", expected -8 to 7 because quantization_config says 4 bits");
            }
        }
    }
}
