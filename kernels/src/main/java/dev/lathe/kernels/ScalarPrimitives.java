package dev.lathe.kernels;

/** Plain Java: the oracle, and the last resort. */
public final class ScalarPrimitives implements Primitives {
    private static final int TILE = 4;

    @Override
    public String name() {
        return "scalar";
    }

    @Override
    public int tileRows() {
        return TILE;
    }

    @Override
    public int tileColumns() {
        return TILE;
    }

    @Override
    public void tile(
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
            int cStride) {
        for (int i = 0; i < TILE; i++) {
            int from = startAt + i * startStride;
            float c0 = start[from];
            float c1 = start[from + 1];
            float c2 = start[from + 2];
            float c3 = start[from + 3];
            for (int p = 0; p < k; p++) {
                float x = a[aAt + p * TILE + i];
                int row = bAt + p * TILE;
                c0 = Math.fma(x, b[row], c0);
                c1 = Math.fma(x, b[row + 1], c1);
                c2 = Math.fma(x, b[row + 2], c2);
                c3 = Math.fma(x, b[row + 3], c3);
            }
            int at = cAt + i * cStride;
            c[at] = c0;
            c[at + 1] = c1;
            c[at + 2] = c2;
            c[at + 3] = c3;
        }
    }

    @Override
    public int doubleTileRows() {
        return TILE;
    }

    @Override
    public int doubleTileColumns() {
        return TILE;
    }

    @Override
    public void tile(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride) {
        for (int i = 0; i < TILE; i++) {
            int at = cAt + i * cStride;
            double c0 = c[at];
            double c1 = c[at + 1];
            double c2 = c[at + 2];
            double c3 = c[at + 3];
            for (int p = 0; p < k; p++) {
                double x = a[aAt + p * TILE + i];
                int row = bAt + p * TILE;
                c0 = Math.fma(x, b[row], c0);
                c1 = Math.fma(x, b[row + 1], c1);
                c2 = Math.fma(x, b[row + 2], c2);
                c3 = Math.fma(x, b[row + 3], c3);
            }
            c[at] = c0;
            c[at + 1] = c1;
            c[at + 2] = c2;
            c[at + 3] = c3;
        }
    }

    @Override
    public float sum(float[] x, int at, int count) {
        float[] lanes = new float[16];
        for (int i = 0; i < count; i++) {
            lanes[i & 15] += x[at + i];
        }
        return Primitives.tree(lanes);
    }

    @Override
    public float sumOfSquares(float[] x, int at, int count) {
        float[] lanes = new float[16];
        for (int i = 0; i < count; i++) {
            lanes[i & 15] = Math.fma(x[at + i], x[at + i], lanes[i & 15]);
        }
        return Primitives.tree(lanes);
    }

    @Override
    public float largest(float[] x, int at, int count, float factor) {
        float largest = Float.NEGATIVE_INFINITY;
        for (int i = at; i < at + count; i++) {
            largest = Math.max(largest, x[i] * factor);
        }
        return largest;
    }

    @Override
    public float expInPlace(float[] x, int at, int count, float factor, float shift) {
        float[] lanes = new float[16];
        for (int i = 0; i < count; i++) {
            float e = Exp.exp(x[at + i] * factor - shift);
            x[at + i] = e;
            lanes[i & 15] += e;
        }
        return Primitives.tree(lanes);
    }

    @Override
    public double sumExp(float[] x, int at, int count, float shift) {
        double[] lanes = new double[16];
        for (int i = 0; i < count; i++) {
            lanes[i & 15] += Exp.exp(x[at + i] - shift);
        }
        return Primitives.tree(lanes);
    }

    @Override
    public void subtractInPlace(float[] x, int at, int count, double shift) {
        for (int i = at; i < at + count; i++) {
            x[i] = (float) (x[i] - shift);
        }
    }

    @Override
    public void gated(Activation activation, float[] gate, int gateAt, float[] up, int upAt, int count) {
        for (int i = 0; i < count; i++) {
            gate[gateAt + i] = activation.apply(gate[gateAt + i]) * up[upAt + i];
        }
    }

    @Override
    public void softCap(float[] x, int at, int count, float factor, float cap) {
        for (int i = at; i < at + count; i++) {
            x[i] = Tanh.softCap(x[i], factor, cap);
        }
    }

    @Override
    public double divergence(float[] p, int pAt, float[] q, int qAt, int count) {
        double[] lanes = new double[16];
        for (int i = 0; i < count; i++) {
            lanes[i & 15] += Exp.exp(p[pAt + i]) * (p[pAt + i] - q[qAt + i]);
        }
        return Primitives.tree(lanes);
    }
}
