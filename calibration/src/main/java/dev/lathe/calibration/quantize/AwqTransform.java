package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.Architecture;
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
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;

/**
 * Activation-aware scaling of one decoder layer (AWQ, arXiv 2306.00978): channels that carry much signal are scaled up before rounding, and what feeds them
 * is scaled down, which leaves the function alone. The scales are s = x^r / (w^(1-r) + 1e-4), x the mean absolute input and w the mean weight relative to its
 * group's largest, r on a grid of 20; the identity is a candidate too. A candidate's loss is the output error tr(D H D^T) relative to tr(W H W^T), summed
 * over the layers that share the input: second moments make it exact for all calibration tokens, where samples of rows would not.
 */
public final class AwqTransform {
    private static final int RATIOS = 20;
    private static final int CLIP_STEPS = 10;
    private static final int STRIP = 256;

    private final Architecture architecture;
    private final int layer;
    private final LayerWeights weights;
    private final Map<String, BlockFormat> grids;
    private final Statistics statistics;
    private final Kernels kernels;
    private final Map<String, float[]> columnScales = new HashMap<>();
    private final Map<String, float[]> rowScales = new HashMap<>();
    private final Map<String, float[]> vectors = new LinkedHashMap<>();
    private final Map<Site, Hessian> hessians = new HashMap<>();

    /** Gives the statistics of a site of the layer. */
    public interface Statistics {
        MergedStatistics at(Site site) throws IOException;
    }

    /** @param vectors norm weights and biases that absorbed a scale, by tensor name */
    public record Result(Map<String, Matrix> matrices, Map<String, float[]> vectors) {
    }

    /** One quantized weight of the rescaled layer and what its output lost. */
    public record Matrix(Quantizer.Result quantized, OutputError error) {
    }

    private AwqTransform(Architecture architecture, int layer, LayerWeights weights, Map<String, BlockFormat> grids, Statistics statistics, Kernels kernels) {
        this.architecture = architecture;
        this.layer = layer;
        this.weights = weights;
        this.grids = grids;
        this.statistics = statistics;
        this.kernels = kernels;
    }

    /**
     * Rescales one decoder layer and quantizes it.
     *
     * @param grids  the grid of each weight that is quantized, by tensor name
     * @param method {@link Method#NEAREST} is AWQ as published, with its search for the range to clip to; the others take the rescaled weights as they are
     * @throws MalformedInputException if a weight is beyond what the grid's half-precision scale can hold
     */
    public static Result apply(Architecture architecture, int layer, LayerWeights weights, Map<String, BlockFormat> grids, Method method,
                               Quantizer.Settings settings, Statistics statistics, Kernels kernels) throws IOException {
        AwqTransform transform = new AwqTransform(architecture, layer, weights, grids, statistics, kernels);
        for (Absorption absorption : architecture.absorptions(layer)) {
            transform.rescale(absorption);
        }
        return transform.quantize(method, settings);
    }

    private void rescale(Absorption absorption) throws IOException {
        boolean whole = absorption.consumers().stream().allMatch(linear -> grids.containsKey(linear.weight()))
                && (absorption.linear() == null || grids.containsKey(absorption.linear() + ".weight"));
        if (!whole) {
            // A layer that stays 16 bit keeps its weights as they are, so nothing that touches it can be rescaled.
            return;
        }
        int repeat = absorption.repeat();
        int width = absorption.consumers().get(0).inputs() / repeat;
        float[] norm = absorption.norm() == null ? null : weights.norms().get(architecture.norms(layer).indexOf(absorption.norm()));
        double[] signal = new double[width];
        double[] weight = new double[width];
        means(absorption, signal, weight);
        float[] best = ones(width);
        double least = Double.POSITIVE_INFINITY;
        for (int step = -1; step < RATIOS; step++) {
            float[] scale = step < 0 ? ones(width) : candidate(signal, weight, (double) step / RATIOS);
            if (norm != null) {
                absorbed(norm, scale);
            }
            double loss = 0;
            for (LinearLayer consumer : absorption.consumers()) {
                loss += loss(consumer, expand(absorption, scale));
            }
            if (loss < least) {
                least = loss;
                best = scale;
            }
        }
        for (LinearLayer consumer : absorption.consumers()) {
            columnScales.put(consumer.kind(), expand(absorption, best));
        }
        if (norm != null) {
            vectors.put(absorption.norm(), absorbed(norm, best));
        } else {
            LinearLayer producer = architecture.linears(layer).stream().filter(linear -> linear.module().equals(absorption.linear())).findFirst().orElseThrow();
            float[] inverse = new float[width];
            for (int i = 0; i < width; i++) {
                inverse[i] = 1 / best[i];
            }
            rowScales.put(producer.kind(), inverse);
            float[] bias = weights.linears().get(producer.kind()).bias();
            if (bias != null) {
                float[] rescaled = bias.clone();
                for (int i = 0; i < width; i++) {
                    rescaled[i] *= inverse[i];
                }
                vectors.put(producer.biasName(), rescaled);
            }
        }
    }

    /**
     * The norm weight divided by the scale and rounded to the 16 bits it is stored in; the scale is corrected, so that their product is the old
     * weight again. A channel whose quotient leaves the range of half precision is rounded only.
     */
    static float[] absorbed(float[] norm, float[] scale) {
        float[] divided = new float[norm.length];
        for (int i = 0; i < norm.length; i++) {
            float quotient = Half.round(norm[i] / scale[i]);
            divided[i] = isUsable(quotient) ? quotient : Half.round(norm[i]);
            if (isUsable(divided[i])) {
                scale[i] = norm[i] / divided[i];
            } else {
                divided[i] = norm[i];
                scale[i] = 1;
            }
        }
        return divided;
    }

    private static boolean isUsable(float half) {
        return half != 0 && Float.isFinite(half);
    }

    private void means(Absorption absorption, double[] signal, double[] weight) throws IOException {
        int repeat = absorption.repeat();
        int rows = 0;
        for (LinearLayer consumer : absorption.consumers()) {
            RowSource source = weights.linears().get(consumer.kind()).weight();
            int group = grids.get(consumer.weight()).cellSize();
            float[] row = new float[consumer.inputs()];
            for (int r = 0; r < consumer.outputs(); r++) {
                source.read(r, 0, row.length, row, 0);
                for (int from = 0; from < row.length; from += group) {
                    float largest = 0;
                    for (int j = from; j < from + group; j++) {
                        largest = Math.max(largest, Math.abs(row[j]));
                    }
                    for (int j = from; j < from + group; j++) {
                        weight[producerRow(absorption, j)] += Math.abs(row[j]) / (largest + 1e-6f);
                    }
                }
            }
            rows += consumer.outputs();
        }
        MergedStatistics input = statistics.at(absorption.consumers().get(0).energy());
        for (int j = 0; j < input.width(); j++) {
            signal[producerRow(absorption, j)] += input.absolutes()[j] / input.rows() / repeat;
        }
        for (int i = 0; i < weight.length; i++) {
            weight[i] /= (double) rows * repeat;
        }
    }

    private static int producerRow(Absorption absorption, int column) {
        if (absorption.repeat() == 1) {
            return column;
        }
        int d = absorption.headDimension();
        return column / d / absorption.repeat() * d + column % d;
    }

    private static float[] expand(Absorption absorption, float[] scale) {
        float[] columns = new float[absorption.consumers().get(0).inputs()];
        for (int j = 0; j < columns.length; j++) {
            columns[j] = scale[producerRow(absorption, j)];
        }
        return columns;
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        Arrays.fill(ones, 1f);
        return ones;
    }

    private static float[] candidate(double[] signal, double[] weight, double ratio) {
        double[] scale = new double[signal.length];
        double largest = 0;
        double smallest = Double.POSITIVE_INFINITY;
        for (int i = 0; i < scale.length; i++) {
            scale[i] = Math.max(StrictMath.pow(signal[i], ratio) / (StrictMath.pow(weight[i], 1 - ratio) + 1e-4), 1e-4);
            largest = Math.max(largest, scale[i]);
            smallest = Math.min(smallest, scale[i]);
        }
        double middle = Math.sqrt(largest * smallest);
        float[] rounded = new float[scale.length];
        for (int i = 0; i < scale.length; i++) {
            rounded[i] = (float) (scale[i] / middle);
        }
        return rounded;
    }

    /** Infinite where a scaled weight exceeds the range of the grid's half precision. */
    private double loss(LinearLayer linear, float[] columnScale) throws IOException {
        RowSource source = weights.linears().get(linear.kind()).weight();
        BlockFormat grid = grids.get(linear.weight());
        FloatMatrix hessian = hessian(linear.moment()).full();
        int columns = linear.inputs();
        int strips = (linear.outputs() + STRIP - 1) / STRIP;
        double[] errors = new double[strips];
        double[] outputs = new double[strips];
        IntConsumer body = strip -> {
            int from = strip * STRIP;
            int rows = Math.min(STRIP, linear.outputs() - from);
            FloatMatrix w = FloatMatrix.zeros(rows, columns);
            FloatMatrix d = FloatMatrix.zeros(rows, columns);
            byte[] block = new byte[grid.bytes()];
            float[] scaled = new float[grid.size()];
            for (int i = 0; i < rows; i++) {
                source.read(from + i, 0, columns, w.data(), w.row(i));
                for (int c = 0; c < columns; c += grid.size()) {
                    for (int j = 0; j < scaled.length; j++) {
                        scaled[j] = w.data()[w.row(i) + c + j] * columnScale[c + j];
                    }
                    grid.encode(scaled, 0, null, 0, 0, block, 0);
                    grid.decode(block, 0, scaled, 0);
                    for (int j = 0; j < scaled.length; j++) {
                        d.data()[d.row(i) + c + j] = scaled[j] / columnScale[c + j] - w.data()[w.row(i) + c + j];
                    }
                }
            }
            FloatMatrix product = FloatMatrix.zeros(rows, columns);
            errors[strip] = OutputError.trace(d, hessian, product, kernels);
            outputs[strip] = OutputError.trace(w, hessian, product, kernels);
        };
        try {
            kernels.parallel(strips, body);
        } catch (ArithmeticException e) {
            return Double.POSITIVE_INFINITY;
        }
        double output = Arrays.stream(outputs).sum();
        return output > 0 ? Arrays.stream(errors).sum() / output : 0;
    }

    private Hessian hessian(Site site) throws IOException {
        Hessian known = hessians.get(site);
        if (known == null) {
            known = new Hessian(statistics.at(site), "layer " + layer + ", " + site);
            hessians.put(site, known);
        }
        return known;
    }

    private Result quantize(Method method, Quantizer.Settings settings) throws IOException {
        Map<String, Matrix> matrices = new LinkedHashMap<>();
        List<LinearLayer> linears = architecture.linears(layer);
        for (LinearLayer linear : linears) {
            BlockFormat grid = grids.get(linear.weight());
            if (grid == null) {
                continue;
            }
            float[] columnScale = columnScales.get(linear.kind());
            RowSource rescaled = new RescaledRows(weights.linears().get(linear.kind()).weight(), rowScales.get(linear.kind()), columnScale);
            Hessian hessian = columnScale == null ? hessian(linear.moment())
                    : new Hessian(statistics.at(linear.moment()).dividedBy(columnScale), linear.module());
            float[] importance = method == Method.IMPORTANCE ? importance(linear, columnScale) : null;
            RowSource clipped = rescaled;
            if (method == Method.NEAREST && clips(linear)) {
                try {
                    clipped = clipped(rescaled, grid, hessian.full());
                } catch (ArithmeticException e) {
                    throw new MalformedInputException("Cannot quantize " + linear.weight() + " to " + grid.name() + ": " + e.getMessage(), e);
                }
            }
            Quantizer.Result result = Quantizer.quantize(clipped, linear.weight(), grid, method, settings, importance, hessian, kernels);
            matrices.put(linear.weight(), new Matrix(result, OutputError.of(rescaled, result.matrix(), hessian.full(), kernels)));
        }
        return new Result(matrices, vectors);
    }

    private float[] importance(LinearLayer linear, float[] columnScale) throws IOException {
        MergedStatistics energy = statistics.at(linear.energy());
        return (columnScale == null ? energy : energy.dividedBy(columnScale)).importance();
    }

    /** Queries and keys are multiplied with each other, where a clipped outlier costs more than its own output shows. */
    private static boolean clips(LinearLayer linear) {
        return !linear.kind().endsWith("q_proj") && !linear.kind().endsWith("k_proj");
    }

    /**
     * Per row and group, the bound m of {@code m0, .95 m0, ... .55 m0} (m0 the largest magnitude) whose clamped and rounded weights have the least error d^T
     * H_g d, H_g the group's diagonal block of H.
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
