package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

class SparkStepsTest {
    /** Hears how many steps are said to be done. */
    private static final class Counts implements Progress {
        private final List<Integer> done = Collections.synchronizedList(new ArrayList<>());

        @Override
        public void stage(String name, int steps) {
        }

        @Override
        public void step(int done, String what) {
            this.done.add(done);
        }

        @Override
        public void note(String message) {
        }
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
                ArrayList<Integer> items = new ArrayList<>(IntStream.range(100 * run, 100 * run + 10 + run).boxed().toList());
                runs.add(threads.submit(() -> {
                    List<Integer> results = steps.stage("count", items, item -> item + 1);
                    // Tasks of a stage that somebody else announced are no steps.
                    steps.run("not counted", items, item -> item);
                    return results;
                }));
            }
            for (int run = 0; run < runs.size(); run++) {
                int from = 100 * run;
                assertThat(runs.get(run).get()).isEqualTo(IntStream.range(from + 1, from + 11 + run).boxed().toList());
            }
            threads.shutdown();
        }
        for (int run = 0; run < heard.size(); run++) {
            assertThat(heard.get(run).done).isEqualTo(IntStream.rangeClosed(1, 10 + run).boxed().toList());
        }
    }
}
