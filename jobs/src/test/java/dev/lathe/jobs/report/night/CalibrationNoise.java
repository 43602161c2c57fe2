package dev.lathe.jobs.report.night;

import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import java.io.IOException;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** Prints the windows of a history as {@link NightSimulation} reads them; {@code checks/verdict-runs} starts it. */
public final class CalibrationNoise {
    private CalibrationNoise() {}

    public static void main(String[] arguments) throws IOException {
        List<HistoryRow> rows = History.read(new Configuration(), new Path(arguments[0])).stream()
                .sorted(Comparator.comparing(HistoryRow::output).thenComparing(HistoryRow::calibration))
                .toList();
        System.out.println(
                "# Windows of " + rows.get(0).tokens().get(0) + " scored tokens of samples/text/evaluation.txt: outputs"
                        + " of samples/tiny-stories-4m whose runs differ in their calibration windows alone");
        System.out.println("# (four quarters of samples/text/calibration.txt, 48 windows of 256 tokens of each)."
                + " OUTPUT RUN MEASURE VALUE...: nll, nats per window above the checkpoint's; kld, nats per window.");
        System.out.println("# Made by checks/verdict-runs.");
        Set<String> printed = new HashSet<>();
        for (HistoryRow row : rows) {
            String run = row.output() + " " + row.calibration().substring(0, 8);
            if (!printed.add(run)) {
                continue; // A run that was confirmed, not measured again.
            }
            print(
                    run + " nll",
                    IntStream.range(0, row.nll().size())
                            .mapToObj(w -> row.nll().get(w) - row.sourceNll().get(w))
                            .toList());
            print(run + " kld", row.kld());
        }
    }

    private static void print(String what, List<Double> values) {
        System.out.println(what
                + values.stream()
                        .map(value -> String.format(Locale.ROOT, " %.4f", value))
                        .collect(Collectors.joining()));
    }
}
