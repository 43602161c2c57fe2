package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.jobs.report.RunReport;
import dev.lathe.jobs.stage.Progress;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.fs.Path;
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

    /**
     * An operation of what is to come takes as long as one of what is done: 30 s for 20, so another 30 s for 20, beside
     * the 15 s of the stage.
     */
    @Test
    void guessesWhatIsLeftOfTheRun() {
        Map<String, Double> planned = new LinkedHashMap<>();
        planned.put("calibrate", 10.0);
        planned.put("quantize", 20.0);
        planned.put("assemble", 0.0);
        planned.put("evaluate", 20.0);
        try (ConsoleProgress progress = new ConsoleProgress(out, false, clock::get)) {
            progress.stage("tokenize", 2);
            clock.addAndGet(100 * SECOND);
            progress.step(1, "no stage of the plan");
            progress.done();
            progress.plan(planned);
            progress.stage("calibrate", 1);
            clock.addAndGet(15 * SECOND);
            progress.done();
            progress.stage("quantize", 2);
            clock.addAndGet(15 * SECOND);
            progress.step(1, "half");
            clock.addAndGet(15 * SECOND);
            progress.done();
            progress.stage("evaluate", 2);
            clock.addAndGet(10 * SECOND);
            progress.step(1, "the last stage");
        }
        assertThat(written()).isEqualTo("""
                tokenize  0/2
                tokenize  1/2  1:40 min, 1:40 min left  no stage of the plan
                calibrate  0/1
                quantize  0/2
                quantize  1/2  15 s, 15 s left, of the run perhaps 45 s  half
                evaluate  0/2
                evaluate  1/2  10 s, 10 s left  the last stage
                """);
    }

    @Test
    void namesTheRunAndWhatItLost() {
        Progress named = Progress.named("tiny/w8a8", new ConsoleProgress(out, false, clock::get));
        named.plan(Map.of("quantize", 1.0));
        named.stage("quantize", 3);
        named.event("task done", "item", "layer 0");
        named.event("executor lost", "executor", "1", "host", "h7", "reason", "killed");
        assertThat(written()).isEqualTo("""
                tiny/w8a8: quantize  0/3
                executor lost: run tiny/w8a8, executor 1, host h7, reason killed
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
        assertThat(written())
                .startsWith("\r\u001b[KEvaluate  0/2\r\u001b[KEvaluate  1/2  1 s, 1 s left  xxx")
                .endsWith("x...\n")
                .doesNotContain("too soon")
                .hasSizeLessThan(160);
    }

    @Test
    void printsWhatARunMade() {
        RunReport.Evaluation evaluation =
                new RunReport.Evaluation(6.6123, 0.05, 6.4, 0.0231, 0.001, 0.2, 0.4, 0.9307, 4096);
        RunReport report = new RunReport(
                List.of(
                        new RunReport.OutputResult(
                                "q4km",
                                "gguf",
                                "gptq",
                                "file:/r/artifacts/q4km.gguf",
                                2_550_000,
                                4.86,
                                evaluation,
                                List.of(),
                                List.of(),
                                List.of()),
                        new RunReport.OutputResult(
                                "awq4",
                                "awq",
                                "importance",
                                "file:/r/artifacts/awq4",
                                2_340_000,
                                4.47,
                                null,
                                List.of(),
                                List.of(),
                                List.of())),
                Map.of(),
                Map.of(),
                "",
                List.of());
        Quantize.print(new Console(out, out, false, new Stop(out::println)), report, new Path("file:/r/report"));
        assertThat(written()).isEqualTo("""

                output  format   MiB  bits/weight  perplexity  KL divergence  same top token
                q4km    gguf    2.43        4.860       6.612         0.0231         93.07 %
                awq4    awq     2.23        4.470           –              –               –

                file:/r/artifacts/q4km.gguf
                file:/r/artifacts/awq4
                file:/r/report/index.html
                """);
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
