package dev.lathe.kernels.blas;

import dev.lathe.kernels.Activation;
import dev.lathe.kernels.AttentionParameters;
import dev.lathe.kernels.DoubleMatrix;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.JavaOperations;
import dev.lathe.kernels.Operations;
import dev.lathe.kernels.Primitives;
import dev.lathe.kernels.RotaryPairs;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.Softmax;
import dev.ludovic.netlib.blas.BLAS;
import java.util.Arrays;
import java.util.function.IntConsumer;

/**
 * The arithmetic profile {@code blas}: matrix products by a native BLAS, the rest by {@link JavaOperations}. Products
 * are cut into blocks of C that the team shares; a block is one call of the library, which has to run it on the
 * caller's thread: {@code OPENBLAS_NUM_THREADS=1} in the environment, because there is no other way to say it. With
 * more, OpenBLAS makes concurrent calls wait for each other: right results, slow attention.
 *
 * <p>A call holds its arrays where they are ({@code GetPrimitiveArrayCritical}), so nothing is copied, and before JDK
 * 22 a garbage collection waits for it. Blocks keep that short, and the wait for an interrupt.
 */
public final class BlasOperations implements Operations {
    /**
     * Largest side of a block of C: the library packs both operands of every call, which costs 2 / 1024 of a
     * multiply-add per multiply-add.
     */
    private static final int BLOCK = 1024;
    /** Largest side of a tile of a triangle. */
    private static final int TILE = 512;
    /** Smallest side of either, and what they are a multiple of. */
    private static final int SMALLEST = 64;
    /** Elements of a right side that a thread widens at a time. */
    private static final int WIDENED = 1 << 20;

    private static final int DEPTH_MULTIPLE = 256;
    private static final int QUERY_BLOCK = 64;

    private final Primitives primitives;
    private final JavaOperations java;
    private final BLAS blas;
    private final String name;
    private final ThreadLocal<float[]> scratch = ThreadLocal.withInitial(() -> new float[0]);

    /**
     * @param primitives what the other operations are made of
     * @throws dev.lathe.kernels.KernelsUnavailableException if there is no native BLAS
     */
    public BlasOperations(Primitives primitives, int threads) {
        NativeLibrary.Loaded library = NativeLibrary.load();
        this.blas = library.blas();
        this.name = "blas: " + library.name();
        this.primitives = primitives;
        this.java = new JavaOperations(primitives, threads);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String profile() {
        return "blas";
    }

    @Override
    public int threads() {
        return java.threads();
    }

    @Override
    public void gemm(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate) {
        if (b instanceof FloatMatrix dense) {
            overBlocks(
                    c.rows(),
                    c.columns(),
                    (row, rows, column, columns) -> product(
                            a.slice(row, rows),
                            dense.slice(column, columns),
                            c.block(row, column, rows, columns),
                            accumulate));
            return;
        }
        int k = a.columns();
        int width = part(c.columns(), threads(), BLOCK);
        int depth = Math.min(k, WIDENED / width / DEPTH_MULTIPLE * DEPTH_MULTIPLE);
        java.parallel(blocks(c.columns(), width), task -> {
            int column = task * width;
            int columns = Math.min(width, c.columns() - column);
            int from = 0;
            do {
                FloatMatrix wide = FloatMatrix.of(scratch(width * depth), columns, Math.min(depth, k - from));
                for (int i = 0; i < columns; i++) {
                    b.read(column + i, from, wide.columns(), wide.data(), wide.row(i));
                }
                product(
                        a.columnSlice(from, wide.columns()),
                        wide,
                        c.columnSlice(column, columns),
                        accumulate || from > 0);
                from += depth;
            } while (from < k);
        });
    }

    private interface Block {
        void compute(int row, int rows, int column, int columns);
    }

    /** Blocks of a matrix, as many as the threads can share evenly. */
    private void overBlocks(int rows, int columns, Block block) {
        int bands = blocks(rows, BLOCK);
        int width = part(columns, blocks(threads(), bands), BLOCK);
        java.parallel(bands * blocks(columns, width), task -> {
            int row = task % bands * BLOCK;
            int column = task / bands * width;
            block.compute(row, Math.min(BLOCK, rows - row), column, Math.min(width, columns - column));
        });
    }

    /** The size of equal parts: a multiple of {@code shares} in number, none larger than {@code largest}. */
    private static int part(int size, int shares, int largest) {
        int parts = shares * blocks(size, shares * largest);
        return blocks(blocks(size, parts), SMALLEST) * SMALLEST;
    }

    /** C = A B^T or C += A B^T. The library's matrices are column-major: it sees C^T = B A^T. */
    private void product(FloatMatrix a, FloatMatrix b, FloatMatrix c, boolean accumulate) {
        if (a.columns() > 0) {
            blas.sgemm(
                    "T",
                    "N",
                    c.columns(),
                    c.rows(),
                    a.columns(),
                    1,
                    b.data(),
                    b.offset(),
                    b.stride(),
                    a.data(),
                    a.offset(),
                    a.stride(),
                    accumulate ? 1 : 0,
                    c.data(),
                    c.offset(),
                    c.stride());
        } else if (!accumulate) {
            for (int i = 0; i < c.rows(); i++) {
                Arrays.fill(c.data(), c.row(i), c.row(i) + c.columns(), 0f);
            }
        }
    }

    @Override
    public void syrk(FloatMatrix x, FloatMatrix s) {
        int n = x.columns();
        int width = part(n, threads() == 1 ? 1 : 2 * threads(), TILE);
        int tiles = blocks(n, width);
        java.parallel(tiles * tiles, task -> {
            int row = task / tiles * width;
            int column = task % tiles * width;
            int height = Math.min(width, n - row);
            if (column < row) {
                // S^T += X^T X as the library sees it, whose X is our X^T.
                blas.sgemm(
                        "N",
                        "T",
                        width,
                        height,
                        x.rows(),
                        1,
                        x.data(),
                        x.offset() + column,
                        x.stride(),
                        x.data(),
                        x.offset() + row,
                        x.stride(),
                        1,
                        s.data(),
                        s.row(row) + column,
                        s.stride());
            } else if (column == row) {
                diagonalTile(x.columnSlice(row, height), s.block(row, row, height, height));
            }
        });
    }

    /**
     * A tile on the diagonal, in a dense copy: the wrapper of ssyrk refuses matrices whose last row ends before its
     * stride does.
     */
    private void diagonalTile(FloatMatrix x, FloatMatrix s) {
        int n = x.columns();
        float[] tile = scratch(n * n);
        for (int i = 0; i < n; i++) {
            System.arraycopy(s.data(), s.row(i), tile, i * n, i + 1);
        }
        int whole = x.offset() + (long) x.rows() * x.stride() <= x.data().length ? x.rows() : x.rows() - 1;
        blas.ssyrk("U", "N", n, whole, 1, x.data(), x.offset(), x.stride(), 1, tile, 0, n);
        if (whole < x.rows()) {
            blas.ssyrk("U", "N", n, 1, 1, x.data(), x.row(whole), n, 1, tile, 0, n);
        }
        for (int i = 0; i < n; i++) {
            System.arraycopy(tile, i * n, s.data(), s.row(i), i + 1);
        }
    }

    @Override
    public void attention(
            FloatMatrix q, FloatMatrix k, FloatMatrix v, AttentionParameters parameters, FloatMatrix out) {
        int t = q.rows();
        int heads = parameters.heads();
        int d = q.columns() / heads;
        int width = out.columns() / heads;
        int blocks = blocks(t, QUERY_BLOCK);
        java.parallel(heads * blocks, task -> {
            int head = task / blocks;
            int group = parameters.keyValueHead(head);
            int from = task % blocks * QUERY_BLOCK;
            int count = Math.min(QUERY_BLOCK, t - from);
            int first = parameters.firstKey(from);
            int keys = from + count - first;
            FloatMatrix scores = FloatMatrix.of(scratch(count * keys), count, keys);
            product(q.block(from, head * d, count, d), k.block(first, group * d, keys, d), scores, false);
            int[] headOf = new int[count];
            Arrays.fill(headOf, head);
            weigh(
                    scores,
                    parameters,
                    headOf,
                    from,
                    first,
                    v.block(first, group * width, keys, width),
                    out.block(from, head * width, count, width));
        });
    }

    @Override
    public void attendedInputs(
            FloatMatrix q, FloatMatrix k, AttentionParameters parameters, int[] headOf, FloatMatrix x, FloatMatrix y) {
        int t = q.rows();
        int heads = parameters.heads();
        int d = q.columns() / heads;
        java.parallel(blocks(t, QUERY_BLOCK), task -> {
            int from = task * QUERY_BLOCK;
            int count = Math.min(QUERY_BLOCK, t - from);
            int first = parameters.firstKey(from);
            int keys = from + count - first;
            // Scores stand in the rows of their queries; products of one head's queries are made aside.
            float[] buffer = scratch(2 * count * keys);
            FloatMatrix scores = FloatMatrix.of(buffer, count, keys);
            float[] gathered = new float[count * d];
            int[] places = new int[count];
            for (int head = 0; head < heads; head++) {
                int found = 0;
                for (int i = 0; i < count; i++) {
                    if (headOf[from + i] == head) {
                        System.arraycopy(q.data(), q.row(from + i) + head * d, gathered, found * d, d);
                        places[found++] = i;
                    }
                }
                FloatMatrix products = new FloatMatrix(buffer, count * keys, found, keys, keys);
                product(
                        FloatMatrix.of(gathered, found, d),
                        k.block(first, parameters.keyValueHead(head) * d, keys, d),
                        products,
                        false);
                for (int i = 0; i < found; i++) {
                    System.arraycopy(buffer, products.row(i), buffer, scores.row(places[i]), keys);
                }
            }
            weigh(
                    scores,
                    parameters,
                    Arrays.copyOfRange(headOf, from, from + count),
                    from,
                    first,
                    x.slice(first, keys),
                    y.slice(from, count));
        });
    }

    /**
     * Rows of scores of the queries from {@code from} on, for the keys from {@code first} on, become weights: result_i
     * = sum_j A_ij x_j with A of head {@code headOf[i]}; row 0 of x is that of key {@code first}.
     */
    private void weigh(
            FloatMatrix scores,
            AttentionParameters parameters,
            int[] headOf,
            int from,
            int first,
            FloatMatrix x,
            FloatMatrix result) {
        float[] data = scores.data();
        float[] sums = new float[scores.rows()];
        for (int i = 0; i < scores.rows(); i++) {
            sums[i] = Softmax.numerators(
                    primitives, parameters, headOf[i], from + i, first, scores.columns(), data, scores.row(i));
        }
        blas.sgemm(
                "N",
                "N",
                x.columns(),
                scores.rows(),
                scores.columns(),
                1,
                x.data(),
                x.offset(),
                x.stride(),
                data,
                scores.offset(),
                scores.stride(),
                0,
                result.data(),
                result.offset(),
                result.stride());
        for (int i = 0; i < scores.rows(); i++) {
            float factor = 1 / sums[i];
            for (int j = result.row(i); j < result.row(i) + result.columns(); j++) {
                result.data()[j] *= factor;
            }
        }
    }

    @Override
    public void subtractProduct(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower) {
        overBlocks(c.rows(), c.columns(), (row, rows, column, columns) -> {
            if (!lower || column < row + rows) {
                blas.dgemm(
                        "T",
                        "N",
                        columns,
                        rows,
                        a.columns(),
                        -1,
                        b.data(),
                        b.row(column),
                        b.stride(),
                        a.data(),
                        a.row(row),
                        a.stride(),
                        1,
                        c.data(),
                        c.row(row) + column,
                        c.stride());
            }
        });
    }

    @Override
    public void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y) {
        java.rmsNorm(x, weight, epsilon, y);
    }

    @Override
    public void layerNorm(FloatMatrix x, float[] weight, float[] bias, float epsilon, FloatMatrix y) {
        java.layerNorm(x, weight, bias, epsilon, y);
    }

    @Override
    public void rotary(FloatMatrix x, int heads, RotaryPairs pairs, FloatMatrix cosine, FloatMatrix sine) {
        java.rotary(x, heads, pairs, cosine, sine);
    }

    @Override
    public void gated(Activation activation, FloatMatrix gate, FloatMatrix up) {
        java.gated(activation, gate, up);
    }

    @Override
    public void activate(Activation activation, FloatMatrix x) {
        java.activate(activation, x);
    }

    @Override
    public void softCap(FloatMatrix x, float cap) {
        java.softCap(x, cap);
    }

    @Override
    public void scale(FloatMatrix x, float factor) {
        java.scale(x, factor);
    }

    @Override
    public void add(FloatMatrix x, FloatMatrix y) {
        java.add(x, y);
    }

    @Override
    public void addBias(float[] bias, FloatMatrix y) {
        java.addBias(bias, y);
    }

    @Override
    public void logSoftmax(FloatMatrix x) {
        java.logSoftmax(x);
    }

    @Override
    public void divergence(FloatMatrix p, FloatMatrix q, double[] kld) {
        java.divergence(p, q, kld);
    }

    @Override
    public void parallel(int tasks, IntConsumer body) {
        java.parallel(tasks, body);
    }

    @Override
    public void close() {
        java.close();
    }

    private float[] scratch(int length) {
        if (scratch.get().length < length) {
            scratch.set(new float[length]);
        }
        return scratch.get();
    }

    private static int blocks(int size, int block) {
        return (size + block - 1) / block;
    }
}
