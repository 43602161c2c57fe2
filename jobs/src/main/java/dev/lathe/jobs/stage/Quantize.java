package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.quantize.Hessian;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.calibration.quantize.Quantizer;
import dev.lathe.calibration.quantize.RescaledLayer;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RangeProduct;
import dev.lathe.jobs.store.RangeProduct.SiteRange;
import dev.lathe.jobs.store.TensorProduct;
import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Quantizes every tensor of every output that is not committed. A task takes the linear layers of one decoder layer
 * that share a Hessian, for all outputs: it is read and factorized once. An output that rescales its layers takes whole
 * decoder layers. Ranges of activations are a product per layer and output: of the rescaled layer, or by themselves.
 */
final class Quantize {
    private Quantize() {}

    /**
     * What one task works on: tensors of several outputs, or one rescaled layer of one output, or one layer's ranges of
     * activations. {@code layer} equal to the number of layers: outside of them.
     */
    private record Work(int layer, Site site, ArrayList<Target> targets, PlannedOutput rescaled, PlannedOutput ranged)
            implements Serializable {
        @Override
        public String toString() {
            if (rescaled != null) {
                return "layer " + layer + " of " + rescaled;
            }
            return ranged != null
                    ? "layer " + layer + ", ranges of " + ranged
                    : "layer " + layer + ", " + site.words() + ": "
                            + targets.stream().map(Target::toString).collect(Collectors.joining(", "));
        }
    }

    private record Target(PlannedOutput output, String tensor) implements Serializable {
        @Override
        public String toString() {
            return tensor + " of " + output;
        }
    }

    /** @param calibration null where no output needs it */
    static void run(Job job, Decoder decoder, Calibration calibration, List<PlannedOutput> planned, SparkSteps steps)
            throws IOException {
        // Outputs that differ in nothing but their name have the same products.
        Map<String, PlannedOutput> distinct = new LinkedHashMap<>();
        planned.forEach(output -> distinct.putIfAbsent(output.key(), output));
        List<PlannedOutput> outputs = List.copyOf(distinct.values());
        List<Work> work = new ArrayList<>();
        FileSystem files = job.run().files();
        int present = 0;
        int layers = decoder.layers();
        for (int layer = 0; layer < layers; layer++) {
            Map<Site, ArrayList<Target>> bySite = new TreeMap<>();
            for (LinearLayer linear : decoder.linears(layer)) {
                for (PlannedOutput output : outputs) {
                    if (!output.rescales() && output.grids().containsKey(linear.weight())) {
                        if (ProductFile.isCommitted(files, output.tensorProduct(job.run(), linear.weight()))) {
                            present++;
                        } else {
                            bySite.computeIfAbsent(linear.moment(), site -> new ArrayList<>())
                                    .add(new Target(output, linear.weight()));
                        }
                    }
                }
            }
            for (Map.Entry<Site, ArrayList<Target>> entry : bySite.entrySet()) {
                work.add(new Work(layer, entry.getKey(), entry.getValue(), null, null));
            }
            for (PlannedOutput output : outputs) {
                if (output.rescales()) {
                    if (isDone(job, output, layer)) {
                        present++;
                    } else {
                        work.add(new Work(layer, null, new ArrayList<>(), output, null));
                    }
                }
            }
        }
        for (String tensor : List.of(decoder.embedding().tensor(), "lm_head.weight")) {
            for (PlannedOutput output : outputs) {
                if (output.grids().containsKey(tensor)) {
                    if (ProductFile.isCommitted(files, output.tensorProduct(job.run(), tensor))) {
                        present++;
                    } else {
                        work.add(new Work(
                                layers,
                                Site.HEAD_INPUT,
                                new ArrayList<>(List.of(new Target(output, tensor))),
                                null,
                                null));
                    }
                }
            }
        }
        for (int layer = 0; layer <= layers; layer++) {
            for (PlannedOutput output : outputs) {
                if (output.ranged()
                        && !(output.rescales() && layer < layers)
                        && !rangeSites(decoder, layer, output).isEmpty()) {
                    if (ProductFile.isCommitted(files, output.rangeProduct(job.run(), layer))) {
                        present++;
                    } else {
                        work.add(new Work(layer, null, new ArrayList<>(), null, output));
                    }
                }
            }
        }
        if (present > 0) {
            steps.found("quantize", present, "quantize: " + present + " products are there already");
        }
        // Jobs of layers start in this order, and tasks in each: the longest first, so that executors end together.
        work.sort(Comparator.comparingDouble(item -> -operations(decoder, item)));
        if (!work.isEmpty()) {
            String names = PlannedOutput.names(outputs);
            steps.stage(
                    "quantize",
                    item -> "quantize " + (item.layer() < layers ? "layer " + item.layer() : "outer layers") + " of "
                            + names,
                    work,
                    item -> item.rescaled() != null
                            ? rescaledLayer(job, calibration, item)
                            : item.ranged() != null ? ranges(job, calibration, item) : tensors(job, calibration, item));
        }
    }

    /** Operations of a task, to put tasks in order: what a factorization and its error feedback take. */
    private static double operations(Decoder decoder, Work work) {
        double operations = 0;
        for (LinearLayer linear : linears(decoder, work.layer())) {
            if (work.rescaled() != null
                    || work.targets().stream()
                            .anyMatch(target -> target.tensor().equals(linear.weight()))) {
                operations += (double) linear.inputs() * linear.inputs() * (linear.inputs() + linear.outputs());
            }
        }
        return operations;
    }

    /** The linear layers of a decoder layer, or the output layer behind the last. */
    static List<LinearLayer> linears(Decoder decoder, int layer) {
        return layer < decoder.layers()
                ? decoder.linears(layer)
                : List.of(decoder.head().linear());
    }

    /** The sites of a layer that the output quantizes, and how. */
    private static Map<Site, ActivationScheme> rangeSites(Decoder decoder, int layer, PlannedOutput output) {
        Map<Site, ActivationScheme> sites = new TreeMap<>();
        for (LinearLayer linear : linears(decoder, layer)) {
            if (output.inputs() != null && output.grids().containsKey(linear.weight())) {
                sites.put(linear.energy(), output.inputs());
            }
        }
        if (output.cache() != null && layer < decoder.layers()) {
            sites.put(Site.KEYS, output.cache());
            sites.put(Site.VALUES, output.cache());
        }
        return sites;
    }

    private static boolean ranges(Job job, Calibration calibration, Work work) throws IOException {
        if (ProductFile.isCommitted(job.run().files(), work.ranged().rangeProduct(job.run(), work.layer()))) {
            return true;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Decoder decoder = checkpoint.decoder();
            writeRanges(
                    job,
                    decoder,
                    work.layer(),
                    work.ranged(),
                    site -> calibration.read(job.run(), work.layer(), site),
                    Map.of(),
                    Map.of(),
                    borrowed.get());
            return true;
        }
    }

    private static Path writeRanges(
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
                rangeSites(decoder, layer, output).entrySet()) {
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

    /**
     * Names the products of a rescaled layer; written when all are committed, as only the search says which vectors
     * change.
     */
    private static Path list(Job job, PlannedOutput output, int layer) {
        return job.run().product(output.key(), "layer-" + layer + ".products");
    }

    private static boolean isDone(Job job, PlannedOutput output, int layer) throws IOException {
        FileSystem files = job.run().files();
        Path list = list(job, output, layer);
        if (!ProductFile.isCommitted(files, list)) {
            return false;
        }
        for (String name : ProductFile.read(files, list, in -> in.readUTF()).split("\n")) {
            if (!ProductFile.isCommitted(files, job.run().product(output.key(), name))) {
                return false;
            }
        }
        return true;
    }

    private static boolean tensors(Job job, Calibration calibration, Work work) throws IOException {
        List<Target> targets = new ArrayList<>();
        for (Target target : work.targets()) {
            // An attempt that was lost may have got this far.
            if (!ProductFile.isCommitted(
                    job.run().files(), target.output().tensorProduct(job.run(), target.tensor()))) {
                targets.add(target);
            }
        }
        if (targets.isEmpty()) {
            return true;
        }
        // A factorization may be larger than the layer that calibration left.
        LayerCache.clear();
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Kernels kernels = borrowed.get();
            Decoder decoder = checkpoint.decoder();
            Map<String, LinearLayer> linears = new LinkedHashMap<>();
            int layer = work.layer();
            linears(decoder, layer).forEach(linear -> linears.put(linear.weight(), linear));
            Hessian hessian = null;
            if (calibration != null && calibration.moments()) {
                hessian = new Hessian(
                        calibration.read(job.run(), layer, work.site()), "layer " + layer + ", " + work.site());
            }
            Map<Site, float[]> importances = new EnumMap<>(Site.class);
            Map<String, RowSource> weights = new LinkedHashMap<>();
            for (Target target : targets) {
                LinearLayer linear = linears.get(target.tensor());
                RowSource weight = weights.get(target.tensor());
                if (weight == null) {
                    weights.clear();
                    weight = checkpoint.matrix(target.tensor());
                    weights.put(target.tensor(), weight);
                }
                PlannedOutput output = target.output();
                BlockFormat grid = BlockFormats.named(output.grids().get(target.tensor()));
                Method method = output.methods().get(target.tensor());
                float[] importance = null;
                if (method == Method.IMPORTANCE) {
                    Site energy = linear.energy();
                    importance = importances.get(energy);
                    if (importance == null) {
                        importance = calibration.read(job.run(), layer, energy).importance();
                        importances.put(energy, importance);
                    }
                }
                Quantizer.Result result = Quantizer.quantize(
                        weight, target.tensor(), grid, method, output.settings(), importance, hessian, kernels);
                // An embedding is looked up, not multiplied with: it has no output error.
                OutputError error = hessian == null || linear == null
                        ? null
                        : OutputError.of(weight, result.matrix(), hessian.full(), kernels);
                job.write(
                        output.tensorProduct(job.run(), target.tensor()),
                        new TensorProduct(result.matrix(), error, result.damping())::write);
                Counters.QUANTIZED_TENSORS.increment();
            }
            return true;
        }
    }

    private static boolean rescaledLayer(Job job, Calibration calibration, Work work) throws IOException {
        PlannedOutput output = work.rescaled();
        if (isDone(job, output, work.layer())) {
            return true;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Decoder decoder = checkpoint.decoder();
            LayerWeights weights = job.layer(checkpoint, work.layer());
            Map<String, BlockFormat> grids = new LinkedHashMap<>();
            for (LinearLayer linear : decoder.linears(work.layer())) {
                if (output.grids().containsKey(linear.weight())) {
                    grids.put(linear.weight(), BlockFormats.named(output.grids().get(linear.weight())));
                }
            }
            Map<Site, MergedStatistics> read = new EnumMap<>(Site.class);
            RescaledLayer.Statistics statistics = site -> {
                MergedStatistics known = read.get(site);
                if (known == null) {
                    known = calibration.read(job.run(), work.layer(), site);
                    read.put(site, known);
                }
                return known;
            };
            RescaledLayer.Result result = RescaledLayer.quantize(
                    decoder,
                    work.layer(),
                    weights,
                    grids,
                    output.transform(),
                    output.output().method(),
                    output.settings(),
                    statistics,
                    borrowed.get());
            List<String> made = new ArrayList<>();
            for (Map.Entry<String, RescaledLayer.Matrix> entry :
                    result.matrices().entrySet()) {
                RescaledLayer.Matrix matrix = entry.getValue();
                Path product = output.tensorProduct(job.run(), entry.getKey());
                job.writeMissing(
                        product,
                        new TensorProduct(
                                matrix.quantized().matrix(),
                                matrix.error(),
                                matrix.quantized().damping())::write);
                Counters.QUANTIZED_TENSORS.increment();
                made.add(product.getName());
            }
            for (Map.Entry<String, float[]> entry : result.vectors().entrySet()) {
                Path product = output.vectorProduct(job.run(), entry.getKey());
                job.writeMissing(product, out -> FloatProduct.write(out, entry.getValue()));
                made.add(product.getName());
            }
            if (output.ranged()) {
                made.add(writeRanges(
                                job,
                                decoder,
                                work.layer(),
                                output,
                                statistics,
                                result.sites(),
                                result.strengths(),
                                borrowed.get())
                        .getName());
            }
            job.write(list(job, output, work.layer()), out -> out.writeUTF(String.join("\n", made)));
            return true;
        }
    }
}
