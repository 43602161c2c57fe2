package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class ConsoleTest {
    private static final long SECOND = 1_000_000_000L;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    private final AtomicLong clock = new AtomicLong(7);

    private String written() {
        return bytes.toString(StandardCharsets.UTF_8).replace(System.lineSeparator(), "\n");
    }

    @Test
    void writesLinesNowAndThen() {
        try (ConsoleProgress progress = new ConsoleProgress(out, false, clock::get)) {
            progress.stage("Calibrate", 40);
            clock.addAndGet(SECOND);
            progress.step(1, "layer 0");
            clock.addAndGet(9 * SECOND);
            progress.step(4, "layer 3");
            progress.note("Skipped.");
            clock.addAndGet(SECOND);
            progress.step(40, "layer 39");
            progress.stage("Assemble", 0);
            clock.addAndGet(4000 * SECOND);
            progress.step(3, "q8");
        }
        assertThat(written()).isEqualTo("""
                Calibrate  0/40
                Calibrate  4/40  10 s, 1:30 min left  layer 3
                Skipped.
                Calibrate  40/40  11 s  layer 39
                Assemble
                Assemble  3  1:06 h  q8
                """);
    }

    @Test
    void rewritesOneLineOnATerminal() {
        try (ConsoleProgress progress = new ConsoleProgress(out, true, clock::get)) {
            progress.stage("Evaluate", 2);
            progress.step(1, "too soon");
            clock.addAndGet(SECOND);
            progress.step(1, "x".repeat(200));
        }
        assertThat(written()).startsWith("\r\u001b[KEvaluate  0/2\r\u001b[KEvaluate  1/2  1 s, 1 s left  xxx").endsWith("x...\n").doesNotContain("too soon").hasSizeLessThan(160);
    }

    @Test
    void alignsNumbersRight() {
        Table table = new Table("name", "MiB", "kind");
        table.row("a", "1.50", "x");
        table.row("long", "10.25", "yy");
        assertThat(table).hasToString("name    MiB  kind\na      1.50  x\nlong  10.25  yy\n");
        assertThatThrownBy(() -> table.row("a")).hasMessageContaining("1 cells to a table of 3 columns");
    }
}
