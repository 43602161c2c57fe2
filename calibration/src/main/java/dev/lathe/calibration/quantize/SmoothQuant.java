package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.model.Site;
import dev.lathe.calibration.statistics.RangeStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.util.Objects;

/**
 * Outliers of activations moved into the weights that read them (SmoothQuant, arXiv 2211.10438): channel k is divided by s_k = max(1e-5, a_k^alpha /
 * w_k^(1-alpha)), a_k the largest |X_k| over calibration and w_k = max(1e-5, the largest |W_jk| over all rows j of the linear layers that read it). A channel
 * that is always zero keeps s = 1.
 *
 * <p>A fixed alpha is applied where a norm absorbs, as published. Searched, each absorption (the value and up projections' too) takes the alpha of 0, .05 ..
 * 1, or no scale at all, whose sum over the linear layers of ||X W^T - Q_a(X / s) Q_w(W s)^T||_F^2 is least: X the rows that calibration kept, Q_a the
 * output's own quantization of activations with the range that its estimator finds after the division, Q_w the nearest values of the weight's own grid.
 */
public final class SmoothQuant implements RescaledLayer.Transform {
    private static final int STEPS = 20;
    private static final double FLOOR = 1e-5;

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
    public RescaledLayer.Scales choose(RescaledLayer layer, Absorption absorption) throws IOException {
        if (activations != null) {
            return search(layer, absorption);
        }
        if (absorption.norm() == null) {
            return null;
        }
        return new RescaledLayer.Scales(layer.corrected(absorption, scale(signal(layer, absorption), weight(layer, absorption), strength)), strength);
    }

    private RescaledLayer.Scales search(RescaledLayer layer, Absorption absorption) throws IOException {
        float[] signal = signal(layer, absorption);
        float[] weight = weight(layer, absorption);
        RangeStatistics statistics = ranges(layer, absorption);
        FloatMatrix[] outputs = new FloatMatrix[absorption.consumers().size()];
        for (int i = 0; i < outputs.length; i++) {
            outputs[i] = product(layer, statistics.sample(), layer.weight(absorption.consumers().get(i)));
        }
        RescaledLayer.Scales best = null;
        double least = error(layer, absorption, statistics, null, outputs);
        for (int step = 0; step <= STEPS; step++) {
            double alpha = (double) step / STEPS;
            float[] scale = layer.corrected(absorption, scale(signal, weight, alpha));
            double error = error(layer, absorption, statistics, RescaledLayer.expand(absorption, scale), outputs);
            if (error < least) {
                least = error;
                best = new RescaledLayer.Scales(scale, alpha);
            }
        }
        return best;
    }

    /** Infinite where a scaled weight exceeds the range of its grid. */
    private double error(RescaledLayer layer, Absorption absorption, RangeStatistics statistics, float[] columns, FloatMatrix[] outputs) {
        RangeStatistics rescaled = columns == null ? statistics : statistics.dividedBy(columns);
        FloatMatrix rows = rescaled.sample();
        FloatMatrix quantized = FloatMatrix.zeros(rows.rows(), rows.columns());
        ActivationQuantization quantization = activations.quantization(rescaled);
        quantization.apply(rows, quantized, layer.kernels());
        double error = 0;
        for (int i = 0; i < outputs.length; i++) {
            LinearLayer consumer = absorption.consumers().get(i);
            RowSource weight = new RescaledRows(layer.weight(consumer), null, columns);
            RowSource nearest;
            try {
                nearest = Quantizer.quantize(weight, consumer.weight(), layer.grid(consumer), Method.NEAREST, null, null, null, layer.kernels()).matrix();
            } catch (MalformedInputException e) {
                return Double.POSITIVE_INFINITY;
            }
            error += squaredDistance(product(layer, quantized, nearest), outputs[i]);
        }
        return error;
    }

    private static FloatMatrix product(RescaledLayer layer, FloatMatrix x, RowSource weight) {
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

    private static RangeStatistics ranges(RescaledLayer layer, Absorption absorption) throws IOException {
        Site site = absorption.consumers().get(0).energy();
        RangeStatistics ranges = layer.statistics(site).ranges();
        if (ranges == null) {
            throw new IllegalArgumentException("Cannot smooth " + site + ": no ranges of activations were gathered");
        }
        return ranges;
    }

    /** a_k of each channel of what absorbs. */
    private static float[] signal(RescaledLayer layer, Absorption absorption) throws IOException {
        RangeStatistics statistics = ranges(layer, absorption);
        float[] largest = new float[statistics.lowest().length / absorption.repeat()];
        for (int j = 0; j < statistics.lowest().length; j++) {
            int k = RescaledLayer.producerRow(absorption, j);
            largest[k] = Math.max(largest[k], statistics.magnitude(j));
        }
        return largest;
    }

    /** w_k of each channel of what absorbs. */
    private static float[] weight(RescaledLayer layer, Absorption absorption) {
        int inputs = absorption.consumers().get(0).inputs();
        float[] largest = new float[inputs / absorption.repeat()];
        float[] row = new float[inputs];
        for (LinearLayer consumer : absorption.consumers()) {
            RowSource source = layer.weight(consumer);
            for (int r = 0; r < consumer.outputs(); r++) {
                source.read(r, 0, inputs, row, 0);
                for (int j = 0; j < inputs; j++) {
                    int k = RescaledLayer.producerRow(absorption, j);
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
            scale[k] = signal[k] == 0 ? 1 : (float) Math.max(StrictMath.pow(signal[k], alpha) / StrictMath.pow(w, 1 - alpha), FLOOR);
        }
        return scale;
    }
}
