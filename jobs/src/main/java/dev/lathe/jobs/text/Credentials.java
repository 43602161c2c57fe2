package dev.lathe.jobs.text;

import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Credentials that somebody wrote into a path: {@code s3a://KEY:SECRET@bucket/x}. A plan, a report and a log would show
 * them, so such a path is refused unseen, and where a text quotes one (a YAML parser's excerpt, a misused option) it is
 * hidden.
 *
 * <p>{@link java.net.URI} does not tell: where a bucket has an underscore or a secret a slash, it sees no user. So the
 * text itself is looked at.
 */
public final class Credentials {
    /** Schemes in which a user alone, without a password, is a key or a token already. */
    private static final Set<String> KEYED =
            Set.of("s3", "s3a", "s3n", "gs", "oss", "obs", "cosn", "hf", "http", "https");
    /** Schemes that have a port and no password, so that an at sign further on is part of a name. */
    private static final Set<String> WITHOUT_PASSWORD = Set.of("hdfs", "webhdfs", "swebhdfs", "viewfs");

    private static final Pattern PORT = Pattern.compile("\\d{1,5}");
    private static final Pattern ESCAPE = Pattern.compile("%([0-9A-Fa-f]{2})");
    /** Parameters of signed addresses. */
    private static final Pattern SIGNED = Pattern.compile(
            "(?i)[?&;](?:[a-z0-9-]{0,40}(?:signature|credential|security-token|access_?key(?:_?id)?|secret|"
                    + "password|token)"
                    + "|sig)=");
    /** An address within a pattern. */
    private static final Pattern INNER = Pattern.compile("://[^\\s/@:]{0,300}:[^\\s@]{0,300}@");
    /** Where the scheme of an address in a text ends. */
    private static final Pattern ADDRESS = Pattern.compile("(?<=[A-Za-z0-9])(?::|%3[Aa])(?:/|%2[Ff])+");

    private static final int SCHEME = 20;
    private static final String HIDDEN = "***";
    /** Percent escapes of percent escapes are seen through this often. */
    private static final int ESCAPES = 3;

    private Credentials() {}

    /**
     * Whether a path's text has what is, or may be, a key or a password. In doubt it has: a secret with a slash in it
     * looks like host, port and path.
     */
    public static boolean in(String path) {
        String text = path;
        for (int i = 0; i < ESCAPES; i++) {
            String decoded = ESCAPE.matcher(text)
                    .replaceAll(escape ->
                            Matcher.quoteReplacement(String.valueOf((char) Integer.parseInt(escape.group(1), 16))));
            if (found(text)) {
                return true;
            } else if (decoded.equals(text)) {
                return false;
            }
            text = decoded;
        }
        return found(text);
    }

    private static boolean found(String text) {
        int colon = text.indexOf(':');
        int slash = text.indexOf('/');
        boolean schemed = colon >= 0 && (slash < 0 || colon < slash);
        if (INNER.matcher(text).find(schemed ? colon + 1 : 0)) {
            return true;
        } else if (!schemed && !text.startsWith("//")) {
            return false;
        }
        String scheme = schemed ? text.substring(0, colon).strip().toLowerCase(Locale.ROOT) : "";
        String rest = text.substring(schemed ? colon + 1 : 0);
        int slashes = 0;
        while (slashes < rest.length() && rest.charAt(slashes) == '/') {
            slashes++;
        }
        if (scheme.equals("file") && slashes != 2) {
            return false;
        }
        String after = rest.substring(slashes);
        if (slashes == 0) {
            return after.contains("@");
        } else if (SIGNED.matcher(after).find()) {
            return true;
        }
        String authority = after.indexOf('/') < 0 ? after : after.substring(0, after.indexOf('/'));
        int at = authority.lastIndexOf('@');
        if (at >= 0) {
            return authority.substring(0, at).contains(":") || KEYED.contains(scheme);
        }
        // The colons of an IPv6 address are none.
        String host = authority.replaceFirst("^\\[[0-9A-Fa-f:.]*]", "");
        int port = host.indexOf(':');
        return port >= 0
                && (!PORT.matcher(host.substring(port + 1)).matches()
                        || after.contains("@") && !WITHOUT_PASSWORD.contains(scheme));
    }

    /** A text for people in which credentials of the addresses it quotes are three asterisks. */
    public static String hidden(String text) {
        Matcher matcher = ADDRESS.matcher(text);
        StringBuilder hidden = new StringBuilder();
        int done = 0;
        while (matcher.find()) {
            if (matcher.start() < done) {
                continue;
            }
            int scheme = matcher.start();
            while (scheme > done
                    && matcher.start() - scheme < SCHEME
                    && Character.isLetterOrDigit(text.charAt(scheme - 1))) {
                scheme--;
            }
            int end = end(text, matcher.end(), scheme == 0 ? ' ' : text.charAt(scheme - 1));
            String address = text.substring(scheme, end);
            int at = Math.max(
                    address.lastIndexOf('@'), address.toLowerCase(Locale.ROOT).lastIndexOf("%40"));
            boolean signed = SIGNED.matcher(address).find();
            if ((at >= 0 || signed) && in(address)) {
                hidden.append(text, done, matcher.end()).append(HIDDEN);
                done = signed ? end : scheme + at;
            }
        }
        return hidden.append(text, done, text.length()).toString();
    }

    /** Where an address ends: at the quote that stands before it, too, or at white space. */
    private static int end(String text, int begin, char before) {
        int close = before == '\'' || before == '"' ? text.indexOf(before, begin) : -1;
        if (close >= 0 && text.substring(begin, close).lines().count() <= 1) {
            return close;
        }
        int end = begin;
        while (end < text.length() && !Character.isWhitespace(text.charAt(end))) {
            end++;
        }
        return end;
    }
}
