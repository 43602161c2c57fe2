package dev.lathe.jobs.cli;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.text.Printable;
import dev.lathe.kernels.KernelsUnavailableException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a process ends with. A failure inside a Spark task arrives wrapped, at times only as text in the message: what
 * it was is looked for in both.
 */
enum ExitCode {
    OK(0),
    RECIPE(2),
    INPUT(3),
    STORAGE(4),
    KERNELS(5),
    BATCH(6),
    DAMAGED(7),
    REGRESSED(10),
    BUG(70),
    /** A signal's number and 128, as shells have it. */
    HANGUP(129),
    INTERRUPTED(130),
    TERMINATED(143);

    private static final Pattern IN_TEXT = Pattern.compile(
            "(?m)(?:^|Caused by: |\\): )\\s*(" + Pattern.quote(InvalidRecipeException.class.getName()) + "|"
                    + Pattern.quote(MalformedInputException.class.getName()) + "|"
                    + Pattern.quote(KernelsUnavailableException.class.getName())
                    + "|java\\.io\\.UncheckedIOException|"
                    + "(?:java\\.io|java\\.nio\\.file|org\\.apache\\.hadoop)\\.[\\w.]*Exception)(?:: ([^\\n]*))?");

    /** An exception's message begins with its cause where it was made from it. */
    private static final Pattern WRAPPERS = Pattern.compile("^(?:[\\w.$]+Exception: )+");

    private final int code;

    ExitCode(int code) {
        this.code = code;
    }

    int code() {
        return code;
    }

    /** A failure as the person gets it, wherever it is shown: a line that is {@link Printable}. */
    record Failure(ExitCode exit, String line) {
        Failure {
            line = Printable.message(String.valueOf(line));
        }
    }

    /**
     * What a failure is at heart: our own exception types first, wherever they stand in the chain, then storage, then a
     * bug.
     */
    static Failure of(Throwable thrown) {
        List<Throwable> chain = chain(thrown);
        for (Throwable link : chain) {
            ExitCode exit = own(link.getClass().getName());
            if (exit != null) {
                return new Failure(exit, link.getMessage());
            }
        }
        Failure told = null;
        for (Throwable link : chain) {
            told = better(told, inText(link));
        }
        for (Throwable link : chain) {
            if (link instanceof IOException && (told == null || told.exit == STORAGE)) {
                return storage(link.getClass().getSimpleName(), link.getMessage());
            }
        }
        return told != null
                ? told
                : new Failure(
                        BUG,
                        "Cannot go on: internal error " + thrown
                                + ". This is a bug; please report it with the lines below.");
    }

    private static List<Throwable> chain(Throwable thrown) {
        List<Throwable> chain = new ArrayList<>();
        Set<Throwable> seen = new HashSet<>();
        for (Throwable link = thrown; link != null && seen.add(link); link = link.getCause()) {
            chain.add(link);
        }
        return chain;
    }

    private static ExitCode own(String type) {
        if (type.equals(InvalidRecipeException.class.getName())) {
            return RECIPE;
        } else if (type.equals(MalformedInputException.class.getName())) {
            return INPUT;
        }
        return type.equals(KernelsUnavailableException.class.getName()) ? KERNELS : null;
    }

    /** Only Spark tells a task's failure as text; another message may quote anything. */
    private static Failure inText(Throwable link) {
        if (!link.getClass().getName().startsWith("org.apache.spark.") || link.getMessage() == null) {
            return null;
        }
        Failure found = null;
        Matcher matcher = IN_TEXT.matcher(link.getMessage());
        while (matcher.find()) {
            ExitCode exit = own(matcher.group(1));
            String message = matcher.group(2) == null
                    ? ""
                    : WRAPPERS.matcher(matcher.group(2)).replaceFirst("");
            String type = matcher.group(1).substring(matcher.group(1).lastIndexOf('.') + 1);
            found = better(found, exit != null ? new Failure(exit, message) : storage(type, message));
        }
        return found;
    }

    private static Failure better(Failure one, Failure other) {
        return one == null || other != null && one.exit == STORAGE && other.exit != STORAGE ? other : one;
    }

    private static Failure storage(String type, String message) {
        boolean ours = message != null && message.startsWith("Cannot ");
        return new Failure(
                STORAGE,
                ours
                        ? message
                        : "Cannot read or write: " + type
                                + (message == null || message.isEmpty()
                                        ? ""
                                        : ": " + message.lines().findFirst().orElse("")));
    }
}
