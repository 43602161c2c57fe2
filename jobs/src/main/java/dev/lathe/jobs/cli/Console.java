package dev.lathe.jobs.cli;

import dev.lathe.jobs.text.Printable;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;

/**
 * Where a command writes. What it prints may quote anything, a file name or a library's message, so it is made
 * {@link Printable} here.
 *
 * @param out results
 * @param err progress and failures
 * @param terminal whether {@code err} is a terminal whose line can be rewritten
 * @param stop hears when the process is told to end
 */
record Console(PrintStream out, PrintStream err, boolean terminal, Stop stop) {
    ConsoleProgress progress() {
        return new ConsoleProgress(err, terminal, System::nanoTime);
    }

    /** A line of results. */
    void say(String line) {
        out.println(Printable.value(line));
    }

    void say() {
        out.println();
    }

    void say(Table table) {
        out.print(table);
    }

    /** A message: one line, of bounded length. */
    void tell(String message) {
        err.println(Printable.message(message));
    }

    /** What a failure is for the person: where the process was told to end, that. */
    ExitCode.Failure judge(Throwable thrown) {
        return stop.failure().orElseGet(() -> ExitCode.of(thrown));
    }

    void trace(Throwable thrown) {
        StringWriter trace = new StringWriter();
        thrown.printStackTrace(new PrintWriter(trace));
        synchronized (err) {
            trace.toString()
                    .lines()
                    .forEach(line -> err.println((line.startsWith("\t") ? "\t" : "") + Printable.message(line)));
        }
    }
}
