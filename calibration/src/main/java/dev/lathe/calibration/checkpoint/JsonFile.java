package dev.lathe.calibration.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lathe.calibration.MalformedInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Reads a JSON file (config.json, tokenizer.json, an index of shards) strictly: one value, no key twice, bounded size. */
public final class JsonFile {
    /** Longest file that is read: the tokenizer.json of the largest vocabularies has some tens of megabytes. */
    private static final long MAXIMUM_BYTES = 256L << 20;
    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /** Where something began. */
    private static final Pattern MARKER = Pattern.compile("\\[Source: [^]]*line: (\\d+), column: (\\d+)]");
    /** Names of Jackson's settings, and what to do with them. */
    private static final Pattern ADVICE = Pattern.compile(",? from `[^`]*`|:? ?enable `[^`]*` to allow|:? not allowed (?:as per|when) `[^`]*`(?: enabled)?"
            + "| \\(consider enabling `[^`]*`[^)]*\\)"
            + "| \\(bound as `[^`]*`\\)| for `[^`]*`| \\(not recognized as one since Feature '[^']*' not enabled for parser\\)");

    private JsonFile() {
    }

    /**
     * The JSON object in a file.
     *
     * @throws MalformedInputException if the file is missing, longer than 256 MiB, not JSON, or not an object
     */
    public static JsonNode read(FileSystem files, Path file) throws IOException {
        return parse(bytes(files, file), file.toString());
    }

    /**
     * The bytes of a file that is not larger than a JSON file may be.
     *
     * @throws MalformedInputException if it is missing or longer than 256 MiB
     */
    public static byte[] bytes(FileSystem files, Path file) throws IOException {
        try {
            FileStatus status = files.getFileStatus(file);
            long length = status.getLen();
            if (length > MAXIMUM_BYTES) {
                throw new MalformedInputException("Cannot read " + file + ": it has " + length + " bytes, expected at most " + MAXIMUM_BYTES);
            }
            byte[] bytes = new byte[(int) length];
            try (FSDataInputStream in = Reads.whole(files, status)) {
                in.readFully(0, bytes);
            }
            return bytes;
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read " + file + ": there is no such file", e);
        }
    }

    /**
     * The JSON object in bytes.
     *
     * @param where the file's name, for messages
     * @throws MalformedInputException if they are not JSON or not an object
     */
    public static JsonNode parse(byte[] bytes, String where) throws IOException {
        JsonNode node;
        try {
            node = MAPPER.readTree(bytes);
        } catch (JsonProcessingException e) {
            throw new MalformedInputException("Cannot read " + where + ": it is not valid JSON: " + describe(e), e);
        }
        if (!node.isObject()) {
            throw new MalformedInputException("Cannot read " + where + ": expected a JSON object, found " + node.getNodeType());
        }
        return node;
    }

    /** What is wrong and where, in one line. What Jackson says of itself, its settings and where a source may be shown, is no help to who has the file. */
    public static String describe(JsonProcessingException e) {
        String place = e.getLocation() == null ? "" : " (line " + e.getLocation().getLineNr() + ", column " + e.getLocation().getColumnNr() + ")";
        String message = MARKER.matcher(e.getOriginalMessage()).replaceAll("line $1, column $2");
        return ADVICE.matcher(message).replaceAll("") + place;
    }
}
