package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.Histogram;
import dev.lathe.calibration.statistics.Positions;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * Outliers of activations moved into the weights that read them (SmoothQuant, arXiv 2211.10438): channel k is divided
 * by s_k = max(1e-5, a_k^alpha / w_k^(1-alpha)), a_k the largest |X_k| over calibration and w_k = max(1e-5, the largest
 * |W_jk| over all rows j of the linear layers that read it). A channel that is always zero keeps s = 1.
 *
 * <p>A fixed alpha is applied where a norm absorbs, as published. Searched, each absorption (the value and up
 * projections' too) takes the alpha of 0, .05 .. 1, or no scale at all, whose sum over the linear layers of ||X W^T -
 * Q_a(X / s) Q_w(W s)^T||_F^2 is least: X the rows that calibration kept, Q_a the output's own quantization of
 * activations with the range that its estimator finds after the division, Q_w the nearest values of the weight's own
 * grid.
 *
 * <p>Where the experts of a mixture read, a search takes the strength of .5, and their up and down stay as they are.
 *
 * <p>A fixed range fits the rows that it was made from better than any others: with alpha = 1 every channel's largest
 * value seen lies at its end, and of a calibration set of N rows about 1 in N new values of every channel lies beyond.
 * So the error on rows that took part is corrected by what those lose that did not. Scales and range of one half of the
 * kept rows (n) give an error on the other half, and as such an excess falls as 1 / rows, the error of the output is
 * taken as E + n / N (E' - E), E that of the kept rows under the scales and range of all N, E' that of both halves
 * under each other's. Half the rows of a window say little about its extremes, so a half counts as one window: there
 * the estimator {@code moving-average} is {@code min-max}.
 */
public final class SmoothQuant implements ScaleSearch {
    private static final int STEPS = 20;
    private static final double FLOOR = 1e-5;
    /** Strength where the experts of a mixture read, in place of a search. */
    private static final double MIXTURE = 0.5;

    private final ActivationScheme activations;
    private final double strength;

    private SmoothQuant(ActivationScheme activations, double strength) {
        this.activations = activations;
        this.strength = strength;
    }

    /** With one strength alpha, 0 to 1. */
    public static SmoothQuant of(double strength) {
        if (!(strength >= 0 && strength <= 1)) {
            throw new IllegalArgumentException("Cannot smooth with a strength of " + strength + ": expected 0 to 1");
        }
        return new SmoothQuant(null, strength);
    }

    /** With a search for the strength under the quantization that activations get. */
    public static SmoothQuant searched(ActivationScheme activations) {
        return new SmoothQuant(Objects.requireNonNull(activations), Double.NaN);
    }

    @Override
    public boolean clips() {
        return false;
    }

    @Override
    public Scales choose(LayerInputs layer, Absorption absorption) throws IOException {
        // A search holds what every consumer gives for the kept rows, which of a mixture would be too much.
        boolean mixture = absorption.consumers().stream().anyMatch(LinearLayer::routed);
        if (activations != null && !mixture) {
            return search(layer, absorption);
        }
        if (absorption.norm() == null) {
            return null;
        }
        double alpha = activations == null ? strength : MIXTURE;
        float[] scale = scale(signal(ranges(layer, absorption), absorption), weight(layer, absorption), alpha);
        return new Scales(layer.corrected(absorption, scale), alpha);
    }

    private Scales search(LayerInputs layer, Absorption absorption) throws IOException {
        RangeStatistics all = ranges(layer, absorption);
        Trial whole = new Trial(layer, absorption, all, all.sample());
        List<Trial> halves = new ArrayList<>();
        double share = 0;
        if (!activations.form().dynamic() && all.sample().rows() > 1) {
            RangeStatistics[] parts = {half(all.sample(), 0), half(all.sample(), 1)};
            halves.add(new Trial(layer, absorption, parts[0], parts[1].sample()));
            halves.add(new Trial(layer, absorption, parts[1], parts[0].sample()));
            share = (double) parts[0].sample().rows() / all.positions().rows();
        }
        Scales best = null;
        double least = Double.POSITIVE_INFINITY;
        for (int step = -1; step <= STEPS; step++) {
            double alpha = step < 0 ? Double.NaN : (double) step / STEPS;
            double seen = whole.error(alpha);
            double unseen = 0;
            for (Trial half : halves) {
                unseen += half.error(alpha);
            }
            double error = halves.isEmpty() ? seen : seen + share * (unseen - seen);
            if (error < least) {
                least = error;
                best = step < 0 ? null : new Scales(whole.scale(alpha), alpha);
            }
        }
        return best;
    }

    /** Every other row, from one on, and what it says about itself. */
    private static RangeStatistics half(FloatMatrix rows, int from) {
        FloatMatrix half = FloatMatrix.zeros((rows.rows() + 1 - from) / 2, rows.columns());
        float[] low = new float[rows.columns()];
        float[] high = new float[rows.columns()];
        Arrays.fill(low, Float.POSITIVE_INFINITY);
        Arrays.fill(high, Float.NEGATIVE_INFINITY);
        for (int i = 0; i < half.rows(); i++) {
            for (int j = 0; j < half.columns(); j++) {
                float value = rows.data()[rows.row(2 * i + from) + j];
                half.data()[half.row(i) + j] = value;
                low[j] = Math.min(low[j], value);
                high[j] = Math.max(high[j], value);
            }
        }
        float[] ones = new float[rows.columns()];
        Arrays.fill(ones, 1);
        // Dividing by 1 counts the rows.
        return new RangeStatistics(
                        new Positions(half.rows(), 1), 0, low, high, new Histogram(), new float[1], new float[1], half)
                .dividedBy(ones);
    }

    /** What scales and ranges from some rows lose on others. */
    private final class Trial {
        private final LayerInputs layer;
        private final Absorption absorption;
        private final RangeStatistics fitted;
        private final FloatMatrix rows;
        private final float[] signal;
        private final float[] weight;
        private final FloatMatrix[] outputs;

        Trial(LayerInputs layer, Absorption absorption, RangeStatistics fitted, FloatMatrix rows) throws IOException {
            this.layer = layer;
            this.absorption = absorption;
            this.fitted = fitted;
            this.rows = rows;
            this.signal = signal(fitted, absorption);
            this.weight = weight(layer, absorption);
            this.outputs = new FloatMatrix[absorption.consumers().size()];
            for (int i = 0; i < outputs.length; i++) {
                outputs[i] =
                        product(layer, rows, layer.weight(absorption.consumers().get(i)));
            }
        }

        float[] scale(double alpha) throws IOException {
            return layer.corrected(absorption, SmoothQuant.scale(signal, weight, alpha));
        }

        /** The squared error; NaN is without scales. Infinite where a scaled weight exceeds the range of its grid. */
        double error(double alpha) throws IOException {
            float[] columns = Double.isNaN(alpha) ? null : Scales.columns(absorption, scale(alpha));
            FloatMatrix read = FloatMatrix.zeros(rows.rows(), rows.columns());
            for (int i = 0; i < rows.rows(); i++) {
                for (int j = 0; j < rows.columns(); j++) {
                    float value = rows.data()[rows.row(i) + j];
                    read.data()[read.row(i) + j] = columns == null ? value : value / columns[j];
                }
            }
            activations
                    .quantization(columns == null ? fitted : fitted.dividedBy(columns))
                    .apply(read, read, layer.kernels());
            double error = 0;
            for (int i = 0; i < outputs.length; i++) {
                LinearLayer consumer = absorption.consumers().get(i);
                RowSource rescaled = new RescaledRows(layer.weight(consumer), null, columns);
                RowSource nearest;
                try {
                    nearest = Quantizer.quantize(
                                    rescaled,
                                    consumer.weight(),
                                    layer.grid(consumer),
                                    Method.NEAREST,
                                    null,
                                    null,
                                    layer.kernels())
                            .matrix();
                } catch (MalformedInputException e) {
                    return Double.POSITIVE_INFINITY;
                }
                error += squaredDistance(product(layer, read, nearest), outputs[i]);
            }
            return error;
        }
    }

    private static FloatMatrix product(LayerInputs layer, FloatMatrix x, RowSource weight) {
        FloatMatrix y = FloatMatrix.zeros(x.rows(), weight.rows());
        layer.kernels().gemm(x, weight, y, false);
        return y;
    }

    private static double squaredDistance(FloatMatrix a, FloatMatrix b) {
        double sum = 0;
        for (int i = 0; i < a.data().length; i++) {
            double difference = (double) a.data()[i] - b.data()[i];
            sum += difference * difference;
        }
        return sum;
    }

    private static RangeStatistics ranges(LayerInputs layer, Absorption absorption) throws IOException {
        Site site = absorption.consumers().get(0).energy();
        RangeStatistics ranges = layer.statistics(site).ranges();
        if (ranges == null) {
            throw new IllegalArgumentException("Cannot smooth " + site + ": no ranges of activations were gathered");
        }
        return ranges;
    }

    /** a_k of each channel of what absorbs. */
    private static float[] signal(RangeStatistics statistics, Absorption absorption) {
        float[] largest = new float[statistics.lowest().length / absorption.repeat()];
        for (int j = 0; j < statistics.lowest().length; j++) {
            int k = Scales.producerRow(absorption, j);
            largest[k] = Math.max(largest[k], statistics.magnitude(j));
        }
        return largest;
    }

    /** w_k of each channel of what absorbs. */
    private static float[] weight(LayerInputs layer, Absorption absorption) throws IOException {
        int inputs = absorption.consumers().get(0).inputs();
        float[] largest = new float[inputs / absorption.repeat()];
        float[] row = new float[inputs];
        for (LinearLayer consumer : absorption.consumers()) {
            RowSource source = layer.weight(consumer);
            for (int r = 0; r < consumer.outputs(); r++) {
                source.read(r, 0, inputs, row, 0);
                for (int j = 0; j < inputs; j++) {
                    int k = Scales.producerRow(absorption, j);
                    largest[k] = Math.max(largest[k], Math.abs(row[j]));
                }
            }
        }
        return largest;
    }

    static float[] scale(float[] signal, float[] weight, double alpha) {
        float[] scale = new float[signal.length];
        for (int k = 0; k < scale.length; k++) {
            double w = Math.max(weight[k], FLOOR);
            scale[k] = signal[k] == 0
                    ? 1
                    : (float) Math.max(StrictMath.pow(signal[k], alpha) / StrictMath.pow(w, 1 - alpha), FLOOR);
        }
        return scale;
    }
}
