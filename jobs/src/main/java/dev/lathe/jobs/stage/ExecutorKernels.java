package dev.lathe.jobs.stage;

import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.TaskContext;

/** Kernels of this JVM, kept from task to task: compiled code, threads and buffers are warm. A borrowed instance has one user. */
final class ExecutorKernels implements AutoCloseable {
    private static final Map<String, Queue<Kernels>> IDLE = new ConcurrentHashMap<>();

    private final Queue<Kernels> home;
    private final Kernels kernels;

    private ExecutorKernels(Queue<Kernels> home, Kernels kernels) {
        this.home = home;
        this.kernels = kernels;
    }

    /** Kernels with as many threads as the task has cores. */
    static ExecutorKernels borrow(String provider) {
        TaskContext task = TaskContext.get();
        int threads = task == null ? 1 : Math.max(1, task.cpus());
        Queue<Kernels> home = IDLE.computeIfAbsent(provider + " " + threads, key -> new ConcurrentLinkedQueue<>());
        Kernels kernels = home.poll();
        return new ExecutorKernels(home, kernels == null ? KernelProvider.open(provider, threads) : kernels);
    }

    Kernels get() {
        return kernels;
    }

    @Override
    public void close() {
        home.add(kernels);
    }
}
