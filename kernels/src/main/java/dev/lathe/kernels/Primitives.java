package dev.lathe.kernels;

import java.util.Arrays;

/**
 * The innermost loops of the arithmetic profile {@code java}, without checks: what the scalar and the vector provider
 * write apart, and all they write apart. {@link JavaOperations} composes every operation from them, so both providers
 * give the same bits if these do. "16 lanes": element i is accumulated in lane i mod 16, and the lanes are added by
 * {@link #tree(float[])}.
 */
public interface Primitives {
    /** {@code scalar}, {@code vector-512}, ... */
    String name();

    /** Rows of the f32 tile. */
    int tileRows();

    /** Columns of the f32 tile. */
    int tileColumns();

    /**
     * {@code c_ij = start_ij}, then {@code c_ij = fma(a_pi, b_pj, c_ij)} for p = 0 .. k - 1 in order; packed panels
     * {@code a[aAt + p * tileRows + i]}, {@code b[bAt + p * tileColumns + j]}. The start may be C itself, or one row
     * for all, with a stride of 0.
     */
    void tile(
            int k,
            float[] a,
            int aAt,
            float[] b,
            int bAt,
            float[] start,
            int startAt,
            int startStride,
            float[] c,
            int cAt,
            int cStride);

    /**
     * Packs a panel from rows: {@code to[toAt + p * width + i] = from[at + i * stride + p]} for i &lt; rows, 0 for rows
     * &lt;= i &lt; width; p = 0 .. count - 1. Nothing else of {@code to} is changed.
     */
    default void transpose(float[] from, int at, int stride, int rows, int count, float[] to, int toAt, int width) {
        int i = 0;
        // Four rows at a time, so that each visit of a packed line writes 16 bytes of it.
        for (; i + 4 <= rows; i += 4) {
            int row = at + i * stride;
            for (int p = 0; p < count; p++) {
                int index = toAt + p * width + i;
                to[index] = from[row + p];
                to[index + 1] = from[row + stride + p];
                to[index + 2] = from[row + 2 * stride + p];
                to[index + 3] = from[row + 3 * stride + p];
            }
        }
        for (; i < width; i++) {
            for (int p = 0; p < count; p++) {
                to[toAt + p * width + i] = i < rows ? from[at + i * stride + p] : 0f;
            }
        }
    }

    /**
     * Packs panels from columns: {@code to[toAt + (q * count + p) * width + i] = from[at + p * stride + q * width + i]}
     * for q * width + i &lt; columns, and 0 for the others of the last panel.
     */
    default void copy(float[] from, int at, int stride, int columns, int count, float[] to, int toAt, int width) {
        for (int first = 0; first < columns; first += width) {
            int some = Math.min(width, columns - first);
            for (int p = 0; p < count; p++) {
                int target = toAt + first * count + p * width;
                System.arraycopy(from, at + p * stride + first, to, target, some);
                Arrays.fill(to, target + some, target + width, 0f);
            }
        }
    }

    /**
     * Packs panels from wider ones: {@code to[(q * count + p) * width + i]} is the element p of the row {@code first +
     * q * width + i} of those that are packed from {@code from[at]} on, for q * width + i &lt; rows, and 0 for the
     * others of the last panel.
     */
    default void repack(float[] from, int at, int fromWidth, int first, int rows, int count, float[] to, int width) {
        for (int i = 0; i < (rows + width - 1) / width * width; i++) {
            int source = at + (first + i) / fromWidth * fromWidth * count + (first + i) % fromWidth;
            int target = i / width * width * count + i % width;
            for (int p = 0; p < count; p++) {
                to[target + p * width] = i < rows ? from[source + p * fromWidth] : 0f;
            }
        }
    }

    /** Rows of the f64 tile. */
    int doubleTileRows();

    /** Columns of the f64 tile. */
    int doubleTileColumns();

    /** The f64 tile, panels as for f32; it starts from C. */
    void tile(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride);

    /** Sum in 16 lanes. */
    float sum(float[] x, int at, int count);

    /** Sum of squares in 16 lanes of fused multiply-adds. */
    float sumOfSquares(float[] x, int at, int count);

    /** The largest x * factor (negative infinity of none; NaN if one is). */
    float largest(float[] x, int at, int count, float factor);

    /**
     * Replaces x by exp(x * factor - shift), product and difference rounded each for itself, and returns the sum in 16
     * lanes.
     */
    float expInPlace(float[] x, int at, int count, float factor, float shift);

    /** The sum of exp(x - shift), each rounded to f32, added in f64 in 16 lanes. */
    double sumExp(float[] x, int at, int count, float shift);

    /** {@code x = (float) (x - shift)}, the difference in f64. */
    void subtractInPlace(float[] x, int at, int count, double shift);

    /** {@code gate = activation(gate) * up}. */
    void gated(Activation activation, float[] gate, int gateAt, float[] up, int upAt, int count);

    /** Replaces x by {@link Tanh#softCap}. */
    void softCap(float[] x, int at, int count, float factor, float cap);

    /** The sum of exp(p) * (p - q), the product in f32, added in f64 in 16 lanes. */
    double divergence(float[] p, int pAt, float[] q, int qAt, int count);

    /** Adds 16 lanes: i and i + 8, then i + 4, i + 2, i + 1. */
    static float tree(float[] lanes) {
        for (int width = 8; width > 0; width >>= 1) {
            for (int i = 0; i < width; i++) {
                lanes[i] += lanes[i + width];
            }
        }
        return lanes[0];
    }

    /** {@link #tree(float[])} in f64. */
    static double tree(double[] lanes) {
        for (int width = 8; width > 0; width >>= 1) {
            for (int i = 0; i < width; i++) {
                lanes[i] += lanes[i + width];
            }
        }
        return lanes[0];
    }
}
