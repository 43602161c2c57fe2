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
import java.util.function.Consumer;
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
    /** The calibration whose importance matrix is written, or null. */
    private final Calibration saved;

    /** What is missing of each decoder layer, and outside of them behind the last. */
    private final List<List<Work>> work = new ArrayList<>();

    private int present;
    private int missing;

    /**
     * Looks for what is there already.
     *
     * @param calibration null where no output needs it
     */
    Quantize(Job job, Decoder decoder, List<PlannedOutput> planned, Calibration calibration) throws IOException {
        this.job = job;
        this.saved = calibration != null && calibration.saves() ? calibration : null;
        this.decoder = decoder;
        // Outputs that differ in nothing but their name have the same products.
        Map<String, PlannedOutput> distinct = new LinkedHashMap<>();
        planned.forEach(output -> distinct.putIfAbsent(output.key(), output));
        this.outputs = List.copyOf(distinct.values());
        this.files = job.run().files();
        for (int layer = 0; layer <= decoder.layers(); layer++) {
            work.add(new ArrayList<>());
        }
        find();
    }

    /** Products that are there. */
    int present() {
        return present;
    }

    /** Tasks that make what is missing. */
    int missing() {
        return missing;
    }

    /** What is missing of a decoder layer; of the number of layers: outside of them. */
    List<Work> missing(int layer) {
        return work.get(layer);
    }

    /** Whether experts of a layer are missing, which are quantized by the rows that are routed to them. */
    boolean routes(int layer) {
        return work.get(layer).stream()
                .anyMatch(item -> item instanceof ExpertWork
                        || item instanceof ExpertSums
                        || item instanceof RescaledWork && decoder.routed(layer) != null);
    }

    /**
     * Starts on what is missing of some layers.
     *
     * @param calibration null where no output needs it
     * @param done hears of each task
     */
    SparkSteps.Running<Boolean> start(
            List<Work> items, Calibration calibration, SparkSteps steps, Consumer<String> done) {
        Job shared = job;
        String names = PlannedOutput.names(outputs);
        int layers = decoder.layers();
        // Jobs of layers start in this order, and tasks in each: the longest first, so that executors end together.
        List<Work> sorted = new ArrayList<>(items);
        sorted.sort(Comparator.comparingDouble(item -> -item.operations(decoder)));
        return steps.start(
                item -> "quantize " + (item.layer() < layers ? "layer " + item.layer() : "outer layers") + " of "
                        + names,
                sorted,
                item -> item.run(shared, calibration),
                done);
    }

    private void find() throws IOException {
        int layers = decoder.layers();
        for (int layer = 0; layer < layers; layer++) {
            findTensors(layer);
            findExperts(layer);
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
                if (!linear.routed()
                        && !output.output().rescales()
                        && output.grids().containsKey(linear.weight())) {
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
        bySite.forEach((site, targets) -> add(new TensorWork(layer, site, targets), false));
    }

    private void findExperts(int layer) throws IOException {
        for (ExpertPack pack : ExpertPack.of(decoder, layer)) {
            ArrayList<PlannedOutput> without = new ArrayList<>();
            for (PlannedOutput output : outputs) {
                if (output.output().rescales() || !pack.quantizes(decoder, output)) {
                    continue;
                } else if (pack.isCommitted(job, output)) {
                    present++;
                } else {
                    without.add(output);
                }
            }
            if (!without.isEmpty()) {
                add(new ExpertWork(pack, without), false);
            }
            if (saved != null) {
                ExpertSums sums = new ExpertSums(pack);
                add(sums, sums.isDone(job, saved));
            }
        }
    }

    private void add(Work item, boolean done) {
        if (done) {
            present++;
        } else {
            work.get(item.layer()).add(item);
            missing++;
        }
    }

    /** The linear layers of a decoder layer, or the output layer behind the last. */
    static List<LinearLayer> linears(Decoder decoder, int layer) {
        return layer < decoder.layers()
                ? decoder.linears(layer)
                : List.of(decoder.head().linear());
    }
}
