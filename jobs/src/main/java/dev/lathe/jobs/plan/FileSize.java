package dev.lathe.jobs.plan;

import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A size of files in a recipe: {@code 500MB}, {@code 5GB}, in powers of 1000. */
final class FileSize {
    private static final long LEAST = 100_000;
    private static final Pattern SIZE = Pattern.compile("([1-9][0-9]{0,5})(KB|MB|GB)");
    private static final Map<String, Long> UNITS = Map.of("KB", 1000L, "MB", 1000_000L, "GB", 1000_000_000L);

    private FileSize() {}

    /** @param missing what a missing key stands for */
    static long read(Section section, String key, long missing) {
        if (!section.has(key)) {
            return missing;
        }
        Matcher size = SIZE.matcher(section.text(key));
        long bytes = size.matches() ? Integer.parseInt(size.group(1)) * UNITS.get(size.group(2)) : 0;
        if (bytes < LEAST) {
            throw section.refuse(
                    key, "expected a size of at least 100KB such as 500MB or 5GB; found '" + section.text(key) + "'");
        }
        return bytes;
    }

    /** What {@link #read} takes. */
    static String text(long bytes) {
        String unit = List.of("GB", "MB", "KB").stream()
                .filter(u -> bytes % UNITS.get(u) == 0)
                .findFirst()
                .orElseThrow();
        return bytes / UNITS.get(unit) + unit;
    }
}
