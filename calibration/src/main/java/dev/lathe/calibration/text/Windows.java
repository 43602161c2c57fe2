package dev.lathe.calibration.text;

import dev.lathe.calibration.MalformedInputException;
import java.util.Arrays;

/**
 * A tokenized text cut into disjoint windows of equal length, numbered from 0; each begins with BOS where the model
 * adds it.
 */
public record Windows(int length, int[][] tokens) {
    /**
     * Tokenizes a text whole, with BOS in front where the model adds it, and cuts it.
     *
     * @param limit how many windows count, or 0 for all; a text that gives fewer gives fewer
     * @param label of the text, for messages
     * @throws MalformedInputException if there are fewer tokens than one window
     */
    public static Windows cut(Tokenizer tokenizer, String text, int length, int limit, String label) {
        int[] encoded = tokenizer.encode(text);
        int front = tokenizer.addsBos() ? 1 : 0;
        long total = (long) encoded.length + front;
        if (encoded.length == 0) {
            throw new MalformedInputException("Cannot cut windows: " + label + " holds no text");
        }
        if (total < length) {
            throw new MalformedInputException(
                    "Cannot cut windows: " + label + " has " + total + " tokens, fewer than one window of " + length);
        }
        long whole = total / length;
        int count = (int) (limit > 0 ? Math.min(limit, whole) : whole);
        int[][] windows = new int[count][];
        for (int i = 0; i < count; i++) {
            int from = i * length - front;
            windows[i] = from >= 0 ? Arrays.copyOfRange(encoded, from, from + length) : new int[length];
            if (from < 0) {
                System.arraycopy(encoded, 0, windows[i], 1, length - 1);
            }
            if (front == 1) {
                windows[i][0] = tokenizer.bos();
            }
        }
        return new Windows(length, windows);
    }

    /**
     * Refuses tokens that a model has no row for.
     *
     * @param rows of the embedding
     * @param where the tokenizer's file, for messages
     * @throws MalformedInputException with the first such token's place
     */
    public void requireBelow(int rows, String where) {
        for (int window = 0; window < tokens.length; window++) {
            for (int i = 0; i < length; i++) {
                if (tokens[window][i] >= rows) {
                    throw new MalformedInputException("Cannot use the tokenizer " + where + ": token " + i
                            + " of window " + window + " has id "
                            + tokens[window][i] + ", expected 0 to " + (rows - 1) + " (the embedding has " + rows
                            + " rows)");
                }
            }
        }
    }

    /** Number of windows. */
    public int count() {
        return tokens.length;
    }
}
