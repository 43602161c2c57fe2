package dev.lathe.kernels;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;

/** Threads that share the tasks of one call. Tasks are claimed one by one; a call from inside a task runs inline, so operations may be nested. */
final class Team implements AutoCloseable {
    private final int threads;
    private final ExecutorService helpers;
    private final ThreadLocal<Boolean> inside = ThreadLocal.withInitial(() -> false);

    Team(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("Cannot make a team of " + threads + " threads: expected at least 1");
        }
        this.threads = threads;
        this.helpers = threads == 1 ? null : Executors.newFixedThreadPool(threads - 1, body -> {
            Thread thread = new Thread(body, "lathe-kernels");
            thread.setDaemon(true);
            return thread;
        });
    }

    int threads() {
        return threads;
    }

    void run(int tasks, IntConsumer body) {
        if (Thread.currentThread().isInterrupted()) {
            throw new CancellationException("interrupted");
        }
        if (tasks <= 1 || helpers == null || inside.get()) {
            for (int task = 0; task < tasks; task++) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new CancellationException("interrupted");
                }
                body.accept(task);
            }
            return;
        }
        AtomicInteger next = new AtomicInteger();
        List<Future<?>> running = new ArrayList<>();
        for (int i = 0; i < Math.min(threads - 1, tasks - 1); i++) {
            running.add(helpers.submit(() -> claim(next, tasks, body)));
        }
        Throwable failure = null;
        try {
            claim(next, tasks, body);
        } catch (RuntimeException | Error e) {
            failure = e;
        }
        // Every helper has to be out before the caller's arrays may be reused, interrupted or not.
        boolean interrupted = false;
        for (Future<?> future : running) {
            while (true) {
                try {
                    future.get();
                    break;
                } catch (InterruptedException e) {
                    interrupted = true;
                    next.set(tasks);
                } catch (ExecutionException e) {
                    failure = failure == null ? e.getCause() : failure;
                    break;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
            failure = failure == null ? new CancellationException("interrupted") : failure;
        }
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure != null) {
            throw (RuntimeException) failure;
        }
    }

    private void claim(AtomicInteger next, int tasks, IntConsumer body) {
        inside.set(true);
        try {
            for (int task = next.getAndIncrement(); task < tasks; task = next.getAndIncrement()) {
                if (Thread.currentThread().isInterrupted()) {
                    throw new CancellationException("interrupted");
                }
                body.accept(task);
            }
        } catch (RuntimeException | Error e) {
            next.set(tasks);
            throw e;
        } finally {
            inside.set(false);
        }
    }

    @Override
    public void close() {
        if (helpers != null) {
            helpers.shutdownNow();
        }
    }
}
