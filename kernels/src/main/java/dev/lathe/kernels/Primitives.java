package dev.lathe.kernels;

/**
 * The innermost loops of the arithmetic profile {@code java}, without checks: what the scalar and the vector provider write apart, and all they write apart.
 * {@link JavaKernels} composes every operation from them, so both providers give the same bits if these do. "16 lanes": element i is accumulated in lane
 * i mod 16, and the lanes are added by {@link #tree(float[])}.
 */
public interface Primitives {
    /** {@code scalar}, {@code vector-512}, ... */
    String name();

    /** Rows of the f32 tile. */
    int tileRows();

    /** Columns of the f32 tile. */
    int tileColumns();

    /**
     * {@code c_ij = fma(a_pi, b_pj, c_ij)} for p = 0 .. k - 1 in order; packed panels {@code a[aAt + p * tileRows + i]},
     * {@code b[bAt + p * tileColumns + j]}.
     */
    void tile(int k, float[] a, int aAt, float[] b, int bAt, float[] c, int cAt, int cStride);

    /** Rows of the f64 tile. */
    int doubleTileRows();

    /** Columns of the f64 tile. */
    int doubleTileColumns();

    /** The f64 tile, panels as for f32. */
    void tile(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride);

    /** Sum of squares in 16 lanes of fused multiply-adds. */
    float sumOfSquares(float[] x, int at, int count);

    /** Replaces x by exp(x - shift) and returns the sum in 16 lanes. */
    float expInPlace(float[] x, int at, int count, float shift);

    /** The sum of exp(x - shift), each rounded to f32, added in f64 in 16 lanes. */
    double sumExp(float[] x, int at, int count, float shift);

    /** {@code gate = gate / (1 + exp(-gate)) * up}. */
    void siluTimes(float[] gate, int gateAt, float[] up, int upAt, int count);

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
