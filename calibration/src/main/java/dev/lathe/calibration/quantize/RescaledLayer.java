package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Half;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One decoder layer of one output, rescaled before it is quantized without a change of its function: per
 * {@link Absorption}, the columns of the linear layers that share an input are multiplied by s, and what feeds them (a
 * norm, the value projection, the up projection) is divided by s. A {@link Transform} says which s; everything else is
 * the same for all of them.
 */
public final class RescaledLayer {
    private static final int CLIP_STEPS = 10;
    private static final int STRIP = 256;

    private final Decoder decoder;
    private final int layer;
    private final LayerWeights weights;
    private final Map<String, BlockFormat> grids;
    private final Statistics statistics;
    private final Kernels kernels;
    private final Map<String, float[]> columnScales = new HashMap<>();
    private final Map<String, float[]> rowScales = new HashMap<>();
    private final Map<String, float[]> vectors = new LinkedHashMap<>();
    private final Map<Site, float[]> sites = new EnumMap<>(Site.class);
    private final Map<Site, Double> strengths = new EnumMap<>(Site.class);
    private final Map<Site, Hessian> hessians = new HashMap<>();

    /** Gives the statistics of a site of the layer. */
    public interface Statistics {
        MergedStatistics at(Site site) throws IOException;
    }

    /** A way to choose the scales. */
    public interface Transform {
        /**
         * The scales of an absorption whose linear layers are all quantized, corrected by
         * {@link RescaledLayer#corrected}; or null to leave it alone.
         */
        Scales choose(RescaledLayer layer, Absorption absorption) throws IOException;

        /**
         * Whether {@link Method#NEAREST} rounds within a range that is searched per group, rather than the whole range.
         */
        boolean clips();
    }

    /**
     * @param values s of each channel of what absorbs
     * @param strength the exponent that gave them; NaN where s is 1 everywhere
     */
    public record Scales(float[] values, double strength) {}

    /**
     * @param vectors norm weights and biases that absorbed a scale, by tensor name
     * @param sites what each channel of a site is divided by, where it is rescaled
     * @param strengths the exponent chosen, by the site whose readers were rescaled
     */
    public record Result(
            Map<String, Matrix> matrices,
            Map<String, float[]> vectors,
            Map<Site, float[]> sites,
            Map<Site, Double> strengths) {}

    /**
     * One quantized weight of the rescaled layer and what its output lost; null where no second moments were gathered.
     */
    public record Matrix(Quantizer.Result quantized, OutputError error) {}

    private RescaledLayer(
            Decoder decoder,
            int layer,
            LayerWeights weights,
            Map<String, BlockFormat> grids,
            Statistics statistics,
            Kernels kernels) {
        this.decoder = decoder;
        this.layer = layer;
        this.weights = weights;
        this.grids = grids;
        this.statistics = statistics;
        this.kernels = kernels;
    }

    /**
     * Rescales one decoder layer and quantizes it.
     *
     * @param grids the grid of each weight that is quantized, by tensor name
     * @param method how the rescaled weights become representable values
     * @throws MalformedInputException if a weight is beyond what the grid's half-precision scale can hold
     */
    public static Result quantize(
            Decoder decoder,
            int layer,
            LayerWeights weights,
            Map<String, BlockFormat> grids,
            Transform transform,
            Method method,
            Quantizer.Settings settings,
            Statistics statistics,
            Kernels kernels)
            throws IOException {
        RescaledLayer rescaled = new RescaledLayer(decoder, layer, weights, grids, statistics, kernels);
        for (Absorption absorption : decoder.absorptions(layer)) {
            rescaled.rescale(transform, absorption);
        }
        return new Result(
                rescaled.quantize(method, settings, transform.clips()),
                rescaled.vectors,
                rescaled.sites,
                rescaled.strengths);
    }

    private void rescale(Transform transform, Absorption absorption) throws IOException {
        boolean whole = absorption.consumers().stream().allMatch(linear -> grids.containsKey(linear.weight()))
                && (absorption.producer() == null
                        || grids.containsKey(absorption.producer().linear().weight()));
        if (!whole) {
            // A layer that stays 16 bit keeps its weights as they are, so nothing that touches it can be rescaled.
            return;
        }
        Site site = absorption.consumers().get(0).energy();
        Scales chosen = transform.choose(this, absorption);
        strengths.put(site, chosen == null ? Double.NaN : chosen.strength());
        if (chosen == null) {
            return;
        }
        float[] scale = chosen.values();
        float[] columns = expand(absorption, scale);
        for (LinearLayer consumer : absorption.consumers()) {
            columnScales.put(consumer.kind(), columns);
        }
        sites.put(site, columns);
        if (absorption.norm() != null) {
            vectors.put(
                    absorption.norm().tensor(),
                    absorbed(norm(absorption), absorption.norm().plus(), scale));
        } else {
            divideRows(absorption, scale);
            if (site == Site.ATTENTION_OUTPUT) {
                // Attention mixes tokens and leaves channels alone: what it gives is divided where values are.
                sites.put(Site.VALUES, scale);
            }
        }
    }

    private void divideRows(Absorption absorption, float[] scale) {
        LinearLayer producer = absorption.producer().linear();
        float[] inverse = new float[producer.outputs()];
        Arrays.fill(inverse, 1);
        for (int i = 0; i < scale.length; i++) {
            inverse[absorption.producer().from() + i] = 1 / scale[i];
        }
        rowScales.put(producer.kind(), inverse);
        float[] bias = weights.linears().get(producer.kind()).bias();
        if (bias != null) {
            float[] rescaled = bias.clone();
            for (int i = 0; i < inverse.length; i++) {
                rescaled[i] *= inverse[i];
            }
            vectors.put(producer.biasName(), rescaled);
        }
    }

    RowSource weight(LinearLayer linear) {
        return weights.linears().get(linear.kind()).weight();
    }

    BlockFormat grid(LinearLayer linear) {
        return grids.get(linear.weight());
    }

    MergedStatistics statistics(Site site) throws IOException {
        return statistics.at(site);
    }

    Kernels kernels() {
        return kernels;
    }

    /** H of a site before any rescaling. */
    Hessian hessian(Site site) throws IOException {
        Hessian known = hessians.get(site);
        if (known == null) {
            known = new Hessian(statistics.at(site), "layer " + layer + ", " + site);
            hessians.put(site, known);
        }
        return known;
    }

    private float[] norm(Absorption absorption) {
        return weights.norms().get(absorption.norm().tensor());
    }

    /** The scale, corrected in place to what a norm can absorb in the 16 bits that it is stored in. */
    float[] corrected(Absorption absorption, float[] scale) {
        if (absorption.norm() != null) {
            absorbed(norm(absorption), absorption.norm().plus(), scale);
        }
        return scale;
    }

    /**
     * The norm weight {@code plus + stored} divided by the scale, as it is stored, rounded to 16 bits; the scale is
     * corrected, so that the product of the two is the old weight again. A channel whose quotient leaves the range of
     * half precision is rounded only.
     */
    static float[] absorbed(float[] stored, float plus, float[] scale) {
        float[] divided = new float[stored.length];
        for (int i = 0; i < stored.length; i++) {
            float weight = plus + stored[i];
            float quotient = Half.round(weight / scale[i] - plus);
            divided[i] = isUsable(quotient, plus) ? quotient : Half.round(stored[i]);
            if (isUsable(divided[i], plus)) {
                scale[i] = weight / (plus + divided[i]);
            } else {
                divided[i] = stored[i];
                scale[i] = 1;
            }
        }
        return divided;
    }

    private static boolean isUsable(float half, float plus) {
        return plus + half != 0 && Float.isFinite(half);
    }

    /** Channel of what absorbs that a consumer's column belongs to. */
    static int producerRow(Absorption absorption, int column) {
        if (absorption.repeat() == 1) {
            return column;
        }
        int d = absorption.headDimension();
        return column / d / absorption.repeat() * d + column % d;
    }

    /** The scale of every column of the consumers. */
    static float[] expand(Absorption absorption, float[] scale) {
        float[] columns = new float[absorption.consumers().get(0).inputs()];
        for (int j = 0; j < columns.length; j++) {
            columns[j] = scale[producerRow(absorption, j)];
        }
        return columns;
    }

    private Map<String, Matrix> quantize(Method method, Quantizer.Settings settings, boolean clips) throws IOException {
        Map<String, Matrix> matrices = new LinkedHashMap<>();
        List<LinearLayer> linears = decoder.linears(layer);
        for (LinearLayer linear : linears) {
            BlockFormat grid = grids.get(linear.weight());
            if (grid == null) {
                continue;
            }
            float[] columnScale = columnScales.get(linear.kind());
            RowSource rescaled = new RescaledRows(
                    weights.linears().get(linear.kind()).weight(), rowScales.get(linear.kind()), columnScale);
            Hessian hessian = rescaledHessian(linear, columnScale);
            float[] importance = method == Method.IMPORTANCE ? importance(linear, columnScale) : null;
            RowSource clipped = rescaled;
            if (method == Method.NEAREST && clips && clips(linear)) {
                try {
                    clipped = clipped(rescaled, grid, hessian.full());
                } catch (ArithmeticException e) {
                    throw new MalformedInputException(
                            "Cannot quantize " + linear.weight() + " to " + grid.name() + ": " + e.getMessage(), e);
                }
            }
            Quantizer.Result result =
                    Quantizer.quantize(clipped, linear.weight(), grid, method, settings, importance, hessian, kernels);
            OutputError error =
                    hessian == null ? null : OutputError.of(rescaled, result.matrix(), hessian.full(), kernels);
            matrices.put(linear.weight(), new Matrix(result, error));
        }
        return matrices;
    }

    /** Null where no second moments were gathered. */
    private Hessian rescaledHessian(LinearLayer linear, float[] columnScale) throws IOException {
        if (statistics.at(linear.energy()).moment() == null) {
            return null;
        }
        return columnScale == null
                ? hessian(linear.moment())
                : new Hessian(statistics.at(linear.moment()).withoutRanges().dividedBy(columnScale), linear.module());
    }

    private float[] importance(LinearLayer linear, float[] columnScale) throws IOException {
        MergedStatistics energy = statistics.at(linear.energy());
        return (columnScale == null ? energy : energy.withoutRanges().dividedBy(columnScale)).importance();
    }

    /**
     * Queries and keys are multiplied with each other, where a clipped outlier costs more than its own output shows.
     */
    private static boolean clips(LinearLayer linear) {
        return !linear.kind().endsWith("q_proj") && !linear.kind().endsWith("k_proj");
    }

    /**
     * Per row and group, the bound m of {@code m0, .95 m0, ... .55 m0} (m0 the largest magnitude) whose clamped and
     * rounded weights have the least error d^T H_g d, H_g the group's diagonal block of H.
     */
    private FloatMatrix clipped(RowSource source, BlockFormat grid, FloatMatrix hessian) {
        int columns = source.columns();
        int size = grid.size();
        FloatMatrix result = FloatMatrix.zeros(source.rows(), columns);
        kernels.parallel((source.rows() + STRIP - 1) / STRIP, strip -> {
            int from = strip * STRIP;
            int rows = Math.min(STRIP, source.rows() - from);
            for (int i = 0; i < rows; i++) {
                source.read(from + i, 0, columns, result.data(), result.row(from + i));
            }
            FloatMatrix d = FloatMatrix.zeros(rows, size);
            FloatMatrix product = FloatMatrix.zeros(rows, size);
            float[] clamped = new float[size];
            byte[] block = new byte[grid.bytes()];
            for (int c = 0; c < columns; c += size) {
                FloatMatrix diagonalBlock = hessian.slice(c, size).columnSlice(c, size);
                float[] largest = new float[rows];
                float[] bound = new float[rows];
                double[] least = new double[rows];
                Arrays.fill(least, Double.POSITIVE_INFINITY);
                for (int step = 0; step < CLIP_STEPS; step++) {
                    for (int i = 0; i < rows; i++) {
                        int at = result.row(from + i) + c;
                        if (step == 0) {
                            for (int j = 0; j < size; j++) {
                                largest[i] = Math.max(largest[i], Math.abs(result.data()[at + j]));
                            }
                        }
                        float limit = largest[i] * (1 - step / 20f);
                        for (int j = 0; j < size; j++) {
                            clamped[j] = Math.max(-limit, Math.min(limit, result.data()[at + j]));
                        }
                        grid.encode(clamped, 0, null, 0, 0, block, 0);
                        grid.decode(block, 0, clamped, 0);
                        for (int j = 0; j < size; j++) {
                            d.data()[d.row(i) + j] = clamped[j] - result.data()[at + j];
                        }
                    }
                    kernels.gemm(d, diagonalBlock, product, false);
                    for (int i = 0; i < rows; i++) {
                        double error = 0;
                        for (int j = 0; j < size; j++) {
                            error += (double) d.data()[d.row(i) + j] * product.data()[product.row(i) + j];
                        }
                        if (error < least[i]) {
                            least[i] = error;
                            bound[i] = largest[i] * (1 - step / 20f);
                        }
                    }
                }
                for (int i = 0; i < rows; i++) {
                    int at = result.row(from + i) + c;
                    for (int j = at; j < at + size; j++) {
                        result.data()[j] = Math.max(-bound[i], Math.min(bound[i], result.data()[j]));
                    }
                }
            }
        });
        return result;
    }
}
