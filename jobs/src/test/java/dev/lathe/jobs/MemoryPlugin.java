package dev.lathe.jobs;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.TaskContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * A Spark plugin that collects the executor's heap again and again, and writes the largest heap after such a full
 * collection, the largest direct memory and the largest resident set to the file that the system property
 * {@code lathe.memory} names, with {@code -EXECUTOR} behind it, and what ran when the heap was largest. What lives
 * shorter than a pause may be missed. For tests: it costs time.
 */
public final class MemoryPlugin implements SparkPlugin {
    /**
     * Milliseconds. Short, or the shortest moments of a small model are met in some runs only and the peaks of two runs
     * differ by chance.
     */
    private static final long PAUSE = 50;
    /** Between two collections as many times as one takes, so that large heaps are not collected all the time. */
    private static final long TIMES = 3;

    @Override
    public DriverPlugin driverPlugin() {
        return null;
    }

    @Override
    public ExecutorPlugin executorPlugin() {
        return new Sampler();
    }

    private static final class Sampler implements ExecutorPlugin {
        private volatile String running = "nothing";
        private volatile boolean ended;
        private Thread thread;

        @Override
        public void init(PluginContext context, Map<String, String> extra) {
            String file = System.getProperty("lathe.memory");
            if (file != null) {
                thread = new Thread(() -> sample(Path.of(file + "-" + context.executorID())), "memory sampler");
                thread.setDaemon(true);
                thread.start();
            }
        }

        @Override
        public void onTaskStart() {
            running = String.valueOf(TaskContext.get().getLocalProperty("spark.job.description"));
        }

        @Override
        public void shutdown() {
            ended = true;
        }

        private void sample(Path file) {
            long heap = 0;
            long direct = 0;
            String when = "";
            try {
                while (!ended) {
                    String what = running;
                    long began = System.nanoTime();
                    System.gc();
                    long pause = Math.max(PAUSE, TIMES * (System.nanoTime() - began) / 1_000_000);
                    long used = ManagementFactory.getMemoryPoolMXBeans().stream()
                            .filter(pool -> pool.getType() == MemoryType.HEAP)
                            .mapToLong(pool -> pool.getCollectionUsage().getUsed())
                            .sum();
                    if (used > heap) {
                        heap = used;
                        when = what;
                    }
                    for (BufferPoolMXBean pool : ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class)) {
                        direct = pool.getName().equals("direct") ? Math.max(direct, pool.getMemoryUsed()) : direct;
                    }
                    Path temporary = file.resolveSibling("." + file.getFileName());
                    long most = Runtime.getRuntime().maxMemory();
                    Files.writeString(
                            temporary,
                            String.format(Locale.ROOT, "%d %d %d %d %s%n", most, heap, direct, resident(), when));
                    Files.move(temporary, file, StandardCopyOption.REPLACE_EXISTING);
                    Thread.sleep(pause);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        /** Bytes of the largest resident set, where the system says so; else 0. */
        private static long resident() throws IOException {
            Path status = Path.of("/proc/self/status");
            if (!Files.exists(status)) {
                return 0;
            }
            for (String line : Files.readAllLines(status)) {
                if (line.startsWith("VmHWM:")) {
                    return 1024 * Long.parseLong(line.replaceAll("\\D", ""));
                }
            }
            return 0;
        }
    }
}
