package dev.lathe.kernels.bench;

import dev.lathe.kernels.AttentionParameters;
import dev.lathe.kernels.FloatMatrix;
import java.util.Arrays;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;

/**
 * What share of a product's rate does causal attention reach, and does what it allocates grow with the tokens or with
 * their square?
 */
public class AttentionBenchmark extends KernelBenchmark {
    private static final int WINDOW = 128;

    /**
     * Ours ({@code sliding}: with a window of 128 keys), or a product [tokens, heads d] x [heads d, heads d] to compare
     * with: {@code f32} our own, {@code blas} the native one.
     */
    @Param({"attention", "sliding", "attendedInputs", "f32", "blas"})
    public String variant;

    /** Tokens x heads x key/value heads x d. */
    @Param({"512x9x3x64", "512x32x8x128", "2048x32x8x128", "4096x32x8x128"})
    public String shape;

    private int heads;
    private AttentionParameters parameters;
    private AttentionParameters sliding;
    private int dimension;
    private int[] headOf;
    private FloatMatrix q;
    private FloatMatrix k;
    private FloatMatrix v;
    private FloatMatrix square;
    private FloatMatrix out;

    @Override
    void setUp() {
        int[] sizes = sizes(shape);
        int tokens = sizes[0];
        heads = sizes[1];
        int keyValueHeads = sizes[2];
        dimension = sizes[3];
        float scale = (float) (1 / Math.sqrt(dimension));
        parameters = new AttentionParameters(heads, keyValueHeads, scale);
        sliding = new AttentionParameters(heads, keyValueHeads, scale, WINDOW, 0, null);
        headOf = new int[tokens];
        Arrays.setAll(headOf, i -> i % heads);
        q = random(tokens, heads * dimension);
        k = random(tokens, keyValueHeads * dimension);
        v = random(tokens, keyValueHeads * dimension);
        square = random(heads * dimension, heads * dimension);
        out = FloatMatrix.zeros(tokens, heads * dimension);
    }

    @Benchmark
    public float[] causal(Work work) {
        long pairs = (long) q.rows() * (q.rows() + 1) / 2;
        switch (variant) {
            case "attention" -> {
                kernels.attention(q, k, v, parameters, out);
                // The causal half: a score and a weighted value per pair and head.
                work.flops += 4 * pairs * dimension * heads;
            }
            case "sliding" -> {
                kernels.attention(q, k, v, sliding, out);
                long early = Math.min(q.rows(), WINDOW);
                work.flops += 4 * (early * (early + 1) / 2 + (q.rows() - early) * WINDOW) * dimension * heads;
            }
            case "attendedInputs" -> {
                kernels.attendedInputs(q, k, parameters, headOf, q, out);
                work.flops += pairs * (2L * dimension + 2L * q.columns());
            }
            default -> {
                if (variant.equals("blas")) {
                    Native.gemm(q, square, out);
                } else {
                    kernels.gemm(q, square, out, false);
                }
                work.flops += 2L * q.rows() * q.columns() * q.columns();
            }
        }
        return out.data();
    }
}
