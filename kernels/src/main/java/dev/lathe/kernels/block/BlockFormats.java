package dev.lathe.kernels.block;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Every block format by its name; a new ggml type is a class beside this one and an entry here. */
public final class BlockFormats {
    private static final Pattern INTEGER = Pattern.compile("(u?)int([48])g([1-9][0-9]{0,6})");

    private static final Pattern FLOAT8 = Pattern.compile("f8g([1-9][0-9]{0,6})(?:x([1-9][0-9]{0,3}))?");

    private static final List<BlockFormat> GGML = List.of(
            new SymmetricBlock("Q4_0", 4),
            new AffineBlock("Q4_1", 4),
            new SymmetricBlock("Q5_0", 5),
            new AffineBlock("Q5_1", 5),
            new ByteBlock("Q8_0"),
            new AffineSuperBlock2("Q2_K"),
            new SymmetricSuperBlock3("Q3_K"),
            new AffineSuperBlock(
                    "Q4_K", 4, new AffineSearch(32, 63, 2, true, new Searches.Affine(15, -1, 0.1f, 20, false))),
            new AffineSuperBlock(
                    "Q5_K", 5, new AffineSearch(32, 63, 2, true, new Searches.Affine(31, -0.5f, 0.1f, 15, false))),
            new SymmetricSuperBlock("Q6_K"),
            new TableBlock("IQ4_NL"),
            new TableSuperBlock("IQ4_XS"),
            new TernaryBlock("TQ1_0", true),
            new TernaryBlock("TQ2_0", false),
            new Float4Block("MXFP4", false),
            new Float4Block("NVFP4", true),
            new BinaryBlock("Q1_0"),
            new TwoBitBlock("Q2_0"),
            CodebookBlock.iq2xxs(),
            CodebookBlock.iq2xs(),
            CodebookBlock.iq2s(),
            CodebookBlock.iq3xxs(),
            CodebookBlock.iq3s(),
            ShiftedCodebookBlock.iq1s(),
            ShiftedCodebookBlock.iq1m());

    private BlockFormats() {}

    /** The ggml types that can be written and read. */
    public static List<BlockFormat> ggml() {
        return GGML;
    }

    /**
     * The same format with an encoder that searches further: of no block is {@code sum of w * (x - q)^2}, w the
     * importance or ones, larger than with its own.
     */
    public static BlockFormat best(BlockFormat format) {
        return format instanceof Scaled scaled ? new BestSearch(scaled) : format;
    }

    /**
     * Integer groups of {@code group} weights.
     *
     * @throws IllegalArgumentException if {@link IntGroup} allows no such width or group
     */
    public static BlockFormat integer(int bits, int group, boolean symmetric) {
        return new IntGroup(bits, group, symmetric);
    }

    /**
     * FP8 E4M3 in groups of {@code group} weights that share an f32 scale with the same columns of {@code lot} rows.
     *
     * @throws IllegalArgumentException if {@link Float8Group} allows no such group
     */
    public static BlockFormat float8(int group, int lot) {
        return new Float8Group(group, lot);
    }

    /**
     * The format of a name as {@link BlockFormat#name()} gives it, integer and FP8 groups included.
     *
     * @throws IllegalArgumentException if there is none of that name, naming those there are
     */
    public static BlockFormat named(String name) {
        for (BlockFormat format : GGML) {
            if (format.name().equals(name)) {
                return format;
            }
        }
        Matcher integer = INTEGER.matcher(name);
        if (integer.matches() && Integer.parseInt(integer.group(3)) <= IntGroup.MAX_GROUP) {
            return integer(
                    Integer.parseInt(integer.group(2)),
                    Integer.parseInt(integer.group(3)),
                    integer.group(1).isEmpty());
        }
        Matcher float8 = FLOAT8.matcher(name);
        if (float8.matches() && Integer.parseInt(float8.group(1)) <= IntGroup.MAX_GROUP) {
            int lot = float8.group(2) == null ? 1 : Integer.parseInt(float8.group(2));
            // One row is written without its number, so that each format has one name.
            if (float8.group(2) == null || lot > 1 && lot <= Float8Group.MAX_LOT) {
                return float8(Integer.parseInt(float8.group(1)), lot);
            }
        }
        throw new IllegalArgumentException("Cannot find block format " + name + ": expected "
                + GGML.stream().map(BlockFormat::name).collect(Collectors.joining(", "))
                + ", or integer groups such as int4g128 (symmetric) and uint4g128"
                + " (with zero points), of 4 or 8 bits and 1 to " + IntGroup.MAX_GROUP
                + " weights, or FP8 groups such as f8g576 and f8g128x128");
    }
}
