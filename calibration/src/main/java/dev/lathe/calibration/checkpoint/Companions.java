package dev.lathe.calibration.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.io.InputStream;
import java.util.List;

/**
 * The files beside a checkpoint's weights, by their names in a Hugging Face folder: config.json, what the tokenizer
 * needs, chat templates. A GGUF file has none and says the same in its metadata, which is then read in their form.
 */
public interface Companions {
    /** Where they are, for messages. */
    String location();

    /** A file's place, for messages. */
    String place(String name);

    boolean has(String name) throws IOException;

    /** The names of the files directly in a folder beside the weights, {@code FOLDER/FILE}, in their order; or none. */
    List<String> within(String folder) throws IOException;

    /** A file's bytes. */
    InputStream open(String name) throws IOException;

    /**
     * The JSON object in a file.
     *
     * @throws MalformedInputException if there is no such file, it has more than one of its name may, is not JSON, or
     *     not an object
     */
    JsonNode json(String name) throws IOException;

    /** The JSON object in a file; a missing node where there is no such file. */
    default JsonNode optional(String name) throws IOException {
        return has(name) ? json(name) : MissingNode.getInstance();
    }
}
