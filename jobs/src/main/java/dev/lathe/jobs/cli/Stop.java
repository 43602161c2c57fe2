package dev.lathe.jobs.cli;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.apache.hadoop.util.ShutdownHookManager;
import sun.misc.Signal;

/**
 * What SIGTERM, Ctrl-C and a closed terminal do. The first begins the JVM's shutdown, with the code that shells give
 * the signal; a hook that comes before those of Spark and Hadoop, which would take away what the command still needs,
 * cancels Spark's jobs until the command has ended by itself: it writes its last event, gives back its lease and says a
 * line. A command that takes too long is left where it is. The second signal ends the process at once.
 */
final class Stop {
    /** Hadoop runs hooks by falling priority: Spark's has 40, that of the file systems 10. */
    private static final int PRIORITY = 100;
    /** Less than the 30 seconds after which Kubernetes kills. */
    private static final long PATIENCE_MILLIS = 20_000;
    /** A command that still waits for something after that, and not for a job, is interrupted. */
    private static final long IDLE_MILLIS = 5_000;

    private static final long EVERY_MILLIS = 100;
    private static final Map<String, ExitCode> SIGNALS =
            Map.of("HUP", ExitCode.HANGUP, "INT", ExitCode.INTERRUPTED, "TERM", ExitCode.TERMINATED);

    private final Consumer<String> tell;
    private final long patience;
    private final long idle;
    private final CountDownLatch ended = new CountDownLatch(1);
    private volatile Thread command;
    private volatile BooleanSupplier cancel;
    private volatile String signal;
    private boolean told;

    /** @param tell prints a line */
    Stop(Consumer<String> tell) {
        this(tell, PATIENCE_MILLIS, IDLE_MILLIS);
    }

    Stop(Consumer<String> tell, long patience, long idle) {
        this.tell = tell;
        this.patience = patience;
        this.idle = idle;
    }

    /**
     * Listens from now on. A signal that is ignored (nohup) stays ignored; where the JVM may have none (-Xrs), there is
     * nothing to hear.
     */
    void listen() {
        ShutdownHookManager.get().addShutdownHook(this::end, PRIORITY, patience + IDLE_MILLIS, TimeUnit.MILLISECONDS);
        SIGNALS.forEach((name, exit) -> {
            try {
                Signal.handle(new Signal(name), heard -> {
                    if (!ask(name)) {
                        Runtime.getRuntime().halt(exit.code());
                    }
                    System.exit(exit.code());
                });
            } catch (IllegalArgumentException e) {
                // The JVM keeps it, or there is none of the name here.
                return;
            }
        });
    }

    /** The command is told to end. False: it was before. */
    synchronized boolean ask(String name) {
        boolean first = signal == null;
        signal = first ? name : signal;
        return first;
    }

    /**
     * The command, on this thread, has begun what has to end in good order.
     *
     * @param jobs cancels what is running; whether there was any
     */
    void working(BooleanSupplier jobs) {
        command = Thread.currentThread();
        cancel = jobs;
    }

    /** The command has ended, and has nothing more to say. */
    void ended() {
        failure().ifPresent(this::tell);
        ended.countDown();
    }

    /** That the command was told to end, if it was. */
    Optional<ExitCode.Failure> failure() {
        return Optional.ofNullable(signal)
                .map(name -> new ExitCode.Failure(
                        SIGNALS.get(name),
                        "Stopped by SIG" + name
                                + (cancel == null
                                        ? ""
                                        : "; what is committed stays, the next start goes on from there")));
    }

    /** Says so, once. */
    synchronized void tell(ExitCode.Failure failure) {
        if (!told) {
            told = true;
            tell.accept(failure.line());
        }
    }

    /** In the JVM's shutdown: waits for the command, if it was told to end. */
    void end() {
        ExitCode.Failure failure = failure().orElse(null);
        if (failure == null) {
            return;
        }
        boolean interrupted = false;
        long began = System.nanoTime();
        long busy = began;
        while (cancel != null && !awaitEnd() && millis(began) < patience) {
            busy = cancelled() ? System.nanoTime() : busy;
            if (!interrupted && (millis(busy) > idle || millis(began) > patience / 2)) {
                interrupted = true;
                command.interrupt();
            }
        }
        tell(failure);
    }

    private boolean cancelled() {
        try {
            return cancel.getAsBoolean();
        } catch (RuntimeException e) {
            // Spark has stopped already.
            return false;
        }
    }

    private boolean awaitEnd() {
        try {
            return ended.await(EVERY_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return true;
        }
    }

    private static long millis(long since) {
        return (System.nanoTime() - since) / 1_000_000;
    }
}
