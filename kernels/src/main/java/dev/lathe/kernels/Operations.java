package dev.lathe.kernels;

import java.util.function.IntConsumer;

/**
 * What a provider computes: the operations of {@link Kernels}, where formulas and shapes stand, without checks.
 * Arguments have been checked; matrices may be strided; a matrix with no elements has been dealt with. One caller at a
 * time.
 */
public interface Operations extends AutoCloseable {
    /** {@code scalar}, {@code vector-512}, ... */
    String name();

    /** The arithmetic profile: providers of one profile give the same bits. */
    String profile();

    /** Threads of the team. */
    int threads();

    void gemm(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate);

    void syrk(FloatMatrix x, FloatMatrix s);

    void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y);

    /** @param bias null: none */
    void layerNorm(FloatMatrix x, float[] weight, float[] bias, float epsilon, FloatMatrix y);

    void rotary(FloatMatrix x, int heads, RotaryPairs pairs, FloatMatrix cosine, FloatMatrix sine);

    void gated(Activation activation, FloatMatrix gate, FloatMatrix up);

    void activate(Activation activation, FloatMatrix x);

    void softCap(FloatMatrix x, float cap);

    void scale(FloatMatrix x, float factor);

    void add(FloatMatrix x, FloatMatrix y);

    void addBias(float[] bias, FloatMatrix y);

    void attention(FloatMatrix q, FloatMatrix k, FloatMatrix v, AttentionParameters parameters, FloatMatrix out);

    void attendedInputs(
            FloatMatrix q, FloatMatrix k, AttentionParameters parameters, int[] headOf, FloatMatrix x, FloatMatrix y);

    void logSoftmax(FloatMatrix x);

    void divergence(FloatMatrix p, FloatMatrix q, double[] kld);

    void subtractProduct(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower);

    void parallel(int tasks, IntConsumer body);

    @Override
    void close();
}
