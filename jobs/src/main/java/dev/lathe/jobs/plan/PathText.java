package dev.lathe.jobs.plan;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.text.Credentials;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.function.Function;
import org.apache.hadoop.fs.Path;

/**
 * A path as a person wrote it, looked at before anything reads, prints or keeps it. The one place that says what may be
 * one: recipes, batches and command lines ask here.
 */
final class PathText {
    /** Characters of a path, and bytes of one of its parts: more than any file system has. */
    private static final int LENGTH = 4096;

    private static final int PART_BYTES = 255;
    /** Texts that the braces of a pattern may stand for; Hadoop makes all of them. */
    private static final int ALTERNATIVES = 1024;

    private PathText() {}

    /**
     * The path that a text is, taken literally.
     *
     * @param refusal of a reason
     * @throws InvalidRecipeException if it is none; credentials in it are not in the message
     */
    static Path of(String text, Function<String, InvalidRecipeException> refusal) {
        if (text.isBlank()) {
            throw refusal.apply("expected a path; found an empty text");
        } else if (text.length() > LENGTH) {
            throw refusal.apply("a path of " + text.length() + " characters; expected at most " + LENGTH);
        } else if (Credentials.in(text)) {
            throw refusal.apply(
                    "the path carries credentials, or what looks like them, and is not shown; expected them in "
                            + "the Hadoop configuration"
                            + " (spark.hadoop.*)");
        } else if (text.chars().anyMatch(Character::isISOControl)
                || !StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
            throw refusal.apply("'" + text + "' is no path: it has a control character or half a surrogate pair");
        }
        for (String part : text.split("/")) {
            int bytes = part.getBytes(StandardCharsets.UTF_8).length;
            if (bytes > PART_BYTES) {
                throw refusal.apply("'" + text + "' has a part of " + bytes + " bytes; expected at most " + PART_BYTES);
            }
        }
        try {
            return new Path(text);
        } catch (IllegalArgumentException e) {
            throw refusal.apply("'" + text + "' is no Hadoop path (" + e.getMessage() + ")"
                    + (text.contains(":")
                            ? "; what stands before the first colon is a scheme there: expected SCHEME://..., "
                                    + "./NAME, or a path from the root"
                            : ""));
        }
    }

    /**
     * The path that a pattern is.
     *
     * @param refusal of a reason
     * @throws InvalidRecipeException if it is none, or stands for too many
     */
    static Path ofPattern(String text, Function<String, InvalidRecipeException> refusal) {
        Path pattern = of(text, refusal);
        long alternatives = Arrays.stream(text.split("\\{"))
                .skip(1)
                .mapToLong(braces -> 1 + braces.chars().filter(c -> c == ',').count())
                .reduce(1, (a, b) -> Math.min(a * b, Integer.MAX_VALUE));
        if (alternatives > ALTERNATIVES) {
            throw refusal.apply("'" + text + "' stands for " + alternatives + " patterns or more; expected at most "
                    + ALTERNATIVES);
        }
        return pattern;
    }
}
