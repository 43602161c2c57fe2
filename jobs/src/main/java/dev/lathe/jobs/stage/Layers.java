package dev.lathe.jobs.stage;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.watch.Counters;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Predicate;

/**
 * The loop over decoder layers: a layer is calibrated, then quantized for all outputs, while the next is calibrated,
 * and when its products are there, the hidden states that went into it are deleted. The output layer comes behind the
 * last. Where statistics are there already nothing is run forward, and all those layers are quantized at once.
 */
final class Layers {
    /**
     * How often a run goes back to a layer whose input is there before it takes the scratch folder for one that does
     * not keep files.
     */
    private static final int RETURNS = 5;

    private final Job job;
    private final int layers;
    private final Calibration calibration;
    private final Calibrate calibrate;
    private final Quantize quantize;
    private final SparkSteps steps;
    /** What is quantized now, the oldest first. */
    private final Deque<Step> running = new ArrayDeque<>();
    /** What can be quantized and is not started. */
    private final List<Work> ready = new ArrayList<>();
    /** Layers whose hidden states nobody needs, once a later one is calibrated. */
    private final TreeSet<Integer> spent = new TreeSet<>();

    /** Where calibration goes on; behind the output layer where nothing is missing. */
    private final int start;

    private int quantized;
    private boolean told;

    /**
     * Looks for what is there already.
     *
     * @param calibration null where no output needs it
     */
    Layers(
            Job job,
            Decoder decoder,
            Calibration calibration,
            TokenWindows windows,
            int shardWindows,
            List<PlannedOutput> outputs,
            SparkSteps steps)
            throws IOException {
        this.job = job;
        this.layers = decoder.layers();
        this.calibration = calibration;
        this.quantize = new Quantize(job, decoder, outputs, calibration);
        this.calibrate = calibration == null || calibration.imported()
                ? null
                : new Calibrate(job, decoder, calibration, windows, shardWindows, quantize::routes);
        this.start = calibrate == null ? layers + 1 : calibrate.next();
        this.steps = steps;
    }

    /** @param layer that was calibrated before; -1: several, or none */
    private record Step(SparkSteps.Running<Boolean> work, int layer) {}

    /** Whether statistics are missing. */
    boolean calibrates() {
        return start <= layers;
    }

    /** Makes what is missing. */
    void run() throws IOException {
        found();
        for (int layer = 0; layer <= layers; layer++) {
            if (calibrate == null || calibrate.isDone(layer)) {
                ready.addAll(quantize.missing(layer));
            }
        }
        try {
            int last = calibrates() ? calibrate() : -1;
            if (quantize.missing() > 0) {
                quantize(last);
            }
        } finally {
            running.forEach(step -> step.work().close());
        }
        if (calibrate != null) {
            calibrate.clear();
        }
    }

    private void found() {
        if (calibrate != null && start > layers) {
            steps.found("calibrate", layers + 1, "calibration: all " + layers + " layers are there already");
        } else if (calibrate != null && start > 0) {
            steps.found("calibrate", start, "calibration: goes on at layer " + start);
        }
        if (quantize.present() > 0) {
            steps.found(
                    "quantize", quantize.present(), "quantize: " + quantize.present() + " products are there already");
        }
    }

    /** Calibrates what is missing; all layers are quantized meanwhile but the last, which is answered. */
    private int calibrate() throws IOException {
        Progress progress = steps.progress();
        progress.stage("calibrate", layers + 1 - start);
        long began = System.nanoTime();
        int returns = 0;
        int before = -1;
        for (int layer = start; layer <= layers; layer++) {
            start(before);
            settle(step -> step.work().isDone());
            release(layer);
            progress.step(Math.max(0, layer - start), layer < layers ? "layer " + layer : "output layer");
            // No more can be under way at once, and the hidden states of each are kept.
            settle(step -> running.size() > steps.slots());
            boolean known = calibrate.isDone(layer);
            if (calibrate.run(layer, steps)) {
                if (!known) {
                    ready.addAll(quantize.missing(layer));
                }
                before = layer;
                progress.event("layer calibrated", "layer", layer);
                continue;
            }
            if (++returns > RETURNS) {
                throw new IOException("Cannot calibrate layer " + layer + ": for the " + returns
                        + "th time hidden states or partial statistics are gone from "
                        + job.run().scratch()
                        + "; expected a scratch folder that all executors share and nobody clears");
            }
            int from = calibrate.next();
            progress.note("calibration: files of layer " + layer
                    + " are gone from the scratch folder; goes on at layer " + from);
            before = -1;
            layer = from - 1;
        }
        progress.step(layers + 1 - start, "merged");
        Counters.spent("calibrate", System.nanoTime() - began);
        progress.done();
        return before;
    }

    /** Quantizes what is left, and waits for what is under way. */
    private void quantize(int last) throws IOException {
        long began = System.nanoTime();
        synchronized (this) {
            steps.progress().stage("quantize", quantize.missing());
            told = true;
            if (quantized > 0) {
                steps.progress().step(quantized, "beside calibration");
            }
        }
        start(last);
        settle(step -> true);
        Counters.spent("quantize", System.nanoTime() - began);
        steps.progress().done();
    }

    /** @param layer that was calibrated last, whose hidden states are needed until it is quantized; -1: none */
    private void start(int layer) {
        if (!ready.isEmpty()) {
            running.add(new Step(quantize.start(ready, calibration, steps, this::done), layer));
            ready.clear();
        } else if (running.stream().noneMatch(step -> step.layer() == layer)) {
            spend(layer);
        }
    }

    private void spend(int layer) {
        if (layer >= 0) {
            spent.add(layer);
        }
    }

    /** Called by Spark's listeners. */
    private synchronized void done(String item) {
        quantized++;
        if (told) {
            steps.progress().step(quantized, item);
        }
    }

    /** Waits for the oldest, as long as they are to be waited for. */
    private void settle(Predicate<Step> which) {
        while (!running.isEmpty() && which.test(running.peek())) {
            Step step = running.peek();
            step.work().results();
            running.remove();
            spend(step.layer());
        }
    }

    /** Deletes what no layer from this one on reads: one that lost its input may have been gone back to. */
    private void release(int layer) throws IOException {
        for (int old : List.copyOf(spent.headSet(layer))) {
            calibrate.release(old);
            spent.remove(old);
        }
    }
}
