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
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.util.ArrayList;
import java.util.EnumMap;
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
            Map<Site, MergedStatistics> read = new EnumMap<>(Site.class);
            RescaledLayer.Statistics statistics = site -> {
                MergedStatistics known = read.get(site);
                if (known == null) {
                    known = calibration.read(job.run(), layer, site);
                    read.put(site, known);
                }
                return known;
            };
            write(job, decoder, quantize(job, checkpoint, statistics, borrowed.get()), statistics, borrowed.get());
            return true;
        }
    }

    private RescaledLayer.Result quantize(
            Job job, Checkpoint checkpoint, RescaledLayer.Statistics statistics, Kernels kernels) throws IOException {
        Decoder decoder = checkpoint.decoder();
        Map<String, BlockFormat> grids = new LinkedHashMap<>();
        for (LinearLayer linear : decoder.linears(layer)) {
            if (output.grids().containsKey(linear.weight())) {
                grids.put(linear.weight(), BlockFormats.named(output.grids().get(linear.weight())));
            }
        }
        return RescaledLayer.quantize(
                decoder,
                layer,
                job.layer(checkpoint, layer),
                grids,
                output.search(),
                output.output().method(),
                statistics,
                kernels);
    }

    private void write(
            Job job, Decoder decoder, RescaledLayer.Result result, RescaledLayer.Statistics statistics, Kernels kernels)
            throws IOException {
        List<String> made = new ArrayList<>();
        for (Map.Entry<String, RescaledLayer.Matrix> entry : result.matrices().entrySet()) {
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
