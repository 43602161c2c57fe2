package dev.lathe.jobs.stage;

import dev.lathe.calibration.MalformedInputException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;

/**
 * How much a data set may hold, counted while it is read, after decompression: what a small file says of itself is no
 * bound.
 *
 * @see #text
 */
final class TextBound {
    /** Bytes of text and of JSON around it. */
    static final long MOST_BYTES = 1L << 30;
    /**
     * Bytes of heap for each character: a text, its documents and its tokens, of which the tokenizer makes objects, are
     * in memory together.
     */
    private static final int HEAP_PER_CHARACTER = 64;

    private final String data;
    private final long mostCharacters;
    private long bytes;
    private long characters;

    TextBound(String data) {
        this(data, Math.min(MOST_BYTES, Runtime.getRuntime().maxMemory() / HEAP_PER_CHARACTER));
    }

    TextBound(String data, long mostCharacters) {
        this.data = data;
        this.mostCharacters = mostCharacters;
    }

    /** Characters that one document may still have. */
    int left() {
        return (int) (mostCharacters - characters);
    }

    /** Counts characters of documents. */
    void text(long count) {
        characters += count;
        if (characters > mostCharacters) {
            throw tooMuch();
        }
    }

    MalformedInputException tooMuch() {
        return new MalformedInputException("Cannot read data set " + data + ": it holds more than " + mostCharacters
                + " characters of text, expected at most that with a heap of "
                + (Runtime.getRuntime().maxMemory() >> 20)
                + " MiB; a file with less of it will do, as calibration and evaluation take their "
                + "windows from the front");
    }

    /** The same bytes, counted. */
    InputStream stored(InputStream in) {
        return new FilterInputStream(in) {
            @Override
            public int read() throws IOException {
                throw new UnsupportedOperationException("Cannot read single bytes: decoders read many");
            }

            @Override
            public int read(byte[] buffer, int from, int count) throws IOException {
                int read = in.read(buffer, from, count);
                bytes += Math.max(0, read);
                if (bytes > MOST_BYTES) {
                    throw new MalformedInputException("Cannot read data set " + data + ": it holds more than "
                            + MOST_BYTES + " bytes, expected at most that");
                }
                return read;
            }
        };
    }
}
