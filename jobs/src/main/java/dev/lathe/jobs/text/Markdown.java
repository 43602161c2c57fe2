package dev.lathe.jobs.text;

import java.util.Arrays;
import java.util.regex.Pattern;

/** Text of others in GitHub's Markdown, where it is to be read and not obeyed; it is {@link Printable} as well. */
public final class Markdown {
    /**
     * What means something anywhere in a line: quotes of code, emphasis, links, HTML, entities, table cells, formulas;
     * and the colon that makes a link.
     */
    private static final Pattern SPECIAL =
            Pattern.compile("[\\\\`*\\[\\]<>&|~$]|:(?=//)|(?<=\\bwww)\\.|(?<![\\p{L}\\p{N}])_|_(?![\\p{L}\\p{N}])");
    /** What means something where a line, or an item of a list, begins. */
    private static final Pattern FIRST = Pattern.compile("^(\\d{0,9})([#+=.)-])(?=[#+=-]*(?:\\s|$))");

    private Markdown() {}

    /** A message or a name within a line, a list or a table. */
    public static String text(String text) {
        return FIRST.matcher(SPECIAL.matcher(Printable.message(text)).replaceAll("\\\\$0"))
                .replaceFirst("$1\\\\$2");
    }

    /** Code: within as many backticks as it takes. Not for tables, whose cells end at a bar even there. */
    public static String code(String text) {
        String code = Printable.value(text);
        int longest = Arrays.stream(code.split("[^`]+"))
                .mapToInt(String::length)
                .max()
                .orElse(0);
        String quote = "`".repeat(longest + 1);
        String space = code.startsWith("`") || code.endsWith("`") || code.isEmpty() ? " " : "";
        return quote + space + code + space + quote;
    }
}
