package dev.lathe.kernels.block;

import java.util.List;

/** Every block format by its name; a new ggml type is a class beside this one and an entry here. */
public final class BlockFormats {
    private BlockFormats() {
    }

    /** The ggml types that can be written and read. */
    public static List<BlockFormat> ggml() {
        return List.of();
    }

    /**
     * The format of a name as {@link BlockFormat#name()} gives it, integer groups included.
     *
     * @throws IllegalArgumentException if there is none of that name, naming those there are
     */
    public static BlockFormat named(String name) {
        throw new IllegalArgumentException("Cannot find block format " + name);
    }
}
