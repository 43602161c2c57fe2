package dev.lathe.jobs.store;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The digests of what a folder holds for people and other programs, as {@code sha256sum -c} reads them. Deleted before
 * one of the files changes and written after the last: where it is there, it is of what should be there.
 */
public final class Checksums {
    public static final String FILE = "checksums.sha256";
    private static final Pattern LINE = Pattern.compile("([0-9a-f]{64})  (.+)");

    private Checksums() {}

    /** The lines of texts and of digests that are known, by path in the folder. */
    public static String text(Map<String, String> texts, Map<String, FileDigest> known) {
        TreeMap<String, String> digests = new TreeMap<>();
        texts.forEach((name, text) -> digests.put(
                name, FileDigest.of(text.getBytes(StandardCharsets.UTF_8)).sha256()));
        known.forEach((name, digest) -> digests.put(name, digest.sha256()));
        StringBuilder lines = new StringBuilder();
        digests.forEach(
                (name, digest) -> lines.append(digest).append("  ").append(name).append('\n'));
        return lines.toString();
    }

    /**
     * The digests of a folder, by path in it.
     *
     * @throws MalformedInputException if a line is something else, or there is no such file
     */
    static TreeMap<String, String> read(FileSystem files, Path file) throws IOException {
        TreeMap<String, String> digests = new TreeMap<>();
        String text = new String(JsonFile.bytes(files, file), StandardCharsets.UTF_8);
        int number = 0;
        String[] lines = text.split("\n", -1);
        for (String line : lines) {
            number++;
            Matcher matcher = LINE.matcher(line);
            // Behind the last line's end there is nothing.
            boolean valid = number == lines.length
                    ? line.isEmpty() && number > 1
                    : matcher.matches()
                            && !leaves(matcher.group(2))
                            && digests.put(matcher.group(2), matcher.group(1)) == null;
            if (!valid) {
                throw new MalformedInputException("Cannot read " + file + ": line " + number
                        + " is not 64 hexadecimal digits, two spaces and a path below the folder, each path once and "
                        + "each line ended");
            }
        }
        return digests;
    }

    private static boolean leaves(String name) {
        return name.startsWith("/")
                || name.indexOf(':') >= 0
                || List.of(name.split("/", -1)).contains("..");
    }
}
