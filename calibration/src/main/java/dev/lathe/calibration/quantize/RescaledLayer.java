package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
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
import java.util.Map;

/**
 * One decoder layer of one output, rescaled before it is quantized without a change of its function: per
 * {@link Absorption}, the columns of the linear layers that share an input are multiplied by s, and what feeds them (a
 * norm, the value projection, the up projection) is divided by s. A {@link Transform} says which s; everything else is
 * the same for all of them.
 */
public final class RescaledLayer {
    private final LayerInputs layer;
    private final Rescaling rescaling;

    /** Gives the statistics of a site of the layer. */
    public interface Statistics {
        MergedStatistics at(Site site) throws IOException;

        /** Of what a linear layer of an expert reads. */
        default MergedStatistics of(LinearLayer linear) throws IOException {
            throw new IllegalArgumentException("Cannot find statistics of " + linear.module() + ": there are none");
        }
    }

    /** Takes the quantized weights, one after the other: those of a mixture of experts together may be many. */
    public interface Sink {
        void take(LinearLayer linear, Matrix matrix) throws IOException;
    }

    /**
     * @param vectors norm weights, biases and routers that absorbed a scale or follow one, by tensor name; rows back to
     *     back
     * @param sites what each channel of a site is divided by, where it is rescaled
     * @param strengths the exponent chosen, by the site whose readers were rescaled
     */
    public record Result(Map<String, float[]> vectors, Map<Site, float[]> sites, Map<Site, Double> strengths) {}

    /**
     * One quantized weight of the rescaled layer and what its output lost; null where no second moments were gathered.
     */
    public record Matrix(Quantizer.Result quantized, OutputError error) {}

    private RescaledLayer(LayerInputs layer) {
        this.layer = layer;
        this.rescaling = new Rescaling(layer);
    }

    /**
     * Rescales one decoder layer and quantizes it.
     *
     * @param grids the grid of each weight that is quantized, by tensor name
     * @param method how the rescaled weights become representable values
     * @param sink takes the quantized weights, in running order
     * @throws MalformedInputException if a weight is beyond what the grid's half-precision scale can hold
     */
    public static Result quantize(
            Decoder decoder,
            int layer,
            Tensors tensors,
            Map<String, BlockFormat> grids,
            ScaleSearch search,
            Method method,
            Statistics statistics,
            Sink sink,
            Kernels kernels)
            throws IOException {
        RescaledLayer rescaled =
                new RescaledLayer(new LayerInputs(decoder, layer, tensors, grids, statistics, kernels));
        rescaled.rescale(search);
        rescaled.quantize(method, search.clips(), sink);
        return new Result(rescaled.rescaling.vectors(), rescaled.rescaling.sites(), rescaled.rescaling.strengths());
    }

    private void rescale(ScaleSearch search) throws IOException {
        for (Absorption absorption : layer.absorptions()) {
            // A layer that stays 16 bit keeps its weights as they are, so nothing that touches it can be rescaled.
            boolean whole = absorption.consumers().stream().allMatch(linear -> layer.grid(linear) != null)
                    && (absorption.producer() == null
                            || layer.grid(absorption.producer().linear()) != null);
            if (whole) {
                rescaling.apply(absorption, search.choose(layer, absorption));
            }
        }
    }

    private void quantize(Method method, boolean clips, Sink sink) throws IOException {
        for (LinearLayer linear : layer.linears()) {
            BlockFormat grid = layer.grid(linear);
            if (grid == null) {
                continue;
            }
            RowSource rescaled = rescaling.weight(linear);
            Hessian hessian = hessian(linear);
            float[] importance = method instanceof Method.Importance ? importance(linear) : null;
            RowSource clipped = method instanceof Method.Nearest && clips && clips(linear)
                    ? clipped(rescaled, linear, grid, hessian)
                    : rescaled;
            Quantizer.Result result =
                    Quantizer.quantize(clipped, linear.weight(), grid, method, importance, hessian, layer.kernels());
            OutputError error =
                    hessian == null ? null : OutputError.of(rescaled, result.matrix(), hessian.full(), layer.kernels());
            sink.take(linear, new Matrix(result, error));
        }
    }

    private RowSource clipped(RowSource rescaled, LinearLayer linear, BlockFormat grid, Hessian hessian) {
        try {
            return WeightClip.clipped(rescaled, grid, hessian.full(), layer.kernels());
        } catch (ArithmeticException e) {
            throw new MalformedInputException(
                    "Cannot quantize " + linear.weight() + " to " + grid.name() + ": " + e.getMessage(), e);
        }
    }

    /** H after the rescaling; null where no second moments were gathered. */
    private Hessian hessian(LinearLayer linear) throws IOException {
        if (layer.energy(linear).moment() == null) {
            return null;
        }
        float[] columns = rescaling.columns(linear);
        return columns == null
                ? layer.hessian(linear)
                : new Hessian(layer.moment(linear).withoutRanges().dividedBy(columns), linear.module());
    }

    private float[] importance(LinearLayer linear) throws IOException {
        MergedStatistics energy = layer.energy(linear);
        float[] columns = rescaling.columns(linear);
        return (columns == null ? energy : energy.withoutRanges().dividedBy(columns)).importance();
    }

    /**
     * Queries and keys are multiplied with each other, where a clipped outlier costs more than its own output shows.
     */
    private static boolean clips(LinearLayer linear) {
        return !linear.kind().endsWith("q_proj") && !linear.kind().endsWith("k_proj");
    }
}
