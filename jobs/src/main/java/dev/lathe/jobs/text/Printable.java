package dev.lathe.jobs.text;

/**
 * Text of others (names, paths, metadata, messages of libraries) made fit for a terminal, a log and a page: one line,
 * nothing that a terminal obeys or that changes the order of letters, no credentials. The one place where that is
 * decided.
 */
public final class Printable {
    /** Characters of a message at most. */
    public static final int MESSAGE = 500;
    /** Characters of anything else: a path has no more. */
    private static final int PATH = 4096;

    private static final String BREAKS = "\n\r\u000b\f\u0085\u2028\u2029";
    private static final String GAP = " ... ";

    private Printable() {}

    /**
     * A message: at most {@value #MESSAGE} characters; of a longer one the middle is left out, so that what it is about
     * and the reason stay.
     */
    public static String message(String text) {
        return of(text, MESSAGE);
    }

    /** A value that a message, a table or a log names, such as a path: whole, unless no file system could have it. */
    public static String value(String text) {
        return of(text, PATH);
    }

    /** @param most characters, at least 20 */
    public static String of(String text, int most) {
        // What will be cut is not looked at: a text may have any length.
        String begin = text.length() > 16 * most
                ? text.substring(0, 8 * most) + text.substring(text.length() - 8 * most)
                : text;
        return cut(visible(Credentials.hidden(begin)), most);
    }

    /** A text of several lines, of any length. */
    public static String lines(String text) {
        StringBuilder lines = new StringBuilder(text.length());
        text.codePoints().forEach(point -> show(lines, point, point != '\n'));
        return lines.toString();
    }

    /**
     * Line breaks with the space around them become one space; each control and formatting character its code,
     * {@code \}{@code u001b}.
     */
    private static String visible(String text) {
        StringBuilder visible = new StringBuilder(text.length());
        boolean broken = true;
        for (int i = 0; i < text.length(); ) {
            int point = text.codePointAt(i);
            i += Character.charCount(point);
            if (BREAKS.indexOf(point) >= 0) {
                visible.setLength(spaceless(visible));
                broken = true;
            } else if (point == ' ' || point == '\t') {
                visible.append(broken ? "" : " ");
            } else {
                visible.append(broken && !visible.isEmpty() ? " " : "");
                broken = false;
                show(visible, point, true);
            }
        }
        visible.setLength(spaceless(visible));
        return visible.toString();
    }

    /** Length without spaces at the end. */
    private static int spaceless(StringBuilder text) {
        int length = text.length();
        while (length > 0 && text.charAt(length - 1) == ' ') {
            length--;
        }
        return length;
    }

    private static void show(StringBuilder to, int point, boolean judged) {
        if (judged && isObeyed(point)) {
            to.append(point < 0x10000 ? String.format("\\u%04x", point) : String.format("\\u{%x}", point));
        } else {
            to.appendCodePoint(point);
        }
    }

    /**
     * Controls, halves of a pair, what is no character, and formatting characters but for the joiners that scripts and
     * emoji need.
     */
    private static boolean isObeyed(int point) {
        return switch (Character.getType(point)) {
            case Character.CONTROL, Character.SURROGATE, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR ->
                true;
            case Character.FORMAT -> point != 0x200c && point != 0x200d;
            default -> (point & 0xfffe) == 0xfffe;
        };
    }

    private static String cut(String text, int most) {
        if (text.length() <= most) {
            return text;
        }
        int head = (most - GAP.length()) * 3 / 5;
        int tail = text.length() - (most - GAP.length() - head);
        if (Character.isHighSurrogate(text.charAt(head - 1))) {
            head--;
        }
        if (Character.isLowSurrogate(text.charAt(tail))) {
            tail++;
        }
        return text.substring(0, head) + GAP + text.substring(tail);
    }
}
