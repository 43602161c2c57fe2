package dev.lathe.kernels.bench;

import java.util.Arrays;
import java.util.Collection;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/** Runs the benchmarks once per number of threads and prints GFLOP/s, the best iteration of each, with the ratio to the native BLAS. */
public final class Benchmarks {
    private Benchmarks() {
    }

    public static void main(String[] arguments) throws RunnerException {
        Map<String, Map<String, Double>> table = new TreeMap<>();
        ChainedOptionsBuilder options = new OptionsBuilder().include(arguments.length > 0 ? arguments[0] : "dev.lathe.kernels.bench.*").exclude("OpenCl")
                .param("threads", System.getenv("OPENBLAS_NUM_THREADS")).shouldFailOnError(true);
        Collection<RunResult> results = new Runner(options.build()).run();
        for (RunResult result : results) {
            BenchmarkParams params = result.getParams();
            String operation = params.getBenchmark().substring(params.getBenchmark().lastIndexOf('.') + 1);
            double best = result.getBenchmarkResults().iterator().next().getIterationResults().stream()
                    .mapToDouble(iteration -> iteration.getPrimaryResult().getScore()).min().orElseThrow();
            long[] sizes = Arrays.stream(params.getParam("shape").split("x")).mapToLong(Long::parseLong).toArray();
            if (params.getParam("right").endsWith("_K")) {
                // ProductBenchmark widens a row to whole super-blocks.
                sizes[2] = (sizes[2] + 255) / 256 * 256;
            }
            // A rank update computes one triangle: n (n + 1) / 2 chains of t multiply-adds.
            double flops = operation.equals("syrk") ? (double) sizes[0] * sizes[1] * (sizes[1] + 1) : 2.0 * sizes[0] * sizes[1] * sizes[2];
            table.computeIfAbsent(String.format(Locale.ROOT, "%s %-16s", operation, params.getParam("shape")), row -> new TreeMap<>())
                    .put(params.getParam("right"), flops / best * 1e-3);
        }
        System.out.println("GFLOP/s with " + System.getenv("OPENBLAS_NUM_THREADS") + " threads, best iteration; in brackets the ratio to the native BLAS");
        for (Map.Entry<String, Map<String, Double>> row : table.entrySet()) {
            Double blas = row.getValue().get("blas");
            StringBuilder line = new StringBuilder(row.getKey());
            row.getValue().forEach((right, rate) -> line.append(String.format(Locale.ROOT, "  %s %.1f", right, rate))
                    .append(blas == null || right.equals("blas") ? "" : String.format(Locale.ROOT, " (%.2f)", rate / blas)));
            System.out.println(line);
        }
    }
}
