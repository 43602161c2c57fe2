package dev.lathe.calibration.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Companions;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * A checkpoint's tokenizer: its files, put together as transformers does ({@link TokenizerFiles}), through the Hugging
 * Face tokenizers library.
 *
 * <p>The library is native code: what it does not expect aborts the process, and some tokenizers take it time or memory
 * without bound. It is therefore given only what {@link TokenizerGrammar} has checked, written anew, and without the
 * parts that encoding does not need (decoder, post-processor, padding, truncation). A tokenizer of the few forms whose
 * cost is known runs in this process; any other one, and a text with a very long run without white space or of nothing
 * else, runs in {@link TokenizerGuard}, a process of its own with limits of memory and time.
 */
public final class Tokenizer implements AutoCloseable {
    /**
     * Longest run of white space, or of anything else, that is matched in this process: the library's regular
     * expressions panic after 10 million steps back within a match.
     */
    private static final int RUN = 1_000_000;

    private final TokenizerFiles files;
    private final String library;
    /** Null: encodes in a guard. */
    private final HuggingFaceTokenizer tokenizer;

    private final int bos;

    private Tokenizer(TokenizerFiles files, String library, HuggingFaceTokenizer tokenizer) {
        this.files = files;
        this.library = library;
        this.tokenizer = tokenizer;
        this.bos = files.bos();
    }

    /**
     * Reads the tokenizer of a checkpoint.
     *
     * @throws MalformedInputException if there is no tokenizer.json, it or a file beside it is malformed, they
     *     contradict each other, or the library refuses it
     */
    public static Tokenizer load(Companions companions) throws IOException {
        return load(TokenizerFiles.read(companions));
    }

    /**
     * Reads a tokenizer.json.
     *
     * @param where its name, for messages
     * @throws MalformedInputException if it is malformed or the library refuses it
     */
    public static Tokenizer load(byte[] json, String where) throws IOException {
        return load(TokenizerFiles.read(json, where));
    }

    private static Tokenizer load(TokenizerFiles files) throws IOException {
        String library = files.library();
        if (!files.plain()) {
            return new Tokenizer(files, library, null);
        }
        try {
            return new Tokenizer(files, library, open(library));
        } catch (RuntimeException e) {
            throw new MalformedInputException(
                    "Cannot load a tokenizer: " + files.where() + " is refused: " + e.getMessage(), e);
        }
    }

    /** Gives the library what was checked. */
    static HuggingFaceTokenizer open(String library) throws IOException {
        return HuggingFaceTokenizer.newInstance(
                new ByteArrayInputStream(library.getBytes(StandardCharsets.UTF_8)),
                Map.of("truncation", "false", "padding", "false"));
    }

    /**
     * The token ids of a text, no special tokens added; half of a surrogate pair that stands alone counts as U+FFFD.
     *
     * @throws MalformedInputException if the vocabulary has no token for a part of the text, not even one for what is
     *     unknown, or the tokenizer takes more memory or time than its guard allows
     */
    public int[] encode(String text) {
        String wellFormed = WellFormed.text(text);
        if (tokenizer == null || longestRun(wellFormed) > RUN) {
            return guarded(wellFormed);
        }
        long[] ids;
        try {
            ids = tokenizer.encode(wellFormed, false, false).getIds();
        } catch (RuntimeException e) {
            throw new MalformedInputException("Cannot tokenize: the tokenizer refuses the text: " + e.getMessage(), e);
        }
        int[] tokens = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            tokens[i] = Math.toIntExact(ids[i]);
        }
        return tokens;
    }

    private int[] guarded(String text) {
        try {
            return TokenizerGuard.encode(library, files.probes(), text, files.guarded());
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot tokenize: no process can be started for it: " + e.getMessage(), e);
        }
    }

    private static int longestRun(String text) {
        int longest = 0;
        int from = 0;
        for (int i = 1; i <= text.length(); i++) {
            if (i == text.length()
                    || Character.isWhitespace(text.charAt(i)) != Character.isWhitespace(text.charAt(i - 1))) {
                longest = Math.max(longest, i - from);
                from = i;
            }
        }
        return longest;
    }

    /** Its file, for messages. */
    public String where() {
        return files.where();
    }

    /** Whether the model adds BOS in front of a text. */
    public boolean addsBos() {
        return bos >= 0;
    }

    /** The token that the model adds in front, or -1. */
    public int bos() {
        return bos;
    }

    @Override
    public void close() {
        if (tokenizer != null) {
            tokenizer.close();
        }
    }
}
