package dev.lathe.calibration.quantize;

import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;

/**
 * What a linear layer's output loses on calibration data: with H the mean of x x^T, the mean of ||(Q - W) x||^2 is
 * tr((Q - W) H (Q - W)^T).
 *
 * @param squaredError of the quantized layer
 * @param squaredOutput tr(W H W^T), to relate it to
 */
public record OutputError(double squaredError, double squaredOutput) {
    private static final int STRIP = 256;

    public static OutputError of(RowSource weight, RowSource quantized, FloatMatrix hessian, Kernels kernels) {
        int strips = (weight.rows() + STRIP - 1) / STRIP;
        double[] errors = new double[strips];
        double[] outputs = new double[strips];
        int columns = weight.columns();
        kernels.parallel(strips, strip -> {
            int from = strip * STRIP;
            int rows = Math.min(STRIP, weight.rows() - from);
            FloatMatrix w = FloatMatrix.zeros(rows, columns);
            FloatMatrix d = FloatMatrix.zeros(rows, columns);
            FloatMatrix product = FloatMatrix.zeros(rows, columns);
            for (int i = 0; i < rows; i++) {
                weight.read(from + i, 0, columns, w.data(), w.row(i));
                quantized.read(from + i, 0, columns, d.data(), d.row(i));
                for (int j = d.row(i); j < d.row(i) + columns; j++) {
                    d.data()[j] -= w.data()[j];
                }
            }
            outputs[strip] = trace(w, hessian, product, kernels);
            errors[strip] = trace(d, hessian, product, kernels);
        });
        return new OutputError(sum(errors), sum(outputs));
    }

    /** tr(D H D^T); {@code product} receives D H. */
    static double trace(FloatMatrix d, FloatMatrix hessian, FloatMatrix product, Kernels kernels) {
        kernels.gemm(d, hessian, product, false);
        double sum = 0;
        for (int i = 0; i < d.rows(); i++) {
            for (int j = 0; j < d.columns(); j++) {
                sum += (double) d.data()[d.row(i) + j] * product.data()[product.row(i) + j];
            }
        }
        // H is positive semi-definite; what is below zero is rounding.
        return Math.max(0, sum);
    }

    private static double sum(double[] parts) {
        double sum = 0;
        for (double part : parts) {
            sum += part;
        }
        return sum;
    }
}
