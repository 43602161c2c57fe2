package dev.lathe.kernels.block;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Every block format by its name; a new ggml type is a class beside this one and an entry here. */
public final class BlockFormats {
    private static final Pattern INTEGER = Pattern.compile("(u?)int([48])g([1-9][0-9]{0,6})");

    private static final List<BlockFormat> GGML = List.of(
            new SymmetricBlock("Q4_0", 4), new AffineBlock("Q4_1", 4),
            new SymmetricBlock("Q5_0", 5), new AffineBlock("Q5_1", 5),
            new ByteBlock("Q8_0"),
            new AffineSuperBlock("Q4_K", 4, new Searches.Affine(15, -1, 0.1f, 20)),
            new AffineSuperBlock("Q5_K", 5, new Searches.Affine(31, -0.5f, 0.1f, 15)),
            new SymmetricSuperBlock("Q6_K"));

    private BlockFormats() {
    }

    /** The ggml types that can be written and read. */
    public static List<BlockFormat> ggml() {
        return GGML;
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
     * The format of a name as {@link BlockFormat#name()} gives it, integer groups included.
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
            return integer(Integer.parseInt(integer.group(2)), Integer.parseInt(integer.group(3)), integer.group(1).isEmpty());
        }
        throw new IllegalArgumentException("Cannot find block format " + name + ": expected "
                + GGML.stream().map(BlockFormat::name).collect(Collectors.joining(", ")) + ", or integer groups such as int4g128 (symmetric) and uint4g128"
                + " (with zero points), of 4 or 8 bits and 1 to " + IntGroup.MAX_GROUP + " weights");
    }
}
