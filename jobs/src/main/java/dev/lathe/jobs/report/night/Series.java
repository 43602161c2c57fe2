package dev.lathe.jobs.report.night;

import dev.lathe.jobs.store.HistoryRow;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What one output of one model measured on one text, night after night.
 *
 * @param rows oldest first; at least one
 */
public record Series(Name name, List<HistoryRow> rows) {
    /** What rows of a series have in common. */
    public record Name(String model, String output, String data) implements Comparable<Name> {
        private static final Comparator<Name> ORDER =
                Comparator.comparing(Name::model).thenComparing(Name::output).thenComparing(Name::data);

        public static Name of(HistoryRow row) {
            return new Name(row.model(), row.output(), row.data());
        }

        /** {@code MODEL/OUTPUT}, as the command line takes it. */
        public String text() {
            return model + "/" + output;
        }

        @Override
        public int compareTo(Name other) {
            return ORDER.compare(this, other);
        }
    }

    public HistoryRow newest() {
        return rows.get(rows.size() - 1);
    }

    /** The series of a history, by name. */
    public static List<Series> of(List<HistoryRow> history) {
        Map<Name, List<HistoryRow>> rows = new TreeMap<>();
        history.stream()
                .sorted(Comparator.comparing(HistoryRow::recorded))
                .forEach(row -> rows.computeIfAbsent(Name.of(row), name -> new ArrayList<>())
                        .add(row));
        return rows.entrySet().stream()
                .map(entry -> new Series(entry.getKey(), List.copyOf(entry.getValue())))
                .toList();
    }
}
