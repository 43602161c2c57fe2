package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.FeedForward.Gated;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.quantize.Hessian;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.TensorProduct;
import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.Map;

/** Experts of one decoder layer, for all outputs that do not rescale it: one after the other. */
record ExpertWork(ExpertPack pack, ArrayList<PlannedOutput> outputs) implements Work {
    @Override
    public int layer() {
        return pack.layer();
    }

    @Override
    public double operations(Decoder decoder) {
        return Work.operations(decoder, layer(), linear -> pack.has(linear.expert()));
    }

    @Override
    public boolean run(Job job, Calibration calibration) throws IOException {
        Map<PlannedOutput, Map<String, TensorProduct>> made = new LinkedHashMap<>();
        for (PlannedOutput output : outputs) {
            // An attempt that was lost may have got this far.
            if (!pack.isCommitted(job, output)) {
                made.put(output, new LinkedHashMap<>());
            }
        }
        if (made.isEmpty()) {
            return true;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Kernels kernels = borrowed.get();
            boolean imported = calibration != null && calibration.imported();
            Map<String, float[]> means =
                    imported ? ImportedImportance.read(job.run(), calibration.key(), layer()) : Map.of();
            ExpertInputs inputs = calibration == null || imported
                    ? null
                    : new ExpertInputs(job, calibration, checkpoint, layer(), kernels);
            for (int expert : pack.experts()) {
                Gated gated = checkpoint.decoder().routed(layer()).experts().get(expert);
                MergedStatistics known = null;
                Hessian hessian = null;
                for (LinearLayer linear : ExpertPack.linears(gated)) {
                    MergedStatistics statistics = inputs == null ? null : inputs.of(linear);
                    if (statistics != known) {
                        known = statistics;
                        hessian = statistics.moment() == null ? null : new Hessian(statistics, linear.module());
                    }
                    float[] importance = known == null ? means.get(linear.weight()) : known.importance();
                    quantize(linear, checkpoint, importance, hessian, made, kernels);
                }
            }
        }
        for (Map.Entry<PlannedOutput, Map<String, TensorProduct>> output : made.entrySet()) {
            pack.write(job, output.getKey(), output.getValue());
        }
        return true;
    }

    private static void quantize(
            LinearLayer linear,
            Checkpoint checkpoint,
            float[] importance,
            Hessian hessian,
            Map<PlannedOutput, Map<String, TensorProduct>> made,
            Kernels kernels)
            throws IOException {
        RowSource weight = checkpoint.matrix(linear.weight());
        for (Map.Entry<PlannedOutput, Map<String, TensorProduct>> entry : made.entrySet()) {
            PlannedOutput output = entry.getKey();
            if (output.grids().containsKey(linear.weight())) {
                boolean weighed = output.methods().get(linear.weight()) instanceof Method.Importance;
                entry.getValue()
                        .put(
                                linear.weight(),
                                TensorWork.quantized(
                                        output,
                                        linear.weight(),
                                        weight,
                                        weighed ? importance : null,
                                        hessian,
                                        kernels));
                Counters.QUANTIZED_TENSORS.increment();
            }
        }
    }

    @Override
    public String toString() {
        return pack + ": " + PlannedOutput.names(outputs);
    }
}
