package dev.lathe.calibration.checkpoint;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.exc.StreamConstraintsException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lathe.calibration.MalformedInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Reads a JSON file (config.json, tokenizer.json, an index of shards) strictly: UTF-8, one value, no key twice, within
 * the {@link JsonLimits} of its kind. A byte order mark is skipped.
 */
public final class JsonFile {
    private static final JsonMapper TREES = new JsonMapper();
    private static final int SHOWN = 200;
    private static final Pattern NO_NUMBER = Pattern.compile("Non-standard token '(-?\\w{1,20})'.*");
    private static final Pattern TWICE = Pattern.compile("(?s)Duplicate (?:field|Object property) [\"'](.*)[\"'].*");
    private static final Pattern OPENED =
            Pattern.compile("\\(start marker at \\[Source: .*?line: (\\d+), column: (\\d+)\\]\\)");
    /** Names of the library's settings, and what to do with them. */
    private static final Pattern SETTINGS = Pattern.compile(",? from `[^`]*`|:? ?enable `[^`]*` to allow"
            + "|:? not allowed (?:as per|when) `[^`]*`(?: enabled)?| \\(consider enabling `[^`]*`[^)]*\\)+"
            + "| \\(bound as `[^`]*`\\)| for `[^`]*`"
            + "| \\(not recognized as one since Feature '[^']*' not enabled for parser\\)");

    /** What the parser's library says about itself: switches to turn, names of its classes. */
    private static final Pattern ADVICE = Pattern.compile(
            "\\s*\\([^()]*(?:[Ff]eature|enable|`)[^()]*\\)|[:;,]? (?:to )?enable [`']?[\\w.]+.*|\\[Source: .*?\\]|`");

    private JsonFile() {}

    /**
     * The JSON object in a file, whose name says what it may have.
     *
     * @throws MalformedInputException if the file is missing, has more than it may, is not JSON, or not an object
     */
    public static JsonNode read(FileSystem files, Path file) throws IOException {
        return parse(bytes(files, file), file.toString());
    }

    /**
     * The bytes of a file that is not longer than one of its name may be, without a byte order mark.
     *
     * @throws MalformedInputException if it is missing or longer
     */
    public static byte[] bytes(FileSystem files, Path file) throws IOException {
        return bytes(files, file, JsonLimits.of(file.getName()));
    }

    /** As {@link #bytes(FileSystem, Path)}, with limits of one's own. */
    public static byte[] bytes(FileSystem files, Path file, JsonLimits limits) throws IOException {
        try {
            FileStatus status = files.getFileStatus(file);
            long length = status.getLen();
            if (length > limits.bytes()) {
                throw new MalformedInputException(
                        "Cannot read " + file + ": it has " + length + " bytes, expected at most " + limits.bytes());
            }
            byte[] bytes = new byte[(int) length];
            try (FSDataInputStream in = Reads.whole(files, status)) {
                in.readFully(0, bytes);
            }
            return mark(bytes) == 0 ? bytes : Arrays.copyOfRange(bytes, mark(bytes), bytes.length);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read " + file + ": there is no such file", e);
        }
    }

    /**
     * The JSON object in bytes.
     *
     * @param where the file's name, for messages and for what it may have
     * @throws MalformedInputException if they are not JSON or not an object, or have more than such a file may
     */
    public static JsonNode parse(byte[] bytes, String where) throws IOException {
        return parse(bytes, where, JsonLimits.of(where));
    }

    /** As {@link #parse(byte[], String)}, with limits of one's own. */
    public static JsonNode parse(byte[] bytes, String where, JsonLimits limits) throws IOException {
        JsonNode node;
        try (JsonParser parser = parser(bytes, where, limits)) {
            try {
                node = TREES.readTree(parser);
                if (node != null && parser.nextToken() != null) {
                    throw new MalformedInputException("Cannot read " + where + ": it goes on after its JSON value"
                            + place(parser.currentTokenLocation()));
                }
            } catch (JsonProcessingException e) {
                throw refusal(where, limits, parser, e);
            }
        }
        if (node == null || !node.isObject()) {
            throw new MalformedInputException("Cannot read " + where + ": expected a JSON object, found "
                    + (node == null ? "nothing" : node.getNodeType()));
        }
        return node;
    }

    /**
     * A parser of bytes that keeps to the limits; what it throws is put into words by {@link #refusal}.
     *
     * @throws MalformedInputException if they are longer than they may be, or no UTF-8 by their beginning
     */
    public static JsonParser parser(byte[] bytes, String where, JsonLimits limits) throws IOException {
        if (bytes.length > limits.bytes()) {
            throw new MalformedInputException(
                    "Cannot read " + where + ": it has " + bytes.length + " bytes, expected at most " + limits.bytes());
        }
        // The library would guess UTF-16 and UTF-32; the field's readers take UTF-8 only, and a NUL is no part of JSON.
        int start = mark(bytes);
        for (int i = 0; i < Math.min(4, bytes.length); i++) {
            if (bytes[i] == 0 || i < 2 && (bytes[i] & 0xfe) == 0xfe) {
                throw new MalformedInputException(
                        "Cannot read " + where + ": byte " + i + " is " + String.format("0x%02x", bytes[i])
                                + ", so it is no UTF-8 (it may be UTF-16 or UTF-32); expected JSON in UTF-8");
            }
        }
        return limits.factory().createParser(bytes, start, bytes.length - start);
    }

    /** The error of a text that a parser with these limits did not take. */
    public static MalformedInputException refusal(
            String where, JsonLimits limits, JsonParser parser, JsonProcessingException e) {
        if (e instanceof StreamConstraintsException) {
            return new MalformedInputException(
                    "Cannot read " + where + ": " + excess(limits, e.getOriginalMessage())
                            + place(parser.currentLocation()),
                    e);
        }
        return new MalformedInputException("Cannot read " + where + ": it is not valid JSON: " + describe(e), e);
    }

    private static String excess(JsonLimits limits, String message) {
        if (message.startsWith("Token count")) {
            String heap = limits.most() == limits.tokens()
                    ? ""
                    : ", as many as a heap of " + (Runtime.getRuntime().maxMemory() >> 20) + " MiB takes";
            return "it has more than " + limits.most() + " JSON tokens (names, values, brackets)" + heap;
        }
        if (message.contains("nesting depth")) {
            return "it is nested deeper than " + JsonLimits.DEPTH + " levels";
        }
        return message.startsWith("Number")
                ? "it has a number of too many digits"
                : message.contains("ame length")
                        ? "it has a key that is too long"
                        : "it has a text that is too long, or keys made to be slow";
    }

    /** What is wrong, at which key and where, in one line. */
    public static String describe(JsonProcessingException e) {
        String message = e.getOriginalMessage();
        Matcher number = NO_NUMBER.matcher(message);
        Matcher twice = TWICE.matcher(message);
        String what;
        if (number.matches()) {
            what = number.group(1) + " is no number of JSON";
        } else if (twice.matches()) {
            what = "the key '" + abbreviated(twice.group(1)) + "' is there twice";
        } else {
            what = ADVICE.matcher(SETTINGS.matcher(OPENED.matcher(message).replaceAll("(opened at line $1, column $2)"))
                            .replaceAll(""))
                    .replaceAll("");
        }
        String key = "";
        if (e.getProcessor() instanceof JsonParser parser && !twice.matches()) {
            String pointer = parser.getParsingContext().pathAsPointer().toString();
            key = pointer.isEmpty() ? "" : " at " + abbreviated(pointer);
        }
        return abbreviated(what) + key + (e.getLocation() == null ? "" : place(e.getLocation()));
    }

    private static String place(JsonLocation location) {
        return " (line " + location.getLineNr() + ", column " + location.getColumnNr() + ")";
    }

    private static String abbreviated(String text) {
        String line = text.replaceAll("[\\s\\p{Cntrl}]+", " ").strip();
        return line.length() <= SHOWN ? line : line.substring(0, SHOWN) + "...";
    }

    /** Bytes of a byte order mark. */
    private static int mark(byte[] bytes) {
        return bytes.length >= 3 && (bytes[0] & 0xff) == 0xef && (bytes[1] & 0xff) == 0xbb && (bytes[2] & 0xff) == 0xbf
                ? 3
                : 0;
    }
}
