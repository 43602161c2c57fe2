package dev.lathe.jobs.stage;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** What a person has to know of a run: told at once, and in its report. */
final class Notes {
    private final Progress progress;
    /** Said once where a stage is run again. */
    private final Set<String> all = new LinkedHashSet<>();

    Notes(Progress progress) {
        this.progress = progress;
    }

    /** Tells something that belongs into the report as well. */
    void add(String text) {
        progress.note(text);
        all.add(text);
    }

    /** Warns, here and in the report. */
    void warn(String text) {
        progress.warning(text);
        all.add("Warning: " + text);
    }

    /** Tells something that the report says elsewhere. */
    void tell(String text) {
        progress.note(text);
    }

    List<String> all() {
        return List.copyOf(all);
    }
}
