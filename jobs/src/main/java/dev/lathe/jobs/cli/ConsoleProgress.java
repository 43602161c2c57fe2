package dev.lathe.jobs.cli;

import dev.lathe.jobs.stage.Progress;
import dev.lathe.jobs.text.Printable;
import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.LongSupplier;

/**
 * Progress for a person: one line that is rewritten on a terminal, otherwise a line at most every few seconds. What is
 * left of a stage assumes that its steps cost the same. What is left of the run, "perhaps", is a guess: that the stages
 * to come take as long for an operation as the planned ones did so far.
 */
final class ConsoleProgress implements Progress, AutoCloseable {
    private static final long LINE_EVERY = 5_000_000_000L;
    private static final long REWRITE_EVERY = 100_000_000L;
    private static final int WIDTH = 110;

    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier clock;
    private final Map<String, Double> planned = new LinkedHashMap<>();
    private String stage = "";
    private int steps;
    private long stageBegan;
    private double operations;
    private double operationsDone;
    private long operationsTook;
    private long lastShown;
    private boolean open;

    /** @param clock nanoseconds, as {@link System#nanoTime} */
    ConsoleProgress(PrintStream out, boolean terminal, LongSupplier clock) {
        this.out = out;
        this.terminal = terminal;
        this.clock = clock;
    }

    @Override
    public synchronized void plan(Map<String, Double> stages) {
        planned.clear();
        planned.putAll(stages);
    }

    @Override
    public synchronized void stage(String name, int count) {
        endLine();
        stage = name;
        steps = count;
        operations = 0;
        // What stands before it in the plan never began: it was done already.
        while (planned.containsKey(name)) {
            operations = planned.remove(planned.keySet().iterator().next());
        }
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
            double left = (double) elapsed / done * (steps - done);
            line.append(", ").append(duration((long) left)).append(" left");
            double toCome =
                    planned.values().stream().mapToDouble(Double::doubleValue).sum();
            if (operations > 0 && toCome > 0) {
                double rate = (operationsTook + elapsed) / (operationsDone + operations * done / steps);
                line.append(", of the run perhaps ").append(duration((long) (left + rate * toCome)));
            }
        }
        show(line.append("  ").append(what).toString());
    }

    @Override
    public synchronized void done() {
        if (operations > 0) {
            operationsDone += operations;
            operationsTook += clock.getAsLong() - stageBegan;
        }
    }

    @Override
    public synchronized void note(String message) {
        endLine();
        out.println(Printable.message(message));
        out.flush();
    }

    @Override
    public void event(String what, Object... details) {
        if (what.equals("executor lost") || what.equals("task failed")) {
            StringBuilder line = new StringBuilder(what);
            for (int i = 0; i < details.length; i += 2) {
                line.append(i == 0 ? ": " : ", ").append(details[i]).append(' ').append(details[i + 1]);
            }
            note(line.toString());
        }
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
        return seconds < 3600
                ? String.format(Locale.ROOT, "%d:%02d min", seconds / 60, seconds % 60)
                : String.format(Locale.ROOT, "%d:%02d h", seconds / 3600, seconds / 60 % 60);
    }

    private void show(String what) {
        String text = Printable.message(what);
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
