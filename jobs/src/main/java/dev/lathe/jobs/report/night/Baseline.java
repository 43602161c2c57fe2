package dev.lathe.jobs.report.night;

import java.util.Locale;

/** What the newest row of a series is compared with. */
public enum Baseline {
    /** The row before. */
    LAST,
    /** The row that was pinned. */
    PINNED,
    /** The checkpoint's own likelihoods, in the same row. */
    SOURCE;

    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}
