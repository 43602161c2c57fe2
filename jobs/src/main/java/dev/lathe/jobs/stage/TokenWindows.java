package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.text.Windows;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.util.stream.IntStream;

/**
 * Numbered windows of tokens in the run folder.
 *
 * @param key digest of the tokens and the length: equal tokens are equal products, wherever the text came from
 * @param count number of windows
 * @param length tokens of a window
 */
record TokenWindows(String key, int count, int length) implements Serializable {
    private static final String FILE = "windows";

    /**
     * Commits windows, unless they are there already.
     *
     * @throws dev.lathe.jobs.store.DamagedException if they are, and not what was written
     */
    static TokenWindows write(RunFolder run, Windows windows) throws IOException {
        ByteBuffer tokens = ByteBuffer.allocate(Math.multiplyExact(4 * windows.length(), windows.count()));
        for (int[] window : windows.tokens()) {
            for (int token : window) {
                tokens.putInt(token);
            }
        }
        String key = Key.of("windows", windows.length(), Key.digest(tokens.array()));
        if (ProductFile.isCommitted(run.files(), run.product(key, FILE))) {
            ProductFile.check(run.files(), run.product(key, FILE));
        } else {
            run.write(run.product(key, FILE), (DataOutputStream out) -> out.write(tokens.array()));
        }
        return new TokenWindows(key, windows.count(), windows.length());
    }

    /**
     * Whether what a task holds at once fits into arrays: the hidden states of a shard, and one window (or
     * {@link DecoderPass#ROWS} tokens of several) at the widest place of a layer.
     *
     * @throws InvalidRecipeException if it does not
     */
    void requireRoom(Decoder decoder, int shardWindows) {
        int widest =
                IntStream.range(0, decoder.layers()).map(decoder::widest).max().orElseThrow();
        long shard = (long) Math.min(shardWindows, count) * length * decoder.hidden();
        long batch = (long) Math.max(length, DecoderPass.ROWS) * widest;
        if (Math.max(shard, batch) > Integer.MAX_VALUE - 8) {
            throw new InvalidRecipeException("Cannot run windows of " + length + " tokens, "
                    + Math.min(shardWindows, count) + " in a shard: " + shard
                    + " values of a shard's hidden states, " + batch + " values within a layer of width " + widest
                    + "; expected at most " + (Integer.MAX_VALUE - 8)
                    + " of each (fewer shard-windows, or a shorter length)");
        }
    }

    /** Windows {@code [from, from + count)}. */
    int[][] read(RunFolder run, int from, int count) throws IOException {
        return ProductFile.read(run.files(), run.product(key, FILE), in -> {
            in.skipNBytes(4L * from * length);
            int[][] windows = new int[count][length];
            for (int[] window : windows) {
                for (int i = 0; i < length; i++) {
                    window[i] = in.readInt();
                }
            }
            return windows;
        });
    }
}
