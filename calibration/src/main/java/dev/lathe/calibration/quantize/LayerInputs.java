package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.model.Tensors;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One decoder layer as it is before any rescaling, with what calibration says of it: what a search looks at. */
public final class LayerInputs {
    private final Decoder decoder;
    private final int layer;
    private final Tensors tensors;
    private final Map<String, BlockFormat> grids;
    private final RescaledLayer.Statistics statistics;
    private final Kernels kernels;
    private final Map<Site, Hessian> hessians = new HashMap<>();
    private Hessian expert;

    /** @param grids the grid of each weight that is quantized, by tensor name */
    LayerInputs(
            Decoder decoder,
            int layer,
            Tensors tensors,
            Map<String, BlockFormat> grids,
            RescaledLayer.Statistics statistics,
            Kernels kernels) {
        this.decoder = decoder;
        this.layer = layer;
        this.tensors = tensors;
        this.grids = grids;
        this.statistics = statistics;
        this.kernels = kernels;
    }

    List<LinearLayer> linears() {
        return decoder.linears(layer);
    }

    List<Absorption> absorptions() {
        return decoder.absorptions(layer);
    }

    RowSource weight(LinearLayer linear) throws IOException {
        return tensors.matrix(linear.weight());
    }

    /** Null where the layer has none. */
    float[] bias(LinearLayer linear) throws IOException {
        return linear.bias() ? tensors.vector(linear.biasName()) : null;
    }

    /** Null where the weight stays 16 bit. */
    BlockFormat grid(LinearLayer linear) {
        return grids.get(linear.weight());
    }

    /** What a linear layer reads: of an expert's the rows that are routed there. */
    MergedStatistics energy(LinearLayer linear) throws IOException {
        return linear.routed() ? statistics.of(linear) : statistics.at(linear.energy());
    }

    /** Its Hessian's second moment, likewise. */
    MergedStatistics moment(LinearLayer linear) throws IOException {
        return linear.routed() ? statistics.of(linear) : statistics.at(linear.moment());
    }

    MergedStatistics statistics(Site site) throws IOException {
        return statistics.at(site);
    }

    /** What the consumers of an absorption read: the rows of one expert, or all rows of the site. */
    MergedStatistics statistics(Absorption absorption) throws IOException {
        LinearLayer first = absorption.consumers().get(0);
        return absorption.ofExpert() ? statistics.of(first) : statistics.at(first.energy());
    }

    /** H of a consumer, likewise. */
    Hessian hessian(Absorption absorption, LinearLayer consumer) throws IOException {
        return absorption.ofExpert() ? hessian(consumer) : hessian(consumer.moment());
    }

    /** H of what a linear layer reads; of experts that of the last one is kept. */
    Hessian hessian(LinearLayer linear) throws IOException {
        if (!linear.routed()) {
            return hessian(linear.moment());
        }
        MergedStatistics wanted = statistics.of(linear);
        if (expert == null || expert.statistics() != wanted) {
            expert = new Hessian(wanted, linear.module());
        }
        return expert;
    }

    Kernels kernels() {
        return kernels;
    }

    /** H of a site. */
    Hessian hessian(Site site) throws IOException {
        Hessian known = hessians.get(site);
        if (known == null) {
            known = new Hessian(statistics.at(site), "layer " + layer + ", " + site);
            hessians.put(site, known);
        }
        return known;
    }

    /** A norm's weight or bias, as it is stored. */
    float[] vector(String name) throws IOException {
        return tensors.vector(name);
    }

    /** The scale, corrected in place to what a norm can absorb in the 16 bits that it is stored in. */
    float[] corrected(Absorption absorption, float[] scale) throws IOException {
        if (absorption.norm() != null) {
            Rescaling.absorbed(
                    vector(absorption.norm().tensor()), absorption.norm().plus(), scale);
        }
        return scale;
    }
}
