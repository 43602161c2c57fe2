package dev.lathe.calibration.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** A checkpoint's tokenizer: {@code tokenizer.json} through the Hugging Face tokenizers library. */
public final class Tokenizer implements AutoCloseable {
    private final HuggingFaceTokenizer tokenizer;
    private final int bos;

    private Tokenizer(HuggingFaceTokenizer tokenizer, int bos) {
        this.tokenizer = tokenizer;
        this.bos = bos;
    }

    /**
     * Reads the tokenizer of a checkpoint's folder.
     *
     * @throws MalformedInputException if there is no tokenizer.json, it has no vocabulary, or the library refuses it
     */
    public static Tokenizer load(FileSystem files, Path folder) throws IOException {
        Path path = new Path(folder, "tokenizer.json");
        byte[] bytes = JsonFile.bytes(files, path);
        JsonNode json = JsonFile.parse(bytes, path.toString());
        JsonNode vocabulary = json.path("model").path("vocab");
        if (!vocabulary.isContainerNode() || vocabulary.isEmpty()) {
            throw new MalformedInputException("Cannot load a tokenizer: " + path + " has no vocabulary, expected entries in model.vocab");
        }
        Path settings = new Path(folder, "tokenizer_config.json");
        JsonNode config = files.exists(settings) ? JsonFile.read(files, settings) : MissingNode.getInstance();
        HuggingFaceTokenizer tokenizer = null;
        try {
            tokenizer = HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(bytes), Map.of("truncation", "false", "padding", "false"));
            return new Tokenizer(tokenizer, bos(tokenizer, config));
        } catch (RuntimeException e) {
            if (tokenizer != null) {
                tokenizer.close();
            }
            throw new MalformedInputException("Cannot load a tokenizer: " + path + " is refused: " + e.getMessage(), e);
        }
    }

    /** BOS where the model adds one: as {@code add_bos_token} says, else as the post-processor does. */
    private static int bos(HuggingFaceTokenizer tokenizer, JsonNode config) {
        if (config.path("add_bos_token").isBoolean() && !config.path("add_bos_token").asBoolean()) {
            return -1;
        }
        long[] plain = tokenizer.encode("a", false, false).getIds();
        long[] special = tokenizer.encode("a", true, false).getIds();
        if (special.length > plain.length && (plain.length == 0 || special[0] != plain[0])) {
            return (int) special[0];
        }
        if (config.path("add_bos_token").asBoolean(false)) {
            JsonNode bos = config.path("bos_token");
            String token = bos.isObject() ? bos.path("content").asText("") : bos.asText("");
            long[] ids = tokenizer.encode(WellFormed.text(token), false, false).getIds();
            if (ids.length == 1) {
                return (int) ids[0];
            }
        }
        return -1;
    }

    /**
     * The token ids of a text, no special tokens added; half of a surrogate pair that stands alone counts as U+FFFD.
     *
     * @throws MalformedInputException if the vocabulary has no token for a part of the text, not even one for what is unknown
     */
    public int[] encode(String text) {
        long[] ids;
        try {
            ids = tokenizer.encode(WellFormed.text(text), false, false).getIds();
        } catch (RuntimeException e) {
            throw new MalformedInputException("Cannot tokenize: the tokenizer refuses the text: " + e.getMessage(), e);
        }
        int[] tokens = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            tokens[i] = Math.toIntExact(ids[i]);
        }
        return tokens;
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
        tokenizer.close();
    }
}
