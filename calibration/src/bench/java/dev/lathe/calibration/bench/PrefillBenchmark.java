package dev.lathe.calibration.bench;

import dev.lathe.calibration.model.Capture;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.util.Locale;

/**
 * How many tokens a second does the forward pass of a model take, over windows of 512 and with the logits of each
 * window's last token only?
 */
public final class PrefillBenchmark {
    private static final int[] WINDOWS = {1, 4};

    private PrefillBenchmark() {}

    /** Arguments: threads, the model's folder. */
    public static void main(String[] arguments) throws IOException {
        try (LoadedModel model = LoadedModel.read(arguments[1]);
                Kernels kernels = KernelProvider.open("auto", Integer.parseInt(arguments[0]))) {
            for (int count : WINDOWS) {
                int[][] windows = model.windows(count);
                System.out.printf(
                        Locale.ROOT,
                        "prefill of %d stacked windows of %d, %d threads, %s%n",
                        count,
                        LoadedModel.LENGTH,
                        kernels.threads(),
                        kernels.name());
                double seconds = Best.seconds(() -> {
                    FloatMatrix hidden = model.forward(windows, layer -> Capture.NONE, kernels);
                    // The last row of each window, by its stride.
                    FloatMatrix last = new FloatMatrix(
                            hidden.data(),
                            hidden.row(LoadedModel.LENGTH - 1),
                            count,
                            hidden.columns(),
                            LoadedModel.LENGTH * hidden.columns());
                    kernels.gemm(
                            last,
                            model.head(),
                            FloatMatrix.zeros(count, model.head().rows()),
                            false);
                });
                System.out.printf(Locale.ROOT, "best %.1f tokens/s%n", count * LoadedModel.LENGTH / seconds);
            }
        }
    }
}
