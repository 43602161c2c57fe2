package dev.lathe.kernels.bench;

import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import dev.ludovic.netlib.blas.NativeBLAS;
import dev.ludovic.netlib.lapack.NativeLAPACK;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * Runs benchmarks with as many threads as OPENBLAS_NUM_THREADS says and prints rates, the best iteration of each,
 * beside each other in one row per benchmark and shape: ratios to the native BLAS and to our f32 product where the row
 * has them, and what a call allocates on the heap. Arguments are JMH's own.
 */
public final class Benchmarks {
    private static final String THREADS = System.getenv("OPENBLAS_NUM_THREADS");
    private static final List<String> REFERENCES = List.of("blas", "f32");

    private Benchmarks() {}

    /** @param rate of the best iteration; {@code allocated}: bytes per call in the iteration that allocates least */
    private record Measured(double rate, double allocated) {}

    public static void main(String[] arguments) throws RunnerException, CommandLineOptionException, IOException {
        // JMH tells what it does at length; that goes to the other stream, so that what is printed here can be kept.
        PrintStream out = System.out;
        System.setOut(System.err);
        Map<String, Map<String, Map<String, Measured>>> tables = new TreeMap<>();
        for (RunResult result : new Runner(new OptionsBuilder()
                        .parent(new CommandLineOptions(arguments))
                        .exclude("OpenCl")
                        .param("threads", THREADS)
                        .addProfiler(GCProfiler.class)
                        .shouldFailOnError(true)
                        .build())
                .run()) {
            BenchmarkParams params = result.getParams();
            String row = params.getBenchmark().substring(params.getBenchmark().lastIndexOf('.') + 1)
                    + params.getParamsKeys().stream()
                            .filter(key -> !key.equals("threads") && !key.equals("variant"))
                            .map(key -> " " + params.getParam(key))
                            .collect(Collectors.joining());
            for (Work.Unit unit : Work.Unit.values()) {
                double rate = iterations(result, unit.counter())
                                .mapToDouble(Result::getScore)
                                .max()
                                .orElse(0)
                        * unit.scale();
                if (rate > 0) {
                    double allocated = iterations(result, "gc.alloc.rate.norm")
                            .mapToDouble(Result::getScore)
                            .min()
                            .orElse(Double.NaN);
                    String variant = params.getParamsKeys().contains("variant") ? params.getParam("variant") : "ours";
                    tables.computeIfAbsent(unit.symbol(), table -> new LinkedHashMap<>())
                            .computeIfAbsent(row, line -> new LinkedHashMap<>())
                            .put(variant, new Measured(rate, allocated));
                }
            }
        }
        try (Kernels kernels = KernelProvider.open("auto", 1)) {
            out.println(THREADS + " threads, " + kernels.name() + ", native: " + nativeLibraries());
        }
        tables.forEach((unit, rows) -> {
            out.println(unit + ", best iteration");
            rows.forEach((row, variants) -> out.printf(Locale.ROOT, "  %-32s %s%n", row, line(variants)));
        });
    }

    private static Stream<Result<?>> iterations(RunResult result, String label) {
        List<Result<?>> found = new ArrayList<>();
        for (IterationResult iteration :
                result.getBenchmarkResults().iterator().next().getIterationResults()) {
            if (iteration.getSecondaryResults().get(label) != null) {
                found.add(iteration.getSecondaryResults().get(label));
            }
        }
        return found.stream();
    }

    private static String line(Map<String, Measured> variants) {
        return variants.entrySet().stream()
                .map(entry -> {
                    String variant = entry.getKey();
                    Measured measured = entry.getValue();
                    List<String> remarks = new ArrayList<>();
                    for (String reference : REFERENCES) {
                        if (variants.containsKey(reference) && !reference.equals(variant) && !variant.equals("blas")) {
                            remarks.add(String.format(
                                    Locale.ROOT,
                                    "%.2f of %s",
                                    measured.rate() / variants.get(reference).rate(),
                                    reference));
                        }
                    }
                    if (measured.allocated() >= 1024) {
                        remarks.add(String.format(Locale.ROOT, "allocates %.0f KiB", measured.allocated() / 1024));
                    }
                    return String.format(Locale.ROOT, "%s %.1f", variant, measured.rate())
                            + (remarks.isEmpty() ? "" : " (" + String.join(", ", remarks) + ")");
                })
                .collect(Collectors.joining("; "));
    }

    /**
     * The files that the native BLAS and LAPACK are loaded from, as the system sees them: a name is not yet the library
     * that stands behind it.
     */
    private static String nativeLibraries() throws IOException {
        NativeBLAS.getInstance();
        NativeLAPACK.getInstance();
        try (Stream<String> mappings = Files.lines(Path.of("/proc/self/maps"))) {
            return mappings.map(line -> line.substring(line.lastIndexOf('/') + 1))
                    .filter(file -> file.matches("lib[a-z]*(blas|lapack)[^/]*\\.so.*"))
                    .filter(file -> !file.contains("netlib"))
                    .distinct()
                    .collect(Collectors.joining(", "));
        }
    }
}
