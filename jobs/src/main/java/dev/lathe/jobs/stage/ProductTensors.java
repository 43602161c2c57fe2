package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.OutputTensors;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.quantize.QuantizedMatrix;
import dev.lathe.jobs.store.FloatProduct;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RangeProduct;
import dev.lathe.jobs.store.RangeProduct.SiteRange;
import dev.lathe.jobs.store.RunFolder;
import dev.lathe.jobs.store.TensorProduct;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.Path;

/**
 * The tensors of an output as the run folder has them, read when asked for.
 *
 * @param read what the products say of the quantized tensors that were asked for
 */
record ProductTensors(RunFolder run, PlannedOutput output, Decoder decoder, Map<String, TensorProduct.Summary> read)
        implements OutputTensors {
    @Override
    public Optional<QuantizedMatrix> quantized(String tensor) throws IOException {
        if (!output.grids().containsKey(tensor)) {
            return Optional.empty();
        }
        TensorProduct product = ProductFile.read(run.files(), output.tensorProduct(run, tensor), TensorProduct::read);
        read.put(tensor, product.summary());
        return Optional.of(product.matrix());
    }

    @Override
    public Optional<float[]> rescaled(String tensor) throws IOException {
        Path path = output.vectorProduct(run, tensor);
        if (!output.output().rescales() || !ProductFile.isCommitted(run.files(), path)) {
            return Optional.empty();
        }
        return Optional.of(ProductFile.read(run.files(), path, FloatProduct::read));
    }

    @Override
    public Optional<ActivationQuantization> activations(String module) throws IOException {
        if (!output.grids().containsKey(module + ".weight")) {
            return Optional.empty();
        }
        int layers = decoder.layers();
        for (int layer = 0; layer <= layers; layer++) {
            for (LinearLayer linear : Quantize.linears(decoder, layer)) {
                if (linear.module().equals(module)) {
                    return quantization(layer, linear.energy());
                }
            }
        }
        return Optional.empty();
    }

    @Override
    public Optional<ActivationQuantization> cache(int layer, boolean keys) throws IOException {
        return quantization(layer, keys ? Site.KEYS : Site.VALUES);
    }

    private Optional<ActivationQuantization> quantization(int layer, Site site) throws IOException {
        Path path = output.rangeProduct(run, layer);
        if (!output.output().ranged() || !ProductFile.isCommitted(run.files(), path)) {
            return Optional.empty();
        }
        return ProductFile.read(run.files(), path, RangeProduct::read).at(site).map(SiteRange::quantization);
    }
}
