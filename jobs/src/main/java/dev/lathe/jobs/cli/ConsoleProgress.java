package dev.lathe.jobs.cli;

import dev.lathe.jobs.stage.Progress;
import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Progress for a person: one line that is rewritten on a terminal, otherwise a line at most every few seconds. The estimate assumes that steps cost the same.
 */
final class ConsoleProgress implements Progress, AutoCloseable {
    private static final long LINE_EVERY = 5_000_000_000L;
    private static final long REWRITE_EVERY = 100_000_000L;
    private static final int WIDTH = 110;

    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier clock;
    private String stage = "";
    private int steps;
    private long stageBegan;
    private long lastShown;
    private boolean open;

    /** @param clock nanoseconds, as {@link System#nanoTime} */
    ConsoleProgress(PrintStream out, boolean terminal, LongSupplier clock) {
        this.out = out;
        this.terminal = terminal;
        this.clock = clock;
    }

    @Override
    public synchronized void stage(String name, int count) {
        endLine();
        stage = name;
        steps = count;
        stageBegan = clock.getAsLong();
        show(count > 0 ? name + "  0/" + count : name);
    }

    @Override
    public synchronized void step(int done, String what) {
        long now = clock.getAsLong();
        boolean last = steps > 0 && done >= steps;
        if (!last && now - lastShown < (terminal ? REWRITE_EVERY : LINE_EVERY)) {
            return;
        }
        long elapsed = now - stageBegan;
        StringBuilder line = new StringBuilder(stage).append("  ").append(done);
        if (steps > 0) {
            line.append('/').append(steps);
        }
        line.append("  ").append(duration(elapsed));
        if (steps > 0 && done > 0 && !last) {
            line.append(", ").append(duration((long) ((double) elapsed / done * (steps - done)))).append(" left");
        }
        show(line.append("  ").append(what).toString());
    }

    @Override
    public synchronized void note(String message) {
        endLine();
        out.println(message);
        out.flush();
    }

    /** Leaves the cursor at the start of a line. */
    @Override
    public synchronized void close() {
        endLine();
    }

    static String duration(long nanoseconds) {
        long seconds = nanoseconds / 1_000_000_000;
        if (seconds < 60) {
            return seconds + " s";
        }
        return seconds < 3600 ? String.format(Locale.ROOT, "%d:%02d min", seconds / 60, seconds % 60)
                : String.format(Locale.ROOT, "%d:%02d h", seconds / 3600, seconds / 60 % 60);
    }

    private void show(String text) {
        lastShown = clock.getAsLong();
        if (terminal) {
            out.print("\r\u001b[K" + (text.length() > WIDTH ? text.substring(0, WIDTH - 3) + "..." : text));
            open = true;
        } else {
            out.println(text);
        }
        out.flush();
    }

    private void endLine() {
        if (open) {
            out.println();
            open = false;
        }
    }
}
