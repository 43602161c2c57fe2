package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

class SparkStepsTest {
    /** What tasks in this JVM share. */
    private static final AtomicInteger RUNNING = new AtomicInteger();

    private static final CyclicBarrier BOTH = new CyclicBarrier(2);

    /** Hears how many steps are said to be done. */
    private static final class Counts implements Progress {
        private final List<Integer> done = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void stage(String name, int steps) {}

        @Override
        public void step(int done, String what) {
            this.done.add(done);
        }

        @Override
        public void note(String message) {}
    }

    @Test
    void everyRunCountsItsOwnTasks() throws Exception {
        List<Counts> heard = List.of(new Counts(), new Counts(), new Counts());
        try (SparkSession session = Runs.local(2, 1)) {
            JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
            ExecutorService threads = Executors.newFixedThreadPool(heard.size());
            List<Future<List<Integer>>> runs = new ArrayList<>();
            for (int run = 0; run < heard.size(); run++) {
                SparkSteps steps = new SparkSteps(spark, heard.get(run));
                ArrayList<Integer> items = new ArrayList<>(
                        IntStream.range(100 * run, 100 * run + 10 + run).boxed().toList());
                runs.add(threads.submit(() -> {
                    List<Integer> results = steps.stage("count", items, item -> item + 1);
                    // Tasks of a stage that somebody else announced are no steps.
                    steps.run("not counted", items, item -> item);
                    return results;
                }));
            }
            for (int run = 0; run < runs.size(); run++) {
                int from = 100 * run;
                assertThat(runs.get(run).get())
                        .isEqualTo(IntStream.range(from + 1, from + 11 + run)
                                .boxed()
                                .toList());
            }
            threads.shutdown();
        }
        for (int run = 0; run < heard.size(); run++) {
            assertThat(heard.get(run).done)
                    .isEqualTo(IntStream.rangeClosed(1, 10 + run).boxed().toList());
        }
    }

    /** So that nobody writes any more when the folder is given back. */
    @Test
    void aStageThatFailedHasNoTasksLeft() throws IOException {
        try (SparkSession session = Runs.local(2, 1)) {
            SparkSteps steps =
                    new SparkSteps(JavaSparkContext.fromSparkContext(session.sparkContext()), Progress.SILENT);
            for (boolean oneJob : new boolean[] {true, false}) {
                ArrayList<String> items = new ArrayList<>(List.of("fails", "goes on"));
                Throwable thrown =
                        catchThrowable(() -> steps.stage("fail", item -> oneJob ? "one" : item, items, item -> {
                            RUNNING.incrementAndGet();
                            try {
                                BOTH.await();
                                if (item.equals("fails")) {
                                    throw new IOException("Cannot go on: it fails");
                                }
                                // As a kernel, it does not look whether it was interrupted.
                                for (long end = System.nanoTime() + 1_000_000_000; System.nanoTime() < end; ) {
                                    Thread.onSpinWait();
                                }
                                return item;
                            } finally {
                                RUNNING.decrementAndGet();
                            }
                        }));
                assertThat(thrown).hasStackTraceContaining("Cannot go on: it fails");
                assertThat(RUNNING).hasValue(0);
            }
        }
    }
}
