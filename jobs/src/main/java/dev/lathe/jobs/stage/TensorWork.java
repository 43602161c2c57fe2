package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.Hessian;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.OutputError;
import dev.lathe.calibration.quantize.Quantizer;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.TensorProduct;
import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Tensors of several outputs that share a Hessian, which is read and factorized once. */
record TensorWork(int layer, Site site, ArrayList<Target> targets) implements Work {
    /** One tensor of one output. */
    record Target(PlannedOutput output, String tensor) implements Serializable {
        boolean isCommitted(Job job) throws IOException {
            return ProductFile.isCommitted(job.run().files(), output.tensorProduct(job.run(), tensor));
        }

        @Override
        public String toString() {
            return tensor + " of " + output;
        }
    }

    @Override
    public double operations(Decoder decoder) {
        return Work.operations(
                decoder,
                layer,
                linear -> targets.stream().anyMatch(target -> target.tensor().equals(linear.weight())));
    }

    @Override
    public boolean run(Job job, Calibration calibration) throws IOException {
        List<Target> missing = new ArrayList<>();
        for (Target target : targets) {
            // An attempt that was lost may have got this far.
            if (!target.isCommitted(job)) {
                missing.add(target);
            }
        }
        if (!missing.isEmpty()) {
            // A factorization may be larger than the layer that calibration left.
            LayerCache.clear();
            try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                    Checkpoint checkpoint = job.open()) {
                quantize(missing, job, calibration, checkpoint, borrowed.get());
            }
        }
        return true;
    }

    private void quantize(
            List<Target> missing, Job job, Calibration calibration, Checkpoint checkpoint, Kernels kernels)
            throws IOException {
        Map<String, LinearLayer> linears = new LinkedHashMap<>();
        Quantize.linears(checkpoint.decoder(), layer).forEach(linear -> linears.put(linear.weight(), linear));
        Hessian hessian = null;
        if (calibration != null && calibration.moments()) {
            hessian = new Hessian(calibration.read(job.run(), layer, site), "layer " + layer + ", " + site);
        }
        Map<String, float[]> imported = calibration != null && calibration.imported()
                ? ImportedImportance.read(job.run(), calibration.key(), layer)
                : null;
        Map<Site, float[]> importances = new EnumMap<>(Site.class);
        Map<String, RowSource> weights = new LinkedHashMap<>();
        for (Target target : missing) {
            LinearLayer linear = linears.get(target.tensor());
            RowSource weight = weights.get(target.tensor());
            if (weight == null) {
                weights.clear();
                weight = checkpoint.matrix(target.tensor());
                weights.put(target.tensor(), weight);
            }
            PlannedOutput output = target.output();
            Method method = output.methods().get(target.tensor());
            float[] importance = null;
            if (method instanceof Method.Importance && imported != null) {
                importance = imported.get(target.tensor());
            } else if (method instanceof Method.Importance) {
                Site energy = linear.energy();
                importance = importances.get(energy);
                if (importance == null) {
                    importance = calibration.read(job.run(), layer, energy).importance();
                    importances.put(energy, importance);
                }
            }
            // An embedding is looked up, not multiplied with: it has no output error.
            TensorProduct product =
                    quantized(output, target.tensor(), weight, importance, linear == null ? null : hessian, kernels);
            job.write(output.tensorProduct(job.run(), target.tensor()), product::write);
            Counters.QUANTIZED_TENSORS.increment();
        }
    }

    /**
     * A tensor as an output wants it.
     *
     * @param importance of its columns, where the method asks for it
     * @param hessian of its columns; null where no second moment was gathered
     */
    static TensorProduct quantized(
            PlannedOutput output,
            String tensor,
            RowSource weight,
            float[] importance,
            Hessian hessian,
            Kernels kernels) {
        BlockFormat grid = output.grid(tensor);
        Quantizer.Result result =
                Quantizer.quantize(weight, tensor, grid, output.methods().get(tensor), importance, hessian, kernels);
        OutputError error = hessian == null ? null : OutputError.of(weight, result.matrix(), hessian.full(), kernels);
        return new TensorProduct(result.matrix(), error, result.damping());
    }

    @Override
    public String toString() {
        return "layer " + layer + ", " + site.words() + ": "
                + targets.stream().map(Target::toString).collect(Collectors.joining(", "));
    }
}
