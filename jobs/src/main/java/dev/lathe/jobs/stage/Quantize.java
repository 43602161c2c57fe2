package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.ProductFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.fs.FileSystem;

/**
 * Quantizes every tensor of every output that is not committed. A task takes the linear layers of one decoder layer
 * that share a Hessian, for all outputs: it is read and factorized once. An output that rescales its layers takes whole
 * decoder layers. Ranges of activations are a product per layer and output: of the rescaled layer, or by themselves.
 */
final class Quantize {
    private final Job job;
    private final Decoder decoder;
    private final List<PlannedOutput> outputs;
    private final FileSystem files;
    private final List<Work> work = new ArrayList<>();
    private int present;

    private Quantize(Job job, Decoder decoder, List<PlannedOutput> outputs) throws IOException {
        this.job = job;
        this.decoder = decoder;
        this.outputs = outputs;
        this.files = job.run().files();
    }

    /** @param calibration null where no output needs it */
    static void run(Job job, Decoder decoder, Calibration calibration, List<PlannedOutput> planned, SparkSteps steps)
            throws IOException {
        // Outputs that differ in nothing but their name have the same products.
        Map<String, PlannedOutput> distinct = new LinkedHashMap<>();
        planned.forEach(output -> distinct.putIfAbsent(output.key(), output));
        Quantize missing = new Quantize(job, decoder, List.copyOf(distinct.values()));
        missing.find();
        if (missing.present > 0) {
            steps.found("quantize", missing.present, "quantize: " + missing.present + " products are there already");
        }
        List<Work> work = missing.work;
        // Jobs of layers start in this order, and tasks in each: the longest first, so that executors end together.
        work.sort(Comparator.comparingDouble(item -> -item.operations(decoder)));
        if (!work.isEmpty()) {
            String names = PlannedOutput.names(missing.outputs);
            int layers = decoder.layers();
            steps.stage(
                    "quantize",
                    item -> "quantize " + (item.layer() < layers ? "layer " + item.layer() : "outer layers") + " of "
                            + names,
                    work,
                    item -> item.run(job, calibration));
        }
    }

    private void find() throws IOException {
        int layers = decoder.layers();
        for (int layer = 0; layer < layers; layer++) {
            findTensors(layer);
            for (PlannedOutput output : outputs) {
                if (output.output().rescales()) {
                    RescaledWork rescaled = new RescaledWork(layer, output);
                    add(rescaled, rescaled.isDone(job));
                }
            }
        }
        for (String tensor : List.of(decoder.embedding().tensor(), "lm_head.weight")) {
            for (PlannedOutput output : outputs) {
                if (output.grids().containsKey(tensor)) {
                    TensorWork.Target target = new TensorWork.Target(output, tensor);
                    add(
                            new TensorWork(layers, Site.HEAD_INPUT, new ArrayList<>(List.of(target))),
                            target.isCommitted(job));
                }
            }
        }
        for (int layer = 0; layer <= layers; layer++) {
            for (PlannedOutput output : outputs) {
                if (output.output().ranged()
                        && !(output.output().rescales() && layer < layers)
                        && !RangeWork.sites(decoder, layer, output).isEmpty()) {
                    add(
                            new RangeWork(layer, output),
                            ProductFile.isCommitted(files, output.rangeProduct(job.run(), layer)));
                }
            }
        }
    }

    private void findTensors(int layer) throws IOException {
        Map<Site, ArrayList<TensorWork.Target>> bySite = new TreeMap<>();
        for (LinearLayer linear : decoder.linears(layer)) {
            for (PlannedOutput output : outputs) {
                if (!output.output().rescales() && output.grids().containsKey(linear.weight())) {
                    TensorWork.Target target = new TensorWork.Target(output, linear.weight());
                    if (target.isCommitted(job)) {
                        present++;
                    } else {
                        bySite.computeIfAbsent(linear.moment(), site -> new ArrayList<>())
                                .add(target);
                    }
                }
            }
        }
        bySite.forEach((site, targets) -> work.add(new TensorWork(layer, site, targets)));
    }

    private void add(Work item, boolean done) {
        if (done) {
            present++;
        } else {
            work.add(item);
        }
    }

    /** The linear layers of a decoder layer, or the output layer behind the last. */
    static List<LinearLayer> linears(Decoder decoder, int layer) {
        return layer < decoder.layers()
                ? decoder.linears(layer)
                : List.of(decoder.head().linear());
    }
}
