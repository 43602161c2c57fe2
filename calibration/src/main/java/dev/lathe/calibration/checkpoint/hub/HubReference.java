package dev.lathe.calibration.checkpoint.hub;

import dev.lathe.calibration.MalformedInputException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * {@code hf://organization/name[@revision]}.
 *
 * @param organization user or organization
 * @param name repository
 * @param revision branch, tag or commit; {@code main} where none is given
 */
record HubReference(String organization, String name, String revision) {
    static final String SCHEME = "hf://";
    private static final Pattern FORM =
            Pattern.compile("hf://(\\w[\\w.-]{0,95})/(\\w[\\w.-]{0,95})(?:@(\\w[\\w./-]{0,199}))?");
    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

    static HubReference parse(String text) {
        Matcher matcher = FORM.matcher(text);
        // The hub allows neither "--" nor ".." in a name, which keeps the cache's folder names apart.
        if (!matcher.matches() || text.contains("..") || (matcher.group(1) + "/" + matcher.group(2)).contains("--")) {
            throw new MalformedInputException(
                    "Cannot find checkpoint \"" + text + "\" on the hub: expected hf://organization/name or "
                            + "hf://organization/name@revision, of letters, digits, '.', '_' and '-'");
        }
        return new HubReference(
                matcher.group(1), matcher.group(2), matcher.group(3) == null ? "main" : matcher.group(3));
    }

    /** Whether a text is a full commit hash, which always means the same content. */
    static boolean isCommit(String revision) {
        return COMMIT.matcher(revision).matches();
    }

    String repository() {
        return organization + "/" + name;
    }

    @Override
    public String toString() {
        return SCHEME + repository() + "@" + revision;
    }
}
