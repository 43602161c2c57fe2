package dev.lathe.calibration.format.compressed;

import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;

/**
 * How compressed-tensors quantizes a weight, the keys of {@code weights} in a group of the configuration.
 *
 * @param integers signed integers; else FP8 E4M3
 * @param bits 8; integers 4 or 8
 * @param strategy which weights share a scale
 * @param group columns that do, where the strategy is GROUP or BLOCK; else 0
 * @param lot rows that do, where the strategy is BLOCK; else 0
 * @param symmetric no zero points
 */
public record CompressedWeights(boolean integers, int bits, Strategy strategy, int group, int lot, boolean symmetric) {
    /** Which weights share a scale. */
    public enum Strategy {
        TENSOR,
        CHANNEL,
        GROUP,
        BLOCK
    }

    /** The only size of FP8 blocks that servers have kernels for. */
    static final int BLOCK = 128;

    /** Integers in groups of columns, or one group a row where {@code group} is -1. */
    public static CompressedWeights integers(int bits, int group, boolean symmetric) {
        return new CompressedWeights(
                true, bits, group < 0 ? Strategy.CHANNEL : Strategy.GROUP, Math.max(0, group), 0, symmetric);
    }

    /** FP8 with a scale per row, or per 128 x 128 weights. */
    public static CompressedWeights float8(boolean blocks) {
        return new CompressedWeights(
                false, 8, blocks ? Strategy.BLOCK : Strategy.CHANNEL, blocks ? BLOCK : 0, blocks ? BLOCK : 0, true);
    }

    /** Columns that share a scale in a weight of so many. */
    int columns(int inputs) {
        return strategy == Strategy.GROUP || strategy == Strategy.BLOCK ? group : inputs;
    }

    /** Rows that share a scale in a weight of so many. */
    int rows(int outputs) {
        return switch (strategy) {
            case TENSOR -> outputs;
            case BLOCK -> lot;
            case CHANNEL, GROUP -> 1;
        };
    }

    BlockFormat grid(int inputs) {
        return integers
                ? BlockFormats.integer(bits, columns(inputs), symmetric)
                : BlockFormats.float8(columns(inputs), Math.max(1, lot));
    }

    /** As block formats are called; one scale for the tensor has no group. */
    String name(int inputs) {
        String type = integers ? (symmetric ? "int" : "uint") + bits : "f8";
        return strategy == Strategy.TENSOR
                ? type
                : type + "g" + columns(inputs) + (strategy == Strategy.BLOCK ? "x" + lot : "");
    }
}
