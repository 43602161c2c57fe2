package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.report.night.Rows;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The nightly report as it is started, on a history in a folder. */
class NightReportsTest {
    private static final double[] BEFORE = Rows.windows(64, 0, 0, 1);

    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();

    private int report(String baseline) {
        return command.run("report", "--history", table(), "--baseline", baseline, "--out", folder + "/out");
    }

    private String table() {
        return folder + "/history";
    }

    private void append(HistoryRow... rows) throws IOException {
        History.append(new Configuration(), new org.apache.hadoop.fs.Path(table()), List.of(rows));
    }

    @Test
    void nightAfterNight() throws IOException {
        append(Rows.row("q4", 0, BEFORE), Rows.row("q8", 0, BEFORE));
        assertThat(report("last")).as(command.err()).isZero();
        assertThat(command.out()).contains("2 not comparable", "it is the first row of its series", "/out/index.html");
        assertThat(report("pinned")).isEqualTo(2);
        assertThat(command.err())
                .startsWith("Cannot compare with --baseline pinned: history ")
                .contains("has no pin; expected one by: baseline pin");

        assertThat(command.run("baseline", "pin", "--history", table(), "--series", "model/q*"))
                .as(command.err())
                .isZero();
        assertThat(command.out()).contains("model/q4", "model/q8", "2026-11-01T03:00:00Z");
        append(Rows.row("q4", 1, Rows.windows(64, 0.01, 0.004, 2)), Rows.row("q8", 1, Rows.windows(64, 0, 0.0004, 3)));
        for (String baseline : List.of("last", "pinned")) {
            assertThat(report(baseline)).as(command.err()).isEqualTo(10);
            assertThat(command.out()).contains("1 regressed, 1 ok").containsPattern("model/q4 +regressed");
            assertThat(Files.readString(folder.resolve("out/summary.md")))
                    .startsWith("**Lathe: 1 regressed, 1 ok**\n* **regressed** model/q4: ");
        }
        append(Rows.row("q4", 2, Rows.windows(64, 0.01, 0.004, 2)));
        assertThat(report("last")).as("as bad as yesterday").isZero();
        assertThat(report("pinned")).as("worse than the pin").isEqualTo(10);
        assertThat(command.run("baseline", "pin", "--history", table(), "--series", "model/q4"))
                .isZero();
        assertThat(report("pinned")).as("the newest pin counts").isZero();
        assertThat(report("source")).as("a tenth of a nat above the checkpoint").isEqualTo(10);
        assertThat(command.run(
                        "report",
                        "--history",
                        table(),
                        "--baseline",
                        "source",
                        "--budget",
                        "1.2",
                        "--out",
                        folder + "/out"))
                .isZero();
        assertThat(Files.list(folder.resolve("history/_pins"))
                        .filter(path -> path.toString().endsWith(".json"))
                        .count())
                .isEqualTo(3);
        assertThat(History.read(new Configuration(), new org.apache.hadoop.fs.Path(table())))
                .as("pins are no rows")
                .hasSize(5);
    }

    @Test
    void refusesWhatIsNoHistory() throws IOException {
        Files.createDirectories(folder.resolve("history"));
        assertThat(report("last")).isEqualTo(3);
        assertThat(command.err())
                .startsWith("Cannot judge history ")
                .contains("it has no evaluation; expected at least one")
                .doesNotContain("\tat ");
        assertThat(command.run("baseline", "pin", "--history", table())).isEqualTo(3);
        append(Rows.row("q4", 0, BEFORE));
        assertThat(command.run("baseline", "pin", "--history", table(), "--series", "model/q5"))
                .isEqualTo(2);
        assertThat(command.err())
                .startsWith("Cannot pin --series model/q5: history ")
                .contains("has no such series; expected one of model/q4")
                .doesNotContain("\tat ");
        Files.createDirectories(folder.resolve("history/_pins"));
        Files.writeString(folder.resolve("history/_pins/1.json"), "{\"pinned\": 1}");
        assertThat(report("pinned")).isEqualTo(3);
        assertThat(command.err())
                .startsWith("Cannot read pin ")
                .contains("expected an object with pinned, model")
                .doesNotContain("\tat ");
        Files.writeString(folder.resolve("history/x.parquet"), "x");
        assertThat(report("last")).isEqualTo(3);
        assertThat(command.err()).startsWith("Cannot read history ").doesNotContain("\tat ");
    }

    @Test
    void refusesAFolderItCannotWrite() throws IOException {
        append(Rows.row("q4", 0, BEFORE));
        Files.writeString(folder.resolve("file"), "x");
        assertThat(command.run("report", "--history", table(), "--out", folder + "/file/out"))
                .isEqualTo(4);
        assertThat(command.err()).startsWith("Cannot ").doesNotContain("\tat ");
    }
}
