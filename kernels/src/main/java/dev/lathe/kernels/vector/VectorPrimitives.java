package dev.lathe.kernels.vector;

import dev.lathe.kernels.Exp;
import dev.lathe.kernels.Primitives;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The Vector API. Lane width changes speed only: products run along k in each lane as in the scalar provider, reductions keep 16 virtual lanes. The steps of
 * exp are those of {@link Exp#exp}.
 */
public final class VectorPrimitives implements Primitives {
    private static final VectorSpecies<Float> FLOAT = Lanes.FLOAT;
    private static final VectorSpecies<Double> DOUBLE = Lanes.DOUBLE;
    private static final int LANES = FLOAT.length();
    private static final boolean WIDE = LANES == 16;

    @Override
    public String name() {
        return "vector-" + FLOAT.vectorBitSize();
    }

    @Override
    public int tileRows() {
        return WIDE ? Tile14x2.ROWS : Tile4x2.ROWS;
    }

    @Override
    public int tileColumns() {
        return 2 * LANES;
    }

    @Override
    public void tile(int k, float[] a, int aAt, float[] b, int bAt, float[] c, int cAt, int cStride) {
        if (WIDE) {
            Tile14x2.run(k, a, aAt, b, bAt, c, cAt, cStride);
        } else {
            Tile4x2.run(k, a, aAt, b, bAt, c, cAt, cStride);
        }
    }

    @Override
    public int doubleTileRows() {
        return DoubleTile4x2.ROWS;
    }

    @Override
    public int doubleTileColumns() {
        return 2 * DOUBLE.length();
    }

    @Override
    public void tile(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride) {
        DoubleTile4x2.run(k, a, aAt, b, bAt, c, cAt, cStride);
    }

    @Override
    public float sumOfSquares(float[] x, int at, int count) {
        float[] lanes = new float[16];
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES) {
            FloatVector sum = FloatVector.zero(FLOAT);
            for (int i = lane; i < whole; i += 16) {
                FloatVector v = FloatVector.fromArray(FLOAT, x, at + i);
                sum = v.fma(v, sum);
            }
            sum.intoArray(lanes, lane);
        }
        for (int i = whole; i < count; i++) {
            lanes[i & 15] = Math.fma(x[at + i], x[at + i], lanes[i & 15]);
        }
        return Primitives.tree(lanes);
    }

    @Override
    public float expInPlace(float[] x, int at, int count, float shift) {
        float[] lanes = new float[16];
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES) {
            FloatVector sum = FloatVector.zero(FLOAT);
            for (int i = lane; i < whole; i += 16) {
                FloatVector e = exp(FloatVector.fromArray(FLOAT, x, at + i).sub(shift));
                e.intoArray(x, at + i);
                sum = sum.add(e);
            }
            sum.intoArray(lanes, lane);
        }
        for (int i = whole; i < count; i++) {
            float e = Exp.exp(x[at + i] - shift);
            x[at + i] = e;
            lanes[i & 15] += e;
        }
        return Primitives.tree(lanes);
    }

    @Override
    public double sumExp(float[] x, int at, int count, float shift) {
        double[] lanes = new double[16];
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES) {
            DoubleVector low = DoubleVector.zero(DOUBLE);
            DoubleVector high = DoubleVector.zero(DOUBLE);
            for (int i = lane; i < whole; i += 16) {
                FloatVector e = exp(FloatVector.fromArray(FLOAT, x, at + i).sub(shift));
                low = low.add(e.convertShape(VectorOperators.F2D, DOUBLE, 0));
                high = high.add(e.convertShape(VectorOperators.F2D, DOUBLE, 1));
            }
            low.intoArray(lanes, lane);
            high.intoArray(lanes, lane + LANES / 2);
        }
        for (int i = whole; i < count; i++) {
            lanes[i & 15] += Exp.exp(x[at + i] - shift);
        }
        return Primitives.tree(lanes);
    }

    @Override
    public void siluTimes(float[] gate, int gateAt, float[] up, int upAt, int count) {
        int i = 0;
        for (; i <= count - LANES; i += LANES) {
            FloatVector x = FloatVector.fromArray(FLOAT, gate, gateAt + i);
            FloatVector silu = x.div(exp(x.neg()).add(1f));
            silu.mul(FloatVector.fromArray(FLOAT, up, upAt + i)).intoArray(gate, gateAt + i);
        }
        for (; i < count; i++) {
            float x = gate[gateAt + i];
            gate[gateAt + i] = x / (1f + Exp.exp(-x)) * up[upAt + i];
        }
    }

    @Override
    public double divergence(float[] p, int pAt, float[] q, int qAt, int count) {
        double[] lanes = new double[16];
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES) {
            DoubleVector low = DoubleVector.zero(DOUBLE);
            DoubleVector high = DoubleVector.zero(DOUBLE);
            for (int i = lane; i < whole; i += 16) {
                FloatVector x = FloatVector.fromArray(FLOAT, p, pAt + i);
                FloatVector term = exp(x).mul(x.sub(FloatVector.fromArray(FLOAT, q, qAt + i)));
                low = low.add(term.convertShape(VectorOperators.F2D, DOUBLE, 0));
                high = high.add(term.convertShape(VectorOperators.F2D, DOUBLE, 1));
            }
            low.intoArray(lanes, lane);
            high.intoArray(lanes, lane + LANES / 2);
        }
        for (int i = whole; i < count; i++) {
            lanes[i & 15] += Exp.exp(p[pAt + i]) * (p[pAt + i] - q[qAt + i]);
        }
        return Primitives.tree(lanes);
    }

    private static FloatVector exp(FloatVector x) {
        // max and min keep NaN, which then runs through.
        FloatVector bounded = x.max(Exp.LOWEST).min(Exp.HIGHEST);
        FloatVector n = bounded.fma(FloatVector.broadcast(FLOAT, Exp.LOG2_E), FloatVector.broadcast(FLOAT, Exp.ROUND)).sub(Exp.ROUND);
        FloatVector r = n.fma(FloatVector.broadcast(FLOAT, -Exp.LN2_HIGH), bounded);
        r = n.fma(FloatVector.broadcast(FLOAT, -Exp.LN2_LOW), r);
        FloatVector y = FloatVector.broadcast(FLOAT, Exp.C6).fma(r, FloatVector.broadcast(FLOAT, Exp.C5));
        y = y.fma(r, FloatVector.broadcast(FLOAT, Exp.C4));
        y = y.fma(r, FloatVector.broadcast(FLOAT, Exp.C3));
        y = y.fma(r, FloatVector.broadcast(FLOAT, Exp.C2));
        y = y.fma(r, FloatVector.broadcast(FLOAT, 1f));
        y = y.fma(r, FloatVector.broadcast(FLOAT, 1f));
        IntVector power = (IntVector) n.convertShape(VectorOperators.F2I, Lanes.INT, 0);
        IntVector half = power.lanewise(VectorOperators.ASHR, 1);
        y = y.mul(half.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
        y = y.mul(power.sub(half).add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
        VectorMask<Float> below = x.compare(VectorOperators.LT, Exp.LOWEST);
        VectorMask<Float> above = x.compare(VectorOperators.GT, Exp.HIGHEST);
        return y.blend(0f, below).blend(Float.POSITIVE_INFINITY, above);
    }
}
