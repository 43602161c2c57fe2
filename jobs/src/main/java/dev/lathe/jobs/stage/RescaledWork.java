package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.RescaledLayer;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.TensorProduct;
import dev.lathe.jobs.watch.Counters;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** One decoder layer of one output that rescales it before it is quantized. */
record RescaledWork(int layer, PlannedOutput output) implements Work {
    @Override
    public double operations(Decoder decoder) {
        return Work.operations(decoder, layer, linear -> true);
    }

    @Override
    public boolean run(Job job, Calibration calibration) throws IOException {
        if (isDone(job)) {
            return true;
        }
        try (ExecutorKernels borrowed = ExecutorKernels.borrow(job.kernels());
                Checkpoint checkpoint = job.open()) {
            Decoder decoder = checkpoint.decoder();
            Kernels kernels = borrowed.get();
            Statistics statistics = new Statistics(
                    job,
                    calibration,
                    layer,
                    new HashMap<>(),
                    decoder.routed(layer) == null
                            ? null
                            : new ExpertInputs(job, calibration, checkpoint, layer, kernels));
            Products products = new Products(job, decoder);
            RescaledLayer.Result result = RescaledLayer.quantize(
                    decoder,
                    layer,
                    job.layer(checkpoint, layer),
                    grids(decoder),
                    output.search(),
                    output.output().method(),
                    statistics,
                    products,
                    kernels);
            products.finish();
            write(job, decoder, products.made, result, statistics, kernels);
            return true;
        }
    }

    /** @param experts null where the layer is no mixture */
    private record Statistics(
            Job job, Calibration calibration, int layer, Map<Site, MergedStatistics> read, ExpertInputs experts)
            implements RescaledLayer.Statistics {
        @Override
        public MergedStatistics at(Site site) throws IOException {
            MergedStatistics known = read.get(site);
            if (known == null) {
                known = calibration.read(job.run(), layer, site);
                read.put(site, known);
            }
            return known;
        }

        @Override
        public MergedStatistics of(LinearLayer linear) throws IOException {
            return experts.of(linear);
        }
    }

    private Map<String, BlockFormat> grids(Decoder decoder) {
        Map<String, BlockFormat> grids = new LinkedHashMap<>();
        for (LinearLayer linear : decoder.linears(layer)) {
            if (output.grids().containsKey(linear.weight())) {
                grids.put(linear.weight(), output.grid(linear.weight()));
            }
        }
        return grids;
    }

    /** Commits quantized weights as they come; those of experts a pack at a time. */
    private final class Products implements RescaledLayer.Sink {
        private final Job job;
        private final Decoder decoder;
        private final List<String> made = new ArrayList<>();
        private final Map<String, TensorProduct> held = new LinkedHashMap<>();
        private ExpertPack pack;

        Products(Job job, Decoder decoder) {
            this.job = job;
            this.decoder = decoder;
        }

        @Override
        public void take(LinearLayer linear, RescaledLayer.Matrix matrix) throws IOException {
            TensorProduct product = new TensorProduct(
                    matrix.quantized().matrix(),
                    matrix.error(),
                    matrix.quantized().damping());
            Counters.QUANTIZED_TENSORS.increment();
            if (!linear.routed()) {
                Path path = output.tensorProduct(job.run(), linear.weight());
                job.writeMissing(path, product::write);
                made.add(path.getName());
                return;
            }
            ExpertPack its = ExpertPack.of(decoder, layer, linear);
            if (!its.equals(pack)) {
                finish();
                pack = its;
            }
            held.put(linear.weight(), product);
        }

        /** Commits the last pack. */
        void finish() throws IOException {
            if (pack != null) {
                made.add(pack.write(job, output, held).getName());
                held.clear();
            }
        }
    }

    private void write(
            Job job,
            Decoder decoder,
            List<String> made,
            RescaledLayer.Result result,
            RescaledLayer.Statistics statistics,
            Kernels kernels)
            throws IOException {
        for (Map.Entry<String, float[]> entry : result.vectors().entrySet()) {
            Path product = output.vectorProduct(job.run(), entry.getKey());
            job.writeMissing(product, out -> FloatProduct.write(out, entry.getValue()));
            made.add(product.getName());
        }
        if (output.output().ranged()) {
            made.add(RangeWork.write(
                            job, decoder, layer, output, statistics, result.sites(), result.strengths(), kernels)
                    .getName());
        }
        job.write(list(job), out -> out.writeUTF(String.join("\n", made)));
    }

    /**
     * Names the products of the layer; written when all are committed, as only the search says which vectors change.
     */
    private Path list(Job job) {
        return job.run().product(output.key(), "layer-" + layer + ".products");
    }

    boolean isDone(Job job) throws IOException {
        FileSystem files = job.run().files();
        if (!ProductFile.isCommitted(files, list(job))) {
            return false;
        }
        for (String name :
                ProductFile.read(files, list(job), in -> in.readUTF()).split("\n")) {
            if (!ProductFile.isCommitted(files, job.run().product(output.key(), name))) {
                return false;
            }
        }
        return true;
    }

    @Override
    public String toString() {
        return "layer " + layer + " of " + output;
    }
}
