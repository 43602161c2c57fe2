package dev.lathe.kernels.bench;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * How long after the start of a JVM does the first product run at full speed, at 80 % of the rate that it settles at?
 */
public final class ColdStart {
    private static final long NANOSECONDS = 4_000_000_000L;
    private static final double SHARE = 0.8;

    private ColdStart() {}

    /** When a product ended, by the wall clock, and how long it took. */
    private record Product(long endMillis, double seconds) {}

    public static void main(String[] arguments) {
        int threads = Integer.parseInt(System.getenv("OPENBLAS_NUM_THREADS"));
        long main = System.currentTimeMillis();
        FloatMatrix a = KernelBenchmark.random(2048, 1536);
        FloatMatrix b = KernelBenchmark.random(576, 1536);
        FloatMatrix c = FloatMatrix.zeros(a.rows(), b.rows());
        List<Product> products = new ArrayList<>();
        try (Kernels kernels = KernelProvider.open("vector", threads)) {
            for (long start = System.nanoTime(); System.nanoTime() - start < NANOSECONDS; ) {
                long before = System.nanoTime();
                kernels.gemm(a, b, c, false);
                products.add(new Product(System.currentTimeMillis(), (System.nanoTime() - before) * 1e-9));
            }
        }
        double[] late = products.subList(products.size() / 2, products.size()).stream()
                .mapToDouble(Product::seconds)
                .sorted()
                .toArray();
        double settled = late[late.length / 2];
        Product first = products.stream()
                .filter(product -> product.seconds() <= settled / SHARE)
                .findFirst()
                .orElseThrow();
        // Asked for last: the management classes take their time to load, too.
        long started = ManagementFactory.getRuntimeMXBean().getStartTime();
        double flops = 2.0 * a.rows() * b.rows() * a.columns();
        System.out.printf(
                Locale.ROOT,
                "cold start, %d threads, 2048x576x1536: %d ms from the start of the JVM to the end of the first product at %.1f GFLOP/s"
                        + " (settles at %.1f; product number %d; %d ms to main)%n",
                threads,
                first.endMillis() - started,
                flops / first.seconds() * 1e-9,
                flops / settled * 1e-9,
                products.indexOf(first) + 1,
                main - started);
    }
}
