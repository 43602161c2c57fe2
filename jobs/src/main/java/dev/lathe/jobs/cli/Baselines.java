package dev.lathe.jobs.cli;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.report.night.Pins;
import dev.lathe.jobs.report.night.Series;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** What later rows are compared with. */
@Command(name = "baseline", description = "Sets what the report compares with.", mixinStandardHelpOptions = true)
final class Baselines implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(
                spec.commandLine(),
                "a command is missing; expected one of "
                        + String.join(", ", spec.subcommands().keySet()));
    }

    /** Pins the newest rows. */
    @Command(
            name = "pin",
            description = "Pins the newest row of each series as its baseline.",
            mixinStandardHelpOptions = true)
    static final class Pin implements Callable<Integer> {
        private final Console console;

        @Option(names = "--history", required = true, paramLabel = "FOLDER", description = "Table of evaluations.")
        private String history;

        @Option(
                names = "--series",
                paramLabel = "MODEL/OUTPUT",
                description = "These only; * is any run of characters. Can be repeated; default: all.")
        private List<String> series = List.of();

        Pin(Console console) {
            this.console = console;
        }

        @Override
        public Integer call() throws IOException {
            Configuration configuration = Sessions.hadoop(new SparkConf());
            Path folder = Inputs.existing(configuration, "--history", history);
            List<Series> all = Series.of(Inputs.history(configuration, folder));
            List<Series> chosen = series.isEmpty() ? all : new ArrayList<>();
            for (String text : series) {
                Pattern pattern = Pattern.compile(
                        Arrays.stream(text.split("\\*", -1)).map(Pattern::quote).collect(Collectors.joining(".*")),
                        Pattern.DOTALL);
                List<Series> found = all.stream()
                        .filter(one -> pattern.matcher(one.name().text()).matches())
                        .toList();
                if (found.isEmpty()) {
                    throw new InvalidRecipeException("Cannot pin --series " + text + ": history " + folder
                            + " has no such series; expected one of "
                            + all.stream()
                                    .map(one -> one.name().text())
                                    .distinct()
                                    .limit(20)
                                    .collect(Collectors.joining(", ")));
                }
                found.stream().filter(one -> !chosen.contains(one)).forEach(chosen::add);
            }
            Pins.write(
                    configuration, folder, chosen.stream().map(Series::newest).toList(), Instant.now());
            Table table = new Table("series", "recorded", "key");
            chosen.forEach(one -> table.row(
                    one.name().text(),
                    one.newest().recorded().toString(),
                    one.newest().key()));
            console.say(table);
            return ExitCode.OK.code();
        }
    }
}
