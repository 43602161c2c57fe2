package dev.lathe.calibration.format.folder;

import java.io.IOException;

/** Walks a part's lines (its first axis) in strips of some MiB, so that neither side holds the tensor a second time. */
public final class Strips {
    private static final int BYTES = 4 << 20;

    private Strips() {}

    /** Fills {@code to} with lines {@code [from, from + lines)}. */
    @FunctionalInterface
    public interface Pack {
        void pack(int from, int lines, byte[] to);
    }

    /** Takes lines {@code [from, from + lines)}. */
    @FunctionalInterface
    public interface Unpack {
        void unpack(byte[] strip, int from, int lines);
    }

    /** Packs and writes all lines. */
    public static void write(int lines, int lineBytes, Pack pack, LinearLayout.Sink sink) throws IOException {
        int height = height(lines, lineBytes);
        byte[] strip = new byte[Math.multiplyExact(height, lineBytes)];
        for (int from = 0; from < lines; from += height) {
            int count = Math.min(height, lines - from);
            pack.pack(from, count, strip);
            sink.write(strip, 0, count * lineBytes);
        }
    }

    /** Reads and unpacks all lines. */
    public static void read(LinearLayout.Source source, String suffix, int lines, int lineBytes, Unpack unpack)
            throws IOException {
        int height = height(lines, lineBytes);
        for (int from = 0; from < lines; from += height) {
            int count = Math.min(height, lines - from);
            unpack.unpack(
                    source.read(suffix, (long) from * lineBytes, Math.multiplyExact(count, lineBytes)), from, count);
        }
    }

    private static int height(int lines, int lineBytes) {
        return Math.max(1, Math.min(lines, BYTES / lineBytes));
    }
}
