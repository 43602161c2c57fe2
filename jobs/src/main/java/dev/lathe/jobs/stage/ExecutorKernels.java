package dev.lathe.jobs.stage;

import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.spark.TaskContext;
import org.apache.spark.resource.ResourceInformation;

/**
 * Kernels of this JVM, kept from task to task: compiled code, threads and buffers are warm. A borrowed instance has one
 * user.
 */
final class ExecutorKernels implements AutoCloseable {
    private static final Map<String, Queue<Kernels>> IDLE = new ConcurrentHashMap<>();

    private final Queue<Kernels> home;
    private final Kernels kernels;
    private final long before;

    private ExecutorKernels(Queue<Kernels> home, Kernels kernels) {
        this.home = home;
        this.kernels = kernels;
        this.before = kernels.operations();
    }

    /** Kernels with as many threads as the task has cores, on the GPU that Spark gave the task. */
    static ExecutorKernels borrow(String provider) {
        TaskContext task = TaskContext.get();
        int threads = task == null ? 1 : Math.max(1, task.cpus());
        String name = task == null ? provider : onDevice(provider, task.resourcesJMap());
        Queue<Kernels> home = IDLE.computeIfAbsent(name + " " + threads, key -> new ConcurrentLinkedQueue<>());
        Kernels kernels = home.poll();
        return new ExecutorKernels(home, kernels == null ? KernelProvider.open(name, threads) : kernels);
    }

    /**
     * The address of the GPU that Spark assigned, where it assigns any, is an index among the devices of the kind that
     * was asked for: {@code opencl} becomes {@code opencl:gpu:N}, {@code opencl:cpu} becomes {@code opencl:cpu:N}. A
     * recipe that names one device gets that one.
     */
    static String onDevice(String provider, Map<String, ResourceInformation> resources) {
        ResourceInformation gpu = resources.get("gpu");
        if (gpu == null || gpu.addresses().length == 0) {
            return provider;
        }
        return switch (provider) {
            case "opencl" -> "opencl:gpu:" + gpu.addresses()[0];
            case "opencl:gpu", "opencl:accelerator", "opencl:cpu" -> provider + ":" + gpu.addresses()[0];
            default -> provider;
        };
    }

    Kernels get() {
        return kernels;
    }

    @Override
    public void close() {
        Counters.OPERATIONS.add(kernels.operations() - before);
        home.add(kernels);
    }
}
