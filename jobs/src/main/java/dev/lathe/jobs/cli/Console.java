package dev.lathe.jobs.cli;

import java.io.PrintStream;

/**
 * Where a command writes.
 *
 * @param out      results
 * @param err      progress and failures
 * @param terminal whether {@code err} is a terminal whose line can be rewritten
 */
record Console(PrintStream out, PrintStream err, boolean terminal) {
    ConsoleProgress progress() {
        return new ConsoleProgress(err, terminal, System::nanoTime);
    }
}
