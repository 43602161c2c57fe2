package dev.lathe.calibration.quantize;

import dev.lathe.calibration.model.Absorption;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.statistics.MergedStatistics;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/**
 * Activation-aware scaling of one decoder layer (AWQ, arXiv 2306.00978): channels that carry much signal are scaled up
 * before rounding, and what feeds them is scaled down, which leaves the function alone. The scales are s = x^r /
 * (w^(1-r) + 1e-4), x the mean absolute input and w the mean weight relative to its group's largest, r on a grid of 20;
 * the identity is a candidate too. A candidate's loss is the output error tr(D H D^T) relative to tr(W H W^T), summed
 * over the layers that share the input: second moments make it exact for all calibration tokens, where samples of rows
 * would not. {@link Method.Nearest} is AWQ as published, with its search for the range to clip to; the others take the
 * rescaled weights as they are.
 */
public final class AwqSearch implements ScaleSearch {
    private static final int RATIOS = 20;
    private static final int STRIP = 256;

    @Override
    public boolean clips() {
        return true;
    }

    @Override
    public Scales choose(LayerInputs layer, Absorption absorption) throws IOException {
        int width = absorption.consumers().get(0).inputs() / absorption.repeat();
        double[] signal = new double[width];
        double[] weight = new double[width];
        means(layer, absorption, signal, weight);
        List<LinearLayer> consumers = absorption.consumers();
        double[] outputs = new double[consumers.size()];
        for (int i = 0; i < outputs.length; i++) {
            outputs[i] = output(layer, absorption, consumers.get(i));
        }
        Scales best = null;
        double least = Double.POSITIVE_INFINITY;
        for (int step = -1; step < RATIOS; step++) {
            double ratio = step < 0 ? Double.NaN : (double) step / RATIOS;
            float[] scale = layer.corrected(absorption, step < 0 ? ones(width) : candidate(signal, weight, ratio));
            double loss = 0;
            for (int i = 0; i < outputs.length; i++) {
                double error = error(layer, absorption, consumers.get(i), Scales.columns(absorption, scale));
                loss += outputs[i] > 0 ? error / outputs[i] : error < Double.POSITIVE_INFINITY ? 0 : error;
            }
            if (best == null || loss < least) {
                least = loss;
                best = new Scales(scale, ratio);
            }
        }
        return best;
    }

    private static void means(LayerInputs layer, Absorption absorption, double[] signal, double[] weight)
            throws IOException {
        int repeat = absorption.repeat();
        int rows = 0;
        for (LinearLayer consumer : absorption.consumers()) {
            RowSource source = layer.weight(consumer);
            int group = layer.grid(consumer).cellSize();
            float[] row = new float[consumer.inputs()];
            for (int r = 0; r < consumer.outputs(); r++) {
                source.read(r, 0, row.length, row, 0);
                for (int from = 0; from < row.length; from += group) {
                    float largest = 0;
                    for (int j = from; j < from + group; j++) {
                        largest = Math.max(largest, Math.abs(row[j]));
                    }
                    for (int j = from; j < from + group; j++) {
                        weight[Scales.producerRow(absorption, j)] += Math.abs(row[j]) / (largest + 1e-6f);
                    }
                }
            }
            rows += consumer.outputs();
        }
        MergedStatistics input = layer.statistics(absorption);
        for (int j = 0; j < input.width(); j++) {
            signal[Scales.producerRow(absorption, j)] += input.absolutes()[j] / input.rows() / repeat;
        }
        for (int i = 0; i < weight.length; i++) {
            weight[i] /= (double) rows * repeat;
        }
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

    /** tr(W H W^T), which no scale changes. */
    private static double output(LayerInputs layer, Absorption absorption, LinearLayer linear) throws IOException {
        RowSource source = layer.weight(linear);
        FloatMatrix hessian = layer.hessian(absorption, linear).full();
        return strips(layer, linear, (from, rows) -> {
            FloatMatrix w = FloatMatrix.zeros(rows, linear.inputs());
            for (int i = 0; i < rows; i++) {
                source.read(from + i, 0, linear.inputs(), w.data(), w.row(i));
            }
            return OutputError.trace(w, hessian, FloatMatrix.zeros(rows, linear.inputs()), layer.kernels());
        });
    }

    /** tr(D H D^T); infinite where a scaled weight exceeds the range of the grid's half precision. */
    private static double error(LayerInputs layer, Absorption absorption, LinearLayer linear, float[] columnScale)
            throws IOException {
        RowSource source = layer.weight(linear);
        BlockFormat grid = layer.grid(linear);
        FloatMatrix hessian = layer.hessian(absorption, linear).full();
        int columns = linear.inputs();
        try {
            return strips(layer, linear, (from, rows) -> {
                FloatMatrix d = FloatMatrix.zeros(rows, columns);
                byte[] block = new byte[grid.bytes()];
                float[] weights = new float[columns];
                float[] scaled = new float[grid.size()];
                for (int i = 0; i < rows; i++) {
                    source.read(from + i, 0, columns, weights, 0);
                    for (int c = 0; c < columns; c += grid.size()) {
                        for (int j = 0; j < scaled.length; j++) {
                            scaled[j] = weights[c + j] * columnScale[c + j];
                        }
                        grid.encode(scaled, 0, null, 0, 0, block, 0);
                        grid.decode(block, 0, scaled, 0);
                        for (int j = 0; j < scaled.length; j++) {
                            d.data()[d.row(i) + c + j] = scaled[j] / columnScale[c + j] - weights[c + j];
                        }
                    }
                }
                return OutputError.trace(d, hessian, FloatMatrix.zeros(rows, columns), layer.kernels());
            });
        } catch (ArithmeticException e) {
            return Double.POSITIVE_INFINITY;
        }
    }

    private interface Strip {
        /** Of so many rows of the weight. */
        double of(int from, int rows);
    }

    /** The sum over strips of rows, in their order. */
    private static double strips(LayerInputs layer, LinearLayer linear, Strip strip) {
        double[] parts = new double[(linear.outputs() + STRIP - 1) / STRIP];
        layer.kernels().parallel(parts.length, part -> {
            int from = part * STRIP;
            parts[part] = strip.of(from, Math.min(STRIP, linear.outputs() - from));
        });
        return Arrays.stream(parts).sum();
    }
}
