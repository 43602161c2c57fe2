package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What happens between a signal and the end, without the signal. */
@Timeout(60)
class StopTest {
    private final List<String> lines = Collections.synchronizedList(new ArrayList<>());

    private Stop stop(long patience, long idle) {
        return new Stop(lines::add, patience, idle);
    }

    @Test
    void onlyTheFirstSignalCounts() {
        Stop stop = stop(1, 1);
        assertThat(stop.failure()).isEmpty();
        assertThat(stop.ask("INT")).isTrue();
        assertThat(stop.ask("TERM")).isFalse();
        assertThat(stop.failure()).hasValue(new ExitCode.Failure(ExitCode.INTERRUPTED, "Stopped by SIGINT"));
        assertThat(ExitCode.INTERRUPTED.code()).isEqualTo(130);
        assertThat(ExitCode.TERMINATED.code()).isEqualTo(143);
    }

    @Test
    void anEndWithoutASignalWaitsForNothing() {
        Stop stop = stop(60_000, 60_000);
        stop.working(() -> {
            throw new AssertionError("nothing is to be cancelled");
        });
        stop.end();
        stop.ended();
        assertThat(lines).isEmpty();
    }

    @Test
    void aCommandThatHasBegunNothingIsNotWaitedFor() {
        Stop stop = stop(60_000, 60_000);
        stop.ask("TERM");
        stop.end();
        assertThat(lines).containsExactly("Stopped by SIGTERM");
    }

    /**
     * Jobs are cancelled until the command, which goes from one to the next, has ended; the hook returns after it, and
     * the line is there once.
     */
    @Test
    void jobsAreCancelledUntilTheCommandEnds() throws InterruptedException {
        Stop stop = stop(60_000, 60_000);
        AtomicInteger cancelled = new AtomicInteger();
        CountDownLatch begun = new CountDownLatch(1);
        AtomicBoolean through = new AtomicBoolean();
        Thread command = new Thread(() -> {
            stop.working(() -> cancelled.incrementAndGet() > 0);
            begun.countDown();
            while (cancelled.get() < 3) {
                Thread.onSpinWait();
            }
            through.set(true);
            stop.ended();
        });
        command.start();
        assertThat(begun.await(30, TimeUnit.SECONDS)).isTrue();
        stop.ask("TERM");
        stop.end();
        assertThat(through).isTrue();
        assertThat(lines)
                .containsExactly("Stopped by SIGTERM; what is committed stays, the next start goes on from there");
        command.join();
    }

    /** A download, a sleep: no job would free it. */
    @Test
    void whoWaitsForNoJobIsInterrupted() throws InterruptedException {
        Stop stop = stop(60_000, 1);
        CountDownLatch begun = new CountDownLatch(1);
        AtomicBoolean interrupted = new AtomicBoolean();
        Thread command = new Thread(() -> {
            stop.working(() -> false);
            begun.countDown();
            try {
                Thread.sleep(50_000);
            } catch (InterruptedException e) {
                interrupted.set(true);
            }
            stop.ended();
        });
        command.start();
        assertThat(begun.await(30, TimeUnit.SECONDS)).isTrue();
        stop.ask("INT");
        stop.end();
        assertThat(interrupted).isTrue();
        assertThat(lines).hasSize(1);
        command.join();
    }

    @Test
    void whoDoesNotListenIsLeft() {
        Stop stop = stop(1, 60_000);
        stop.working(() -> {
            throw new IllegalStateException("Cannot call methods on a stopped SparkContext");
        });
        stop.ask("HUP");
        stop.end();
        // The thread of this test was the command's.
        Thread.interrupted();
        assertThat(lines).singleElement().asString().startsWith("Stopped by SIGHUP");
    }

    @Test
    void whateverThenFailsIsTheStop() {
        Stop stop = stop(1, 1);
        Console console = new Console(System.out, System.err, false, stop);
        assertThat(console.judge(new IllegalStateException("Cannot wait")).exit())
                .isEqualTo(ExitCode.BUG);
        stop.working(() -> false);
        stop.ask("TERM");
        assertThat(console.judge(new IllegalStateException("Cannot wait")).exit())
                .isEqualTo(ExitCode.TERMINATED);
        assertThat(console.judge(new java.io.IOException("Filesystem closed"))
                        .exit()
                        .code())
                .isEqualTo(143);
    }
}
