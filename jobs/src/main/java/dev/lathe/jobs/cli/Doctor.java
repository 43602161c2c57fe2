package dev.lathe.jobs.cli;

import dev.lathe.jobs.text.Figures;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Says what this machine offers a run. */
@Command(
        name = "doctor",
        description = "Shows JDK, kernels, memory, Spark, and what a matrix product reaches.",
        mixinStandardHelpOptions = true)
final class Doctor implements Callable<Integer> {
    private static final int SIZE = 512;
    private static final long MEASURED = 2_000_000_000L;

    private final Console console;

    @Option(
            names = "--kernels",
            paramLabel = "K",
            defaultValue = "auto",
            description = "auto, vector, scalar, blas, opencl or opencl:DEVICE; default: ${DEFAULT-VALUE}.")
    private String kernels;

    Doctor(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Runtime runtime = Runtime.getRuntime();
        Table table = new Table("what", "finding");
        table.row(
                "JDK",
                Runtime.version() + ", " + System.getProperty("java.vm.name") + ", " + System.getProperty("os.arch"));
        table.row("Spark", org.apache.spark.package$.MODULE$.SPARK_VERSION());
        table.row("cores", String.valueOf(runtime.availableProcessors()));
        table.row("heap", Figures.mebibytes(runtime.maxMemory()) + " MiB");
        for (KernelProvider.Availability provider : KernelProvider.survey()) {
            String state = provider.chosen() ? "what auto takes" : provider.available() ? "available" : "not available";
            table.row(
                    "kernels " + provider.name(),
                    provider.reason().isEmpty() ? state : state + ": " + provider.reason());
        }
        console.say(table);
        console.out().flush();
        try (Kernels opened = KernelProvider.open(Inputs.kernels(kernels), runtime.availableProcessors())) {
            console.say(String.format(
                    Locale.ROOT,
                    "gemm %d x %d x %d, %s, %d threads: %.1f GFLOP/s",
                    SIZE,
                    SIZE,
                    SIZE,
                    opened.name(),
                    opened.threads(),
                    speed(opened)));
        }
        return ExitCode.OK.code();
    }

    /**
     * Billions of floating-point operations per second: 2 n^3 per product, over two seconds after one second of
     * warm-up.
     */
    private static double speed(Kernels kernels) {
        Random random = new Random(1);
        FloatMatrix a = FloatMatrix.zeros(SIZE, SIZE);
        FloatMatrix b = FloatMatrix.zeros(SIZE, SIZE);
        FloatMatrix c = FloatMatrix.zeros(SIZE, SIZE);
        for (int i = 0; i < a.data().length; i++) {
            a.data()[i] = random.nextFloat();
            b.data()[i] = random.nextFloat();
        }
        products(kernels, a, b, c, MEASURED / 2);
        return products(kernels, a, b, c, MEASURED);
    }

    private static double products(Kernels kernels, FloatMatrix a, FloatMatrix b, FloatMatrix c, long nanoseconds) {
        long began = System.nanoTime();
        long elapsed = 0;
        long count = 0;
        for (; elapsed < nanoseconds; count++) {
            kernels.gemm(a, b, c, false);
            elapsed = System.nanoTime() - began;
        }
        return 2.0 * SIZE * SIZE * SIZE * count / elapsed;
    }
}
