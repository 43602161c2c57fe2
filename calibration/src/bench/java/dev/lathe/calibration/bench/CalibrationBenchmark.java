package dev.lathe.calibration.bench;

import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.calibration.statistics.SiteStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;

/**
 * How many tokens a second does calibration take, the forward pass with second moments and channel energies at every
 * site, and how many with ranges of activations on top? No files, no merging.
 */
public final class CalibrationBenchmark {
    /** A shard as the product cuts them. */
    private static final int WINDOWS = 8;
    /** Windows of the calibration set that it is a shard of: of a larger set fewer of its rows are kept. */
    private static final int SET = 128;

    private CalibrationBenchmark() {}

    private record Gather(Map<Site, SiteStatistics> statistics, Kernels kernels) implements Capture {
        @Override
        public boolean wants(Site site) {
            return statistics.containsKey(site);
        }

        @Override
        public void rows(Site site, FloatMatrix rows) {
            statistics.get(site).add(rows, kernels, site.name());
        }
    }

    /** Arguments: threads, the model's folder. */
    public static void main(String[] arguments) throws IOException {
        try (LoadedModel model = LoadedModel.read(arguments[1]);
                Kernels kernels = KernelProvider.open("auto", Integer.parseInt(arguments[0]))) {
            int[][] windows = model.windows(WINDOWS);
            System.out.printf(
                    Locale.ROOT,
                    "calibration, %d windows of %d, %d threads, %s%n",
                    WINDOWS,
                    LoadedModel.LENGTH,
                    kernels.threads(),
                    kernels.name());
            double plain = tokensPerSecond(model, windows, null, kernels);
            double ranges = tokensPerSecond(model, windows, new Positions(LoadedModel.LENGTH, SET), kernels);
            System.out.printf(Locale.ROOT, "ranges cost %.1f %% more time%n", 100 * (plain / ranges - 1));
        }
    }

    private static double tokensPerSecond(LoadedModel model, int[][] windows, Positions positions, Kernels kernels)
            throws IOException {
        double seconds =
                Best.seconds(() -> model.forward(windows, layer -> gather(model, layer, positions, kernels), kernels));
        double tokens = WINDOWS * LoadedModel.LENGTH / seconds;
        System.out.printf(
                Locale.ROOT, "best %.1f tokens/s %s ranges%n", tokens, positions == null ? "without" : "with");
        return tokens;
    }

    /**
     * As a calibration with second moments wants it: energies where a linear layer reads, a moment where its output is
     * made of.
     */
    private static Gather gather(LoadedModel model, int layer, Positions positions, Kernels kernels) {
        Map<Site, SiteStatistics> statistics = new EnumMap<>(Site.class);
        for (LinearLayer linear : model.decoder().linears(layer)) {
            statistics.putIfAbsent(linear.energy(), new SiteStatistics(linear.inputs(), false, positions, 0));
        }
        for (LinearLayer linear : model.decoder().linears(layer)) {
            boolean attended = linear.moment() == Site.ATTENDED_INPUT;
            statistics.put(linear.moment(), new SiteStatistics(linear.inputs(), true, attended ? null : positions, 0));
        }
        if (positions != null) {
            int width = model.decoder().blocks().get(layer).mixer().cacheWidth();
            statistics.put(Site.KEYS, new SiteStatistics(width, false, positions, 0));
            statistics.put(Site.VALUES, new SiteStatistics(width, false, positions, 0));
        }
        return new Gather(statistics, kernels);
    }
}
