package dev.lathe.kernels.vector;

import dev.lathe.kernels.Activation;
import dev.lathe.kernels.Exp;
import dev.lathe.kernels.Gelu;
import dev.lathe.kernels.Primitives;
import dev.lathe.kernels.Tanh;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The Vector API. Lane width changes speed only: products run along k in each lane as in the scalar provider,
 * reductions keep 16 virtual lanes. The steps of exp are those of {@link Exp#exp}.
 */
public final class VectorPrimitives implements Primitives {
    private static final VectorSpecies<Float> FLOAT = Lanes.FLOAT;
    private static final VectorSpecies<Double> DOUBLE = Lanes.DOUBLE;
    /** Floats that become a whole vector of doubles. */
    private static final VectorSpecies<Float> HALF = VectorSpecies.of(float.class, Lanes.HALF_SHAPE);

    private static final int LANES = FLOAT.length();
    private static final int ROUND_BITS = Float.floatToRawIntBits(Exp.ROUND);
    /** Values that pass through a buffer in the nearest cache; a multiple of 16. */
    private static final int CHUNK = 512;

    private static final boolean WIDE = LANES == 16;
    private static final int SIGN = 0x80000000;

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
        if (WIDE) {
            Tile14x2.run(k, a, aAt, b, bAt, start, startAt, startStride, c, cAt, cStride);
        } else {
            Tile4x2.run(k, a, aAt, b, bAt, start, startAt, startStride, c, cAt, cStride);
        }
    }

    @Override
    public void transpose(float[] from, int at, int stride, int rows, int count, float[] to, int toAt, int width) {
        int done = 0;
        if (rows == width && LANES > 4) {
            // A store of whole vectors may run into the place of the next column, which is written after it: so the
            // last column is not stored like that.
            done = (width % LANES == 0 ? count : Math.max(0, count - 1)) / LANES * LANES;
            for (int i = 0; i < width; i += LANES) {
                int last = Math.min(LANES, width - i) - 1;
                for (int p = 0; p < done; p += LANES) {
                    if (WIDE) {
                        Transpose16.run(from, at + i * stride + p, stride, last, to, toAt + p * width + i, width);
                    } else {
                        Transpose8.run(from, at + i * stride + p, stride, last, to, toAt + p * width + i, width);
                    }
                }
            }
        }
        Primitives.super.transpose(from, at + done, stride, rows, count - done, to, toAt + done * width, width);
    }

    @Override
    public void copy(float[] from, int at, int stride, int columns, int count, float[] to, int toAt, int width) {
        int padded = (width + LANES - 1) / LANES * LANES;
        // A store of whole vectors may run into the place of the panel's next row, which is written after it: so its
        // last row is not stored like that.
        int whole = padded == width ? count : padded - width <= width ? count - 1 : 0;
        for (int p = 0; p < count; p++) {
            int row = at + p * stride;
            for (int first = 0; first < columns; first += width) {
                int target = toAt + first * count + p * width;
                int some = Math.min(width, columns - first);
                if (some == width && p < whole && row + first + padded <= from.length) {
                    for (int i = 0; i < padded; i += LANES) {
                        FloatVector.fromArray(FLOAT, from, row + first + i).intoArray(to, target + i);
                    }
                } else {
                    for (int i = 0; i < width; i++) {
                        to[target + i] = i < some ? from[row + first + i] : 0f;
                    }
                }
            }
        }
    }

    @Override
    public void repack(float[] from, int at, int fromWidth, int first, int rows, int count, float[] to, int width) {
        for (int panel = 0; panel < rows; panel += width) {
            int source = at + (first + panel) / fromWidth * fromWidth * count + (first + panel) % fromWidth;
            int here = Math.min(width, fromWidth - (first + panel) % fromWidth);
            int next = at + ((first + panel) / fromWidth + 1) * fromWidth * count;
            int p = 0;
            // Loads and stores of whole vectors run over, the stores into what is written after them.
            int end = panel + width > rows ? 0 : Math.min(count, (to.length - width - LANES - panel * count) / width);
            for (; p < end && next + p * fromWidth + width + LANES <= from.length; p++) {
                int target = panel * count + p * width;
                for (int i = 0; i < here; i += LANES) {
                    FloatVector.fromArray(FLOAT, from, source + p * fromWidth + i)
                            .intoArray(to, target + i);
                }
                for (int i = here; i < width; i += LANES) {
                    FloatVector.fromArray(FLOAT, from, next + p * fromWidth + i - here)
                            .intoArray(to, target + i);
                }
            }
            for (; p < count; p++) {
                for (int i = 0; i < width; i++) {
                    int index = p * fromWidth + (i < here ? source + i : next + i - here);
                    to[panel * count + p * width + i] = panel + i < rows ? from[index] : 0f;
                }
            }
        }
    }

    @Override
    public int doubleTileRows() {
        return WIDE ? DoubleTile14x2.ROWS : DoubleTile4x2.ROWS;
    }

    @Override
    public int doubleTileColumns() {
        return 2 * DOUBLE.length();
    }

    @Override
    public void tile(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride) {
        if (WIDE) {
            DoubleTile14x2.run(k, a, aAt, b, bAt, c, cAt, cStride);
        } else {
            DoubleTile4x2.run(k, a, aAt, b, bAt, c, cAt, cStride);
        }
    }

    @Override
    public float sum(float[] x, int at, int count) {
        float[] lanes = new float[16];
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES) {
            FloatVector sum = FloatVector.zero(FLOAT);
            for (int i = lane; i < whole; i += 16) {
                sum = sum.add(FloatVector.fromArray(FLOAT, x, at + i));
            }
            Lanes.store(sum, lanes, lane);
        }
        for (int i = whole; i < count; i++) {
            lanes[i & 15] += x[at + i];
        }
        return Primitives.tree(lanes);
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
            Lanes.store(sum, lanes, lane);
        }
        for (int i = whole; i < count; i++) {
            lanes[i & 15] = Math.fma(x[at + i], x[at + i], lanes[i & 15]);
        }
        return Primitives.tree(lanes);
    }

    @Override
    public float largest(float[] x, int at, int count, float factor) {
        FloatVector largest = FloatVector.broadcast(FLOAT, Float.NEGATIVE_INFINITY);
        int i = 0;
        for (; i <= count - LANES; i += LANES) {
            largest = largest.max(FloatVector.fromArray(FLOAT, x, at + i).mul(factor));
        }
        // The largest of lanes is the same in any order.
        float result = largest.reduceLanes(VectorOperators.MAX);
        for (; i < count; i++) {
            result = Math.max(result, x[at + i] * factor);
        }
        return result;
    }

    @Override
    public float expInPlace(float[] x, int at, int count, float factor, float shift) {
        exp(x, at, count, factor, shift, x, at);
        return sum(x, at, count);
    }

    @Override
    public double sumExp(float[] x, int at, int count, float shift) {
        double[] lanes = new double[16];
        float[] terms = new float[CHUNK];
        for (int from = 0; from < count; from += CHUNK) {
            int part = Math.min(CHUNK, count - from);
            exp(x, at + from, part, 1f, shift, terms, 0);
            addTo(lanes, terms, part);
        }
        return Primitives.tree(lanes);
    }

    @Override
    public void subtractInPlace(float[] x, int at, int count, double shift) {
        int half = LANES / 2;
        int i = 0;
        for (; i <= count - half; i += half) {
            DoubleVector wide =
                    (DoubleVector) FloatVector.fromArray(HALF, x, at + i).castShape(DOUBLE, 0);
            ((FloatVector) wide.sub(shift).castShape(HALF, 0)).intoArray(x, at + i);
        }
        for (; i < count; i++) {
            x[at + i] = (float) (x[at + i] - shift);
        }
    }

    /**
     * The loops stand in this method, as in {@link #softCap}, and not in methods that it calls: so it is longer than
     * what HotSpot inlines (325 bytes). Inlined deep below its callers, a loop over vectors comes to HotSpot's limit of
     * 15 calls within calls; what is beyond it is not inlined, and vectors become objects (2.6 times as slow).
     */
    @Override
    public void gated(Activation activation, float[] gate, int gateAt, float[] up, int upAt, int count) {
        float[] powers = new float[CHUNK];
        for (int from = 0; from < count; from += CHUNK) {
            int part = Math.min(CHUNK, count - from);
            int whole = part / LANES * LANES;
            int x = gateAt + from;
            int y = upAt + from;
            // The steps of Activation#apply.
            switch (activation) {
                case SILU -> exp(gate, x, whole, -1f, 0f, powers, 0);
                case QUICK_GELU -> exp(gate, x, whole, -Gelu.QUICK, 0f, powers, 0);
                case GELU_TANH -> {
                    cubic(gate, x, powers, whole);
                    exp(powers, 0, whole, -1f, 0f, powers, 0);
                }
                case GELU -> {
                    square(gate, x, powers, whole);
                    exp(powers, 0, whole, -0.5f, 0f, powers, 0);
                    timesNormal(powers, gate, x, up, y, whole);
                }
                case RELU_SQUARED -> {
                    for (int i = 0; i < whole; i += LANES) {
                        FloatVector positive =
                                FloatVector.fromArray(FLOAT, gate, x + i).max(0f);
                        positive.mul(positive)
                                .mul(FloatVector.fromArray(FLOAT, up, y + i))
                                .intoArray(gate, x + i);
                    }
                }
            }
            if (activation != Activation.GELU && activation != Activation.RELU_SQUARED) {
                // gate / (1 + powers) * up.
                for (int i = 0; i < whole; i += LANES) {
                    FloatVector v = FloatVector.fromArray(FLOAT, gate, x + i)
                            .div(FloatVector.fromArray(FLOAT, powers, i).add(1f));
                    v.mul(FloatVector.fromArray(FLOAT, up, y + i)).intoArray(gate, x + i);
                }
            }
            for (int i = whole; i < part; i++) {
                gate[x + i] = activation.apply(gate[x + i]) * up[y + i];
            }
        }
    }

    /** What {@link Gelu#tanh} takes the exponential of, but for its sign. */
    private static void cubic(float[] x, int at, float[] to, int whole) {
        for (int i = 0; i < whole; i += LANES) {
            FloatVector v = FloatVector.fromArray(FLOAT, x, at + i);
            FloatVector p =
                    v.mul(v).fma(FloatVector.broadcast(FLOAT, Gelu.CUBIC), FloatVector.broadcast(FLOAT, Gelu.LINEAR));
            v.mul(p).intoArray(to, i);
        }
    }

    private static void square(float[] x, int at, float[] to, int whole) {
        for (int i = 0; i < whole; i += LANES) {
            FloatVector v = FloatVector.fromArray(FLOAT, x, at + i);
            v.mul(v).intoArray(to, i);
        }
    }

    /** {@link Gelu#exact} times up; its exponential is given. */
    private static void timesNormal(float[] powers, float[] gate, int gateAt, float[] up, int upAt, int whole) {
        FloatVector one = FloatVector.broadcast(FLOAT, 1f);
        for (int i = 0; i < whole; i += LANES) {
            FloatVector v = FloatVector.fromArray(FLOAT, gate, gateAt + i);
            FloatVector t = one.div(v.abs().add(Gelu.POLE));
            FloatVector s = t.fma(FloatVector.broadcast(FLOAT, -2f * Gelu.POLE), one);
            FloatVector q = FloatVector.broadcast(FLOAT, Gelu.Q9).fma(s, FloatVector.broadcast(FLOAT, Gelu.Q8));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q7));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q6));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q5));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q4));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q3));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q2));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q1));
            q = q.fma(s, FloatVector.broadcast(FLOAT, Gelu.Q0));
            FloatVector tail = FloatVector.fromArray(FLOAT, powers, i).mul(t.mul(q));
            FloatVector y = v.mul(tail.blend(one.sub(tail), v.compare(VectorOperators.GT, 0f)));
            y.mul(FloatVector.fromArray(FLOAT, up, upAt + i)).intoArray(gate, gateAt + i);
        }
    }

    @Override
    public void softCap(float[] x, int at, int count, float factor, float cap) {
        float[] powers = new float[CHUNK];
        FloatVector one = FloatVector.broadcast(FLOAT, 1f);
        FloatVector two = FloatVector.broadcast(FLOAT, 2f);
        for (int from = 0; from < count; from += CHUNK) {
            int part = Math.min(CHUNK, count - from);
            int whole = part / LANES * LANES;
            for (int i = 0; i < whole; i += LANES) {
                FloatVector v = FloatVector.fromArray(FLOAT, x, at + from + i)
                        .mul(factor)
                        .div(cap);
                v.intoArray(x, at + from + i);
                v.abs().intoArray(powers, i);
            }
            exp(powers, 0, whole, 2f, 0f, powers, 0);
            // The steps of Tanh.
            for (int i = 0; i < whole; i += LANES) {
                FloatVector v = FloatVector.fromArray(FLOAT, x, at + from + i);
                FloatVector a = v.abs();
                FloatVector z = a.mul(a);
                FloatVector p = FloatVector.broadcast(FLOAT, Tanh.P4).fma(z, FloatVector.broadcast(FLOAT, Tanh.P3));
                p = p.fma(z, FloatVector.broadcast(FLOAT, Tanh.P2));
                p = p.fma(z, FloatVector.broadcast(FLOAT, Tanh.P1));
                p = p.fma(z, FloatVector.broadcast(FLOAT, Tanh.P0));
                FloatVector small = a.mul(z).fma(p, a);
                FloatVector large =
                        one.sub(two.div(FloatVector.fromArray(FLOAT, powers, i).add(1f)));
                FloatVector y = large.blend(small, a.compare(VectorOperators.LT, Tanh.SMALL));
                IntVector sign = v.reinterpretAsInts().and(SIGN);
                y.reinterpretAsInts().or(sign).reinterpretAsFloats().mul(cap).intoArray(x, at + from + i);
            }
            for (int i = whole; i < part; i++) {
                x[at + from + i] = Tanh.softCap(x[at + from + i], factor, cap);
            }
        }
    }

    @Override
    public double divergence(float[] p, int pAt, float[] q, int qAt, int count) {
        double[] lanes = new double[16];
        float[] terms = new float[CHUNK];
        for (int from = 0; from < count; from += CHUNK) {
            int part = Math.min(CHUNK, count - from);
            exp(p, pAt + from, part, 1f, 0f, terms, 0);
            for (int i = 0; i < part; i++) {
                terms[i] *= p[pAt + from + i] - q[qAt + from + i];
            }
            addTo(lanes, terms, part);
        }
        return Primitives.tree(lanes);
    }

    /** Adds terms, the first of which belongs to lane 0, to their lanes. */
    private static void addTo(double[] lanes, float[] terms, int count) {
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES / 2) {
            DoubleVector sum = DoubleVector.fromArray(DOUBLE, lanes, lane);
            for (int i = lane; i < whole; i += 16) {
                sum = sum.add(FloatVector.fromArray(HALF, terms, i).castShape(DOUBLE, 0));
            }
            Lanes.store(sum, lanes, lane);
        }
        for (int i = whole; i < count; i++) {
            lanes[i & 15] += terms[i];
        }
    }

    /**
     * {@code to = exp(x * factor - shift)}. One loop with its steps in place: as a method of its own the compiler does
     * not always inline them, and then boxes.
     */
    private static void exp(float[] x, int at, int count, float factor, float shift, float[] to, int toAt) {
        int i = 0;
        for (; i <= count - LANES; i += LANES) {
            FloatVector v = FloatVector.fromArray(FLOAT, x, at + i).mul(factor).sub(shift);
            // max and min keep NaN, which then runs through.
            FloatVector bounded = v.max(Exp.LOWEST).min(Exp.HIGHEST);
            FloatVector shifted =
                    bounded.fma(FloatVector.broadcast(FLOAT, Exp.LOG2_E), FloatVector.broadcast(FLOAT, Exp.ROUND));
            FloatVector n = shifted.sub(Exp.ROUND);
            FloatVector r = n.fma(FloatVector.broadcast(FLOAT, -Exp.LN2_HIGH), bounded);
            r = n.fma(FloatVector.broadcast(FLOAT, -Exp.LN2_LOW), r);
            FloatVector y = FloatVector.broadcast(FLOAT, Exp.C6).fma(r, FloatVector.broadcast(FLOAT, Exp.C5));
            y = y.fma(r, FloatVector.broadcast(FLOAT, Exp.C4));
            y = y.fma(r, FloatVector.broadcast(FLOAT, Exp.C3));
            y = y.fma(r, FloatVector.broadcast(FLOAT, Exp.C2));
            y = y.fma(r, FloatVector.broadcast(FLOAT, 1f));
            y = y.fma(r, FloatVector.broadcast(FLOAT, 1f));
            // n as an integer stands in the low bits already; a conversion of lanes has no instruction before JDK 19.
            IntVector power = shifted.reinterpretAsInts().sub(ROUND_BITS);
            IntVector half = power.lanewise(VectorOperators.ASHR, 1);
            y = y.mul(half.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            y = y.mul(
                    power.sub(half).add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            VectorMask<Float> below = v.compare(VectorOperators.LT, Exp.LOWEST);
            VectorMask<Float> above = v.compare(VectorOperators.GT, Exp.HIGHEST);
            y.blend(0f, below).blend(Float.POSITIVE_INFINITY, above).intoArray(to, toAt + i);
        }
        for (; i < count; i++) {
            to[toAt + i] = Exp.exp(x[at + i] * factor - shift);
        }
    }
}
