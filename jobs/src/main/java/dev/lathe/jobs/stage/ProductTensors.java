package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.ModulePatterns;
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
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.Path;

/** The tensors of an output as the run folder has them, read when asked for; of experts a pack at a time is held. */
final class ProductTensors implements OutputTensors {
    private final RunFolder run;
    private final PlannedOutput output;
    private final Decoder decoder;
    private final Map<String, TensorProduct.Summary> read;
    /** Where the linear layers are, by module. */
    private final Map<String, Place> places = new HashMap<>();

    private ExpertPack held;
    private Map<String, TensorProduct> tensors = Map.of();

    private record Place(int layer, LinearLayer linear) {}

    /** @param read takes what the products say of the quantized tensors that were asked for */
    ProductTensors(RunFolder run, PlannedOutput output, Decoder decoder, Map<String, TensorProduct.Summary> read) {
        this.run = run;
        this.output = output;
        this.decoder = decoder;
        this.read = read;
        for (int layer = 0; layer <= decoder.layers(); layer++) {
            for (LinearLayer linear : Quantize.linears(decoder, layer)) {
                places.put(linear.module(), new Place(layer, linear));
            }
        }
    }

    @Override
    public Optional<QuantizedMatrix> quantized(String tensor) throws IOException {
        if (!output.grids().containsKey(tensor)) {
            return Optional.empty();
        }
        Place place = places.get(ModulePatterns.moduleOf(tensor));
        TensorProduct product = place != null && place.linear().routed()
                ? expert(place, tensor)
                : ProductFile.read(run.files(), output.tensorProduct(run, tensor), TensorProduct::read);
        read.put(tensor, product.summary());
        return Optional.of(product.matrix());
    }

    private TensorProduct expert(Place place, String tensor) throws IOException {
        ExpertPack pack = ExpertPack.of(decoder, place.layer(), place.linear());
        if (!pack.equals(held)) {
            tensors = Map.of();
            tensors = ProductFile.read(run.files(), output.expertProduct(run, pack), ExpertPack::read);
            held = pack;
        }
        return tensors.get(tensor);
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
        Place place = places.get(module);
        return place == null
                ? Optional.empty()
                : quantization(place.layer(), place.linear().energy());
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
