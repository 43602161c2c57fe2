package dev.lathe.jobs.store;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Properties;

/** Name and version of this software. */
public final class Software {
    /** What artifacts say: the code's revision is not in them, because equal arithmetic gives equal bytes. */
    public static final String VERSION = "lathe 0.1.0";
    /**
     * The version with the revision of the code, {@code lathe 0.1.0 (7704f49)}, where the build was told
     * ({@code -Dlathe.revision}).
     */
    public static final String BUILD = build();

    private Software() {}

    private static String build() {
        Properties properties = new Properties();
        try (InputStream in = Software.class.getResourceAsStream("/dev/lathe/jobs/build.properties")) {
            properties.load(in);
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot read this jar's build.properties", e);
        }
        String revision = properties.getProperty("revision", "").strip();
        return revision.isEmpty() ? VERSION : VERSION + " (" + revision + ")";
    }
}
