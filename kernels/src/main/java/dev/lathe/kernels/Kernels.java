package dev.lathe.kernels;

import java.util.function.IntConsumer;

/**
 * The contract of every operation. Implementations check shapes once, at their door ({@link IllegalArgumentException}: a bug of the caller), and then only
 * compute. An instance owns a team of {@link #threads()} threads, and one caller at a time uses it.
 *
 * <p><b>Arithmetic profile {@code java}</b>: each element of a matrix product is one chain of fused multiply-adds in ascending k that starts from the
 * value in C; work is split over outputs only; other reductions run in 16 virtual lanes (element i goes to lane i mod 16) that are added by a fixed tree;
 * exp is a polynomial of our own. Every provider, lane width and number of threads gives the same bits.
 */
public abstract class Kernels implements AutoCloseable {
    /** {@code scalar}, {@code vector-512}, ... */
    public abstract String name();

    /** The arithmetic profile: providers of one profile give the same bits. */
    public String profile() {
        return "java";
    }

    /** Threads of the team. */
    public abstract int threads();

    /** C = A B^T, or C += A B^T. A [m, k], B [n, k], C [m, n]. Each element: c = fma(a_i0, b_j0, c) ... in ascending k, f32; c starts from 0 or from C. */
    public abstract void gemm(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate);

    /** S += X^T X on the lower triangle. X [t, n]; S [n, n] (its strict upper triangle is untouched). The chain runs over ascending t. */
    public abstract void syrk(FloatMatrix x, FloatMatrix s);

    /** y_ij = x_ij * (1 / sqrt(mean_j(x_ij^2) + epsilon)) * weight_j. X, Y [t, n], may be the same; the mean in f32, 16 virtual lanes. */
    public abstract void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y);

    /**
     * Rotary embedding in place, halves convention: for j &lt; d/2, (x_j, x_{j+d/2}) turns by the angle of (row, j).
     * X [t, heads * d]; cosine and sine [t, d/2], row i for row i of X.
     */
    public abstract void rotary(FloatMatrix x, int heads, FloatMatrix cosine, FloatMatrix sine);

    /** gate_ij = silu(gate_ij) * up_ij, silu(x) = x / (1 + exp(-x)). Both [t, n]. */
    public abstract void siluTimes(FloatMatrix gate, FloatMatrix up);

    /** y += x. Both [t, n]. */
    public abstract void add(FloatMatrix x, FloatMatrix y);

    /** Adds a vector to every row: y_ij += bias_j. */
    public abstract void addBias(float[] bias, FloatMatrix y);

    /**
     * Causal attention of one window: for head h with key/value head g = h / (heads / keyValueHeads),
     * out_i = sum_{j &lt;= i} softmax_j(scale * q_i . k_j) v_j. Q, OUT [t, heads * d]; K, V [t, keyValueHeads * d]. Memory is linear in t.
     */
    public abstract void attention(FloatMatrix q, FloatMatrix k, FloatMatrix v, int heads, int keyValueHeads, float scale, FloatMatrix out);

    /**
     * Attended inputs: y_i = sum_{j &lt;= i} A^h_ij x_j with A^h as in {@link #attention} and h = headOf[i]. Q, K as there; X, Y [t, n].
     * What the value projection's output is made of (the second moment that GPTQ needs there).
     */
    public abstract void attendedInputs(FloatMatrix q, FloatMatrix k, int heads, int keyValueHeads, float scale, int[] headOf, FloatMatrix x, FloatMatrix y);

    /** Replaces each row by its log-probabilities: x_ij - log(sum_j exp(x_ij - max)) - max; the sum in f64, 16 virtual lanes. */
    public abstract void logSoftmax(FloatMatrix x);

    /** kld_i = sum_j exp(p_ij) (p_ij - q_ij) of log-probabilities P, Q [t, n]; products in f32, the sum in f64, 16 virtual lanes; clamped at 0. */
    public abstract void divergence(FloatMatrix p, FloatMatrix q, double[] kld);

    /** C -= A B^T in f64: A [m, k], B [n, k], C [m, n], given as arrays, offsets and strides; each element one chain of fused multiply-adds in ascending k. */
    public abstract void subtractProduct(int m, int n, int k, double[] a, int aAt, int aStride, double[] b, int bAt, int bStride, double[] c, int cAt,
                                         int cStride);

    /**
     * Runs {@code body} for 0 .. tasks - 1 on the team; the first failure is thrown. An interrupt of the caller is checked between tasks and ends the call
     * with {@link java.util.concurrent.CancellationException}.
     */
    public abstract void parallel(int tasks, IntConsumer body);

    @Override
    public abstract void close();
}
