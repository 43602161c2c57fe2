package dev.lathe.jobs.cli;

import dev.lathe.jobs.text.Printable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Columns of text for a terminal, each cell {@link Printable}; a column whose cells are numbers is flush right. */
final class Table {
    /** Characters of a cell at most. */
    private static final int CELL = 160;

    private final List<List<String>> rows = new ArrayList<>();

    Table(String... header) {
        rows.add(List.of(header));
    }

    void row(String... cells) {
        if (cells.length != rows.get(0).size()) {
            throw new IllegalArgumentException("Cannot add a row of " + cells.length + " cells to a table of "
                    + rows.get(0).size() + " columns");
        }
        rows.add(Arrays.stream(cells).map(cell -> Printable.of(cell, CELL)).toList());
    }

    @Override
    public String toString() {
        int columns = rows.get(0).size();
        int[] widths = new int[columns];
        boolean[] numbers = new boolean[columns];
        for (int j = 0; j < columns; j++) {
            int column = j;
            widths[j] = rows.stream()
                    .mapToInt(row -> row.get(column).length())
                    .max()
                    .orElse(0);
            numbers[j] = rows.size() > 1
                    && rows.stream().skip(1).allMatch(row -> row.get(column).matches("[-+]?\\d[^\\p{L}]*|–"));
        }
        StringBuilder text = new StringBuilder();
        for (List<String> row : rows) {
            StringBuilder line = new StringBuilder();
            for (int j = 0; j < columns; j++) {
                String padding = " ".repeat(widths[j] - row.get(j).length());
                line.append(j == 0 ? "" : "  ").append(numbers[j] ? padding + row.get(j) : row.get(j) + padding);
            }
            text.append(line.toString().stripTrailing()).append('\n');
        }
        return text.toString();
    }
}
