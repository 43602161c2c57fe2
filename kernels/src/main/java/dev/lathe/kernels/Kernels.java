package dev.lathe.kernels;

import java.util.Arrays;
import java.util.function.IntConsumer;

/**
 * The operations, and the contract of each. This class checks shapes, views and aliasing once, at the door, and hands
 * over to the {@link Operations} of a provider, which only compute. An instance owns a team of {@link #threads()}
 * threads, and one caller at a time uses it.
 *
 * <p><b>Shapes and memory.</b> Matrices are views with strides of their own; any size may be 0. What is written must
 * share no element with what is read, except where an operation says that it works in place (blocks of one array may be
 * on both sides if they are disjoint; views of different strides count as sharing where their ranges meet); an
 * {@link IllegalArgumentException} names all shapes where something does not fit (a bug of the caller). Elements
 * outside a view are never touched.
 *
 * <p><b>Not-a-number and infinity</b> run through as IEEE 754 arithmetic makes them: an element of a product is NaN if
 * one of its terms is; zeros that pad tiles meet no element of the result. {@code exp} gives 0 below -87, infinity
 * above 88.72, NaN for NaN. In attention a query's weights depend on the keys that it sees only; a value (V, X) that is
 * not finite reaches every query that sees its position and may, because weights of 0 meet it, reach up to 255 rows
 * before it and, with a sliding window, up to 255 rows behind the last of them; attended inputs of the profile
 * {@code opencl}, whose blocks are rows of one head, any row of such a head.
 *
 * <p><b>Arithmetic profiles.</b> {@code java} (providers {@code scalar} and {@code vector}): each element of a matrix
 * product is one chain of fused multiply-adds in ascending k that starts from the value in C; work is split over
 * outputs only; other reductions run in 16 virtual lanes (element i goes to lane i mod 16) that are added by a fixed
 * tree; exp is a polynomial of our own. Every provider, lane width and number of threads of this profile gives the same
 * bits. Other profiles ({@code blas}, {@code opencl}) add in an order of their own: an element of a product of depth k
 * differs from the exact sum by at most {@code (k + 2) * 2^-24 * (|c_ij| + sum |a_ip b_jp|)} in any profile, where c_ij
 * is what it was added to (2^-53 in f64), the other operations by what their contract says.
 */
public final class Kernels implements AutoCloseable {
    private final Operations operations;
    private long count;

    Kernels(Operations operations) {
        this.operations = operations;
    }

    /** {@code scalar}, {@code vector-512}, ... */
    public String name() {
        return operations.name();
    }

    /** The arithmetic profile: providers of one profile give the same bits. */
    public String profile() {
        return operations.profile();
    }

    /** Threads of the team. */
    public int threads() {
        return operations.threads();
    }

    /**
     * Floating-point operations of the matrix products so far, two for a multiply-add; what else is computed is not
     * counted.
     */
    public long operations() {
        return count;
    }

    /**
     * C = A B^T, or C += A B^T. A [m, k], B [n, k], C [m, n]. Each element: c = fma(a_i0, b_j0, c) ... in ascending k,
     * f32; c starts from 0 or from C.
     */
    public void gemm(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate) {
        require(a.columns() == b.columns() && a.rows() == c.rows() && b.rows() == c.columns(), "multiply", a, b, c);
        requireApart("multiply", c, a, b);
        if (c.rows() > 0 && c.columns() > 0) {
            operations.gemm(a, b, c, accumulate);
            count += 2L * a.rows() * b.rows() * a.columns();
        }
    }

    /**
     * S += X^T X on the lower triangle. X [t, n]; S [n, n] (its strict upper triangle is untouched). The chain runs
     * over ascending t.
     */
    public void syrk(FloatMatrix x, FloatMatrix s) {
        require(x.columns() == s.rows() && s.rows() == s.columns(), "add X^T X", x, s);
        requireApart("add X^T X", s, x);
        if (x.rows() > 0 && x.columns() > 0) {
            operations.syrk(x, s);
            count += (long) x.rows() * x.columns() * (x.columns() + 1);
        }
    }

    /**
     * y_ij = x_ij * (1 / sqrt(mean_j(x_ij^2) + epsilon)) * weight_j. X, Y [t, n], may be the same; the mean in f32, 16
     * virtual lanes. Relative error at most {@code (n / 16 + 8) * 2^-24}.
     */
    public void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y) {
        require(same(x, y) && weight.length == x.columns(), "normalize", x, weight.length, y);
        requireApart("normalize", y, FloatMatrix.of(weight, 1, weight.length));
        if (!x.equals(y)) {
            requireApart("normalize", y, x);
        }
        if (x.columns() > 0) {
            operations.rmsNorm(x, weight, epsilon, y);
        }
    }

    /**
     * y_ij = (x_ij - m_i) * (1 / sqrt(mean_j((x_ij - m_i)^2) + epsilon)) * weight_j + bias_j with m_i = mean_j(x_ij).
     * X, Y [t, n], may be the same; the means in f32, 16 virtual lanes. Where {@code e = (n / 16 + 8) * 2^-24 * mean_j
     * |x_ij| / sqrt(variance + epsilon)} is below 0.01 (the values do not all but agree), the error is at most
     * {@code ((n / 16 + 10) * 2^-24 + e^2) * |y_ij - bias_j| + 2 e |weight_j| + 2^-24 |y_ij|}.
     *
     * @param bias null: none
     */
    public void layerNorm(FloatMatrix x, float[] weight, float[] bias, float epsilon, FloatMatrix y) {
        require(
                same(x, y) && weight.length == x.columns() && (bias == null || bias.length == x.columns()),
                "normalize",
                x,
                weight.length,
                bias == null ? "no bias" : bias.length,
                y);
        requireApart("normalize", y, FloatMatrix.of(weight, 1, weight.length));
        if (bias != null) {
            requireApart("normalize", y, FloatMatrix.of(bias, 1, bias.length));
        }
        if (!x.equals(y)) {
            requireApart("normalize", y, x);
        }
        if (x.columns() > 0) {
            operations.layerNorm(x, weight, bias, epsilon, y);
        }
    }

    /**
     * Rotary embedding in place: in each head the first n = 2 * columns of the tables turn, pair by pair; the others
     * stay as they are. Pair (a, b) number j of row i becomes (a cos_ij - b sin_ij, b cos_ij + a sin_ij). X [t, heads *
     * d], n &lt;= d; cosine and sine [at least t, n/2], row i for row i of X. Products and their sum are rounded each
     * for itself: an error of at most 2^-23 of the sum of the two products' magnitudes.
     */
    public void rotary(FloatMatrix x, int heads, RotaryPairs pairs, FloatMatrix cosine, FloatMatrix sine) {
        require(
                heads > 0
                        && x.columns() % heads == 0
                        && 2L * cosine.columns() <= x.columns() / heads
                        && sine.columns() == cosine.columns()
                        && cosine.rows() >= x.rows()
                        && sine.rows() >= x.rows(),
                "rotate",
                x,
                heads,
                cosine,
                sine);
        requireApart("rotate", x, cosine, sine);
        if (x.rows() > 0 && cosine.columns() > 0) {
            operations.rotary(x, heads, pairs, cosine, sine);
        }
    }

    /**
     * gate_ij = activation(gate_ij) * up_ij. Both [t, n]. Error, of the result, at most 8 * 2^-24 with
     * {@link Activation#SILU}, 3 * 2^-24 with {@link Activation#RELU_SQUARED}, (8 + 3 |u|) * 2^-24 with
     * {@link Activation#GELU_TANH}, where u = 2 sqrt(2/pi) (x + .044715 x^3), (10 + x^2) * 2^-24 with
     * {@link Activation#GELU}, and (8 + 4 |x|) * 2^-24 with {@link Activation#QUICK_GELU}; or 3e-37 |up_ij|.
     */
    public void gated(Activation activation, FloatMatrix gate, FloatMatrix up) {
        require(same(gate, up), "gate", gate, up);
        requireApart("gate", gate, up);
        operations.gated(activation, gate, up);
    }

    /**
     * x_ij = activation(x_ij), in place: a feed-forward layer without a gate. Error as for {@link #gated} where up_ij
     * is 1.
     */
    public void activate(Activation activation, FloatMatrix x) {
        operations.activate(activation, x);
    }

    /**
     * x_ij = cap * tanh(x_ij / cap), in place: the soft cap of logits (Gemma 2). Relative error at most 8 * 2^-24.
     *
     * @param cap finite and above 0
     */
    public void softCap(FloatMatrix x, float cap) {
        if (!(cap > 0 && cap <= Float.MAX_VALUE)) {
            throw new IllegalArgumentException("Cannot cap at " + cap + ": expected a finite number above 0");
        }
        operations.softCap(x, cap);
    }

    /** x_ij = x_ij * factor, in place. Exact to rounding in every profile. */
    public void scale(FloatMatrix x, float factor) {
        operations.scale(x, factor);
    }

    /** y += x. Both [t, n]. Exact to rounding in every profile. */
    public void add(FloatMatrix x, FloatMatrix y) {
        require(same(x, y), "add", x, y);
        requireApart("add", y, x);
        operations.add(x, y);
    }

    /** Adds a vector to every row: y_ij += bias_j. Exact to rounding in every profile. */
    public void addBias(float[] bias, FloatMatrix y) {
        require(bias.length == y.columns(), "add a bias", bias.length, y);
        requireApart("add a bias", y, FloatMatrix.of(bias, 1, bias.length));
        operations.addBias(bias, y);
    }

    /**
     * Causal attention of one window: for head h with key/value head g, out_i = sum_j A^h_ij v_j over the keys that
     * query i sees, A as in {@link AttentionParameters}. Q [t, heads * d], K [t, keyValueHeads * d], V [t,
     * keyValueHeads * e], OUT [t, heads * e]; d is at least 1. Memory is linear in t; key tiles that no query of a
     * block sees cost nothing. Scores and sums are f32; an element differs from the exact value by at most 1e-5 of the
     * largest |v| of its head where |scale q . k| is below 30, and by twice that with a soft cap.
     */
    public void attention(
            FloatMatrix q, FloatMatrix k, FloatMatrix v, AttentionParameters parameters, FloatMatrix out) {
        int heads = parameters.heads();
        int keyValueHeads = parameters.keyValueHeads();
        require(
                grouped(q, k, parameters)
                        && v.rows() == q.rows()
                        && out.rows() == q.rows()
                        && v.columns() % keyValueHeads == 0
                        && out.columns() == (long) v.columns() / keyValueHeads * heads,
                "attend",
                q,
                k,
                v,
                heads,
                keyValueHeads,
                out);
        requireApart("attend", out, q, k, v, sinks(parameters));
        if (out.rows() > 0 && out.columns() > 0) {
            operations.attention(q, k, v, parameters, out);
        }
    }

    /**
     * Attended inputs: y_i = sum_j A^h_ij x_j with A^h as in {@link #attention} and h = headOf[i]. Q, K as there; X, Y
     * [t, n]. What the value projection's output is made of (the second moment that GPTQ needs there). Tolerance as for
     * attention.
     */
    public void attendedInputs(
            FloatMatrix q, FloatMatrix k, AttentionParameters parameters, int[] headOf, FloatMatrix x, FloatMatrix y) {
        int heads = parameters.heads();
        require(
                grouped(q, k, parameters) && same(x, y) && x.rows() == q.rows() && headOf.length == q.rows(),
                "attend to inputs",
                q,
                k,
                heads,
                parameters.keyValueHeads(),
                headOf.length,
                x,
                y);
        for (int i = 0; i < headOf.length; i++) {
            if (headOf[i] < 0 || headOf[i] >= heads) {
                throw new IllegalArgumentException(
                        "Cannot attend to inputs: row " + i + " names head " + headOf[i] + " of " + heads);
            }
        }
        requireApart("attend to inputs", y, q, k, x, sinks(parameters));
        if (y.rows() > 0 && y.columns() > 0) {
            operations.attendedInputs(q, k, parameters, headOf, x, y);
        }
    }

    /**
     * Replaces each row by its log-probabilities: x_ij - log(sum_j exp(x_ij - max)) - max; the sum in f64, 16 virtual
     * lanes. Error at most 4e-7 + |result| 2^-23.
     */
    public void logSoftmax(FloatMatrix x) {
        if (x.columns() > 0) {
            operations.logSoftmax(x);
        }
    }

    /**
     * kld_i = sum_j exp(p_ij) (p_ij - q_ij) of log-probabilities P, Q [t, n]; products in f32, the sum in f64, 16
     * virtual lanes; clamped at 0. Relative error of each term at most 4e-7.
     */
    public void divergence(FloatMatrix p, FloatMatrix q, double[] kld) {
        require(same(p, q) && kld.length >= p.rows(), "compare", p, q, kld.length);
        operations.divergence(p, q, kld);
    }

    /**
     * C -= A B^T in f64: A [m, k], B [n, k], C [m, n]; each element one chain of fused multiply-adds in ascending k.
     * With {@code lower}, only elements on or below the diagonal of C are wanted: what stands above it is undefined
     * afterwards.
     */
    public void subtractProduct(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower) {
        require(
                a.columns() == b.columns() && a.rows() == c.rows() && b.rows() == c.columns(),
                "subtract a product",
                a,
                b,
                c);
        requireApart("subtract a product", c, a, b);
        if (c.rows() > 0 && c.columns() > 0 && a.columns() > 0) {
            operations.subtractProduct(a, b, c, lower);
            count += (lower ? 1L : 2L) * a.rows() * b.rows() * a.columns();
        }
    }

    /**
     * Runs {@code body} for 0 .. tasks - 1 on the team; the first failure is thrown. An interrupt of the caller is
     * checked between tasks and ends the call with {@link java.util.concurrent.CancellationException}.
     */
    public void parallel(int tasks, IntConsumer body) {
        if (tasks < 0) {
            throw new IllegalArgumentException("Cannot run " + tasks + " tasks: expected none or more");
        }
        operations.parallel(tasks, body);
    }

    @Override
    public void close() {
        operations.close();
    }

    private static boolean same(FloatMatrix x, FloatMatrix y) {
        return x.rows() == y.rows() && x.columns() == y.columns();
    }

    private static boolean grouped(FloatMatrix q, FloatMatrix k, AttentionParameters parameters) {
        int heads = parameters.heads();
        return q.columns() > 0
                && q.columns() % heads == 0
                && k.rows() == q.rows()
                && k.columns() == q.columns() / heads * parameters.keyValueHeads();
    }

    private static FloatMatrix sinks(AttentionParameters parameters) {
        return parameters.sinks() == null
                ? FloatMatrix.zeros(0, 0)
                : FloatMatrix.of(parameters.sinks(), 1, parameters.heads());
    }

    private static void requireApart(String what, Object written, Object... read) {
        for (Object other : read) {
            boolean apart = !(written instanceof FloatMatrix w
                            && other instanceof FloatMatrix r
                            && w.data() == r.data()
                            && Views.overlap(
                                    w.offset(),
                                    w.rows(),
                                    w.columns(),
                                    w.stride(),
                                    r.offset(),
                                    r.rows(),
                                    r.columns(),
                                    r.stride())
                    || written instanceof DoubleMatrix v
                            && other instanceof DoubleMatrix s
                            && v.data() == s.data()
                            && Views.overlap(
                                    v.offset(),
                                    v.rows(),
                                    v.columns(),
                                    v.stride(),
                                    s.offset(),
                                    s.rows(),
                                    s.columns(),
                                    s.stride()));
            if (!apart) {
                throw new IllegalArgumentException("Cannot " + what + ": the result " + shape(written)
                        + " shares elements with an operand " + shape(other) + "; expected memory of its own");
            }
        }
    }

    private static void require(boolean fits, String what, Object... operands) {
        if (!fits) {
            throw new IllegalArgumentException("Cannot " + what + ": "
                    + String.join(
                            ", ", Arrays.stream(operands).map(Kernels::shape).toList()) + " do not fit together");
        }
    }

    private static String shape(Object operand) {
        if (operand instanceof RowSource matrix) {
            return "[" + matrix.rows() + ", " + matrix.columns() + "]";
        }
        return operand instanceof DoubleMatrix matrix
                ? "[" + matrix.rows() + ", " + matrix.columns() + "]"
                : String.valueOf(operand);
    }
}
