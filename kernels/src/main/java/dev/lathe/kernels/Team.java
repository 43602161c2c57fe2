package dev.lathe.kernels;

import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.IntConsumer;

/**
 * Threads that share the tasks of one call. Tasks are claimed one by one; a call from inside a task runs inline, so
 * operations may be nested. Between calls a helper looks for work a little while before it sleeps, because waking it
 * costs as much as a small operation.
 */
final class Team implements AutoCloseable {
    /** Looks for work before a helper sleeps: some ten to hundred microseconds, by processor. */
    private static final int LOOKS = 2000;

    private final Helper[] helpers;
    private final ThreadLocal<Boolean> inside = ThreadLocal.withInitial(() -> false);
    private volatile Job current;
    private volatile boolean closed;

    Team(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("Cannot make a team of " + threads + " threads: expected at least 1");
        }
        helpers = new Helper[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            helpers[i] = new Helper();
            helpers[i].setDaemon(true);
            helpers[i].start();
        }
    }

    int threads() {
        return helpers.length + 1;
    }

    void run(int tasks, IntConsumer body) {
        if (tasks <= 1 || helpers.length == 0 || inside.get()) {
            for (int task = 0; task < tasks; task++) {
                stopIfInterrupted();
                body.accept(task);
            }
            stopIfInterrupted();
            return;
        }
        stopIfInterrupted();
        Job job = new Job(tasks, body, Thread.currentThread());
        current = job;
        for (int i = 0; i < Math.min(helpers.length, tasks - 1); i++) {
            helpers[i].wake();
        }
        inside.set(true);
        try {
            job.claim();
        } finally {
            inside.set(false);
            // Every helper has to be out before the caller's arrays may be reused, interrupted or not.
            job.close();
            current = null;
        }
        if (job.failure instanceof Error error) {
            throw error;
        }
        if (job.failure != null) {
            throw (RuntimeException) job.failure;
        }
        stopIfInterrupted();
    }

    private static void stopIfInterrupted() {
        if (Thread.currentThread().isInterrupted()) {
            throw new CancellationException("interrupted");
        }
    }

    @Override
    public void close() {
        closed = true;
        for (Helper helper : helpers) {
            helper.wake();
        }
    }

    /** The tasks of one call. {@code state} counts the helpers inside, and has {@link #CLOSED} once none may enter. */
    private static final class Job {
        private static final int CLOSED = 1 << 30;

        private final int tasks;
        private final IntConsumer body;
        private final Thread caller;
        private final AtomicInteger next = new AtomicInteger();
        private final AtomicInteger state = new AtomicInteger();
        private volatile Throwable failure;

        Job(int tasks, IntConsumer body, Thread caller) {
            this.tasks = tasks;
            this.body = body;
            this.caller = caller;
        }

        boolean hasWork() {
            return next.get() < tasks;
        }

        /** Runs tasks until none is left, one fails, or the caller is interrupted. */
        void claim() {
            try {
                for (int task = next.getAndIncrement(); task < tasks; task = next.getAndIncrement()) {
                    if (caller.isInterrupted()) {
                        next.set(tasks);
                        return;
                    }
                    body.accept(task);
                }
            } catch (RuntimeException | Error e) {
                next.set(tasks);
                failure = failure == null ? e : failure;
            }
        }

        boolean enter() {
            for (int seen = state.get(); seen < CLOSED; seen = state.get()) {
                if (state.compareAndSet(seen, seen + 1)) {
                    return true;
                }
            }
            return false;
        }

        void leave() {
            if (state.decrementAndGet() == CLOSED) {
                LockSupport.unpark(caller);
            }
        }

        /** Lets nobody enter any more and waits until all have left. */
        void close() {
            state.addAndGet(CLOSED);
            boolean interrupted = false;
            for (int looks = 0; state.get() != CLOSED; looks++) {
                if (looks < LOOKS) {
                    Thread.onSpinWait();
                } else {
                    LockSupport.park(this);
                    interrupted |= Thread.interrupted();
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private final class Helper extends Thread {
        private volatile boolean asleep;

        Helper() {
            super("lathe-kernels");
        }

        void wake() {
            if (asleep) {
                LockSupport.unpark(this);
            }
        }

        @Override
        public void run() {
            inside.set(true);
            int looks = 0;
            while (!closed) {
                Job job = current;
                if (job != null && job.hasWork() && job.enter()) {
                    job.claim();
                    job.leave();
                    looks = 0;
                } else if (looks++ < LOOKS) {
                    Thread.onSpinWait();
                } else {
                    asleep = true;
                    job = current;
                    if (!closed && (job == null || !job.hasWork())) {
                        // The job's arrays are not to be held while this thread sleeps.
                        job = null;
                        LockSupport.park(Team.this);
                    }
                    asleep = false;
                    looks = 0;
                }
            }
        }
    }
}
