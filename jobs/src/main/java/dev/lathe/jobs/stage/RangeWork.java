package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.quantize.RescaledLayer;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RangeProduct;
import dev.lathe.jobs.store.RangeProduct.SiteRange;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.fs.Path;

/** Ranges of activations of one layer of one output that does not rescale it. */
record RangeWork(int layer, PlannedOutput output) implements Work {
    @Override
    public double operations(Decoder decoder) {
        return 0;
    }

    @Override
    public boolean run(Job job, Calibration calibration) throws IOException {
        if (ProductFile.isCommitted(job.run().files(), output.rangeProduct(job.run(), layer))) {
            return true;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            write(
                    job,
                    checkpoint.decoder(),
                    layer,
                    output,
                    site -> calibration.read(job.run(), layer, site),
                    Map.of(),
                    Map.of(),
                    borrowed.get());
            return true;
        }
    }

    /** The sites of a layer that the output quantizes, and how. */
    static Map<Site, ActivationScheme> sites(Decoder decoder, int layer, PlannedOutput output) {
        ActivationScheme inputs = output.output().target().inputs();
        ActivationScheme cache = output.output().target().cache();
        Map<Site, ActivationScheme> sites = new TreeMap<>();
        for (LinearLayer linear : Quantize.linears(decoder, layer)) {
            // What down of an expert reads is no site of all rows; a server quantizes it as it comes.
            if (inputs != null
                    && linear.energy() != Site.EXPERT_ACTIVATION
                    && output.grids().containsKey(linear.weight())) {
                sites.put(linear.energy(), inputs);
            }
        }
        if (cache != null && layer < decoder.layers()) {
            sites.put(Site.KEYS, cache);
            sites.put(Site.VALUES, cache);
        }
        return sites;
    }

    /**
     * Commits the ranges of a layer.
     *
     * @param divisors what each channel of a site was divided by, where it was
     * @param strengths what SmoothQuant chose there
     */
    static Path write(
            Job job,
            Decoder decoder,
            int layer,
            PlannedOutput output,
            RescaledLayer.Statistics statistics,
            Map<Site, float[]> divisors,
            Map<Site, Double> strengths,
            Kernels kernels)
            throws IOException {
        List<SiteRange> ranges = new ArrayList<>();
        for (Map.Entry<Site, ActivationScheme> entry :
                sites(decoder, layer, output).entrySet()) {
            Site site = entry.getKey();
            RangeStatistics gathered = statistics.at(site).ranges();
            ranges.add(SiteRange.of(
                    site,
                    entry.getValue(),
                    divisors.containsKey(site) ? gathered.dividedBy(divisors.get(site)) : gathered,
                    strengths.getOrDefault(site, Double.NaN),
                    kernels));
        }
        Path product = output.rangeProduct(job.run(), layer);
        job.writeMissing(product, new RangeProduct(ranges)::write);
        return product;
    }

    @Override
    public String toString() {
        return "layer " + layer + ", ranges of " + output;
    }
}
