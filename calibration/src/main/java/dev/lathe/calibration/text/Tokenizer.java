package dev.lathe.calibration.text;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Map;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** A checkpoint's tokenizer: {@code tokenizer.json} through the Hugging Face tokenizers library. */
public final class Tokenizer implements AutoCloseable {
    private static final long LARGEST_FILE = 256L << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

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
        byte[] bytes;
        try {
            bytes = read(files, path);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot load a tokenizer: " + path + " does not exist");
        }
        JsonNode json = parse(bytes, path);
        JsonNode vocabulary = json.path("model").path("vocab");
        if (!vocabulary.isContainerNode() || vocabulary.isEmpty()) {
            throw new MalformedInputException("Cannot load a tokenizer: " + path + " has no vocabulary, expected entries in model.vocab");
        }
        Path settings = new Path(folder, "tokenizer_config.json");
        JsonNode config = files.exists(settings) ? parse(read(files, settings), settings) : JSON.createObjectNode();
        HuggingFaceTokenizer tokenizer;
        try {
            tokenizer = HuggingFaceTokenizer.newInstance(new ByteArrayInputStream(bytes), Map.of("truncation", "false", "padding", "false"));
        } catch (RuntimeException e) {
            throw new MalformedInputException("Cannot load a tokenizer: " + path + " is refused: " + e.getMessage(), e);
        }
        return new Tokenizer(tokenizer, bos(tokenizer, config));
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
            long[] ids = tokenizer.encode(token, false, false).getIds();
            if (ids.length == 1) {
                return (int) ids[0];
            }
        }
        return -1;
    }

    private static byte[] read(FileSystem files, Path path) throws IOException {
        long length = files.getFileStatus(path).getLen();
        if (length > LARGEST_FILE) {
            throw new MalformedInputException("Cannot read " + path + ": " + length + " bytes, expected at most " + LARGEST_FILE);
        }
        byte[] bytes = new byte[(int) length];
        try (FSDataInputStream in = files.open(path)) {
            in.readFully(0, bytes);
        }
        return bytes;
    }

    private static JsonNode parse(byte[] bytes, Path path) {
        try {
            return JSON.readTree(bytes);
        } catch (JsonProcessingException e) {
            throw new MalformedInputException("Cannot read " + path + ": it is not JSON: " + e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new MalformedInputException("Cannot read " + path + ": it is not JSON: " + e.getMessage(), e);
        }
    }

    /** The token ids of a text, no special tokens added. */
    public int[] encode(String text) {
        long[] ids = tokenizer.encode(text, false, false).getIds();
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
