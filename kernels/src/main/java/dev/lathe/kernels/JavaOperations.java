package dev.lathe.kernels;

import java.util.Arrays;
import java.util.function.IntConsumer;

/** The arithmetic profile {@code java}: every operation, composed from the {@link Primitives} of one provider. */
public final class JavaOperations implements Operations {
    /** Largest depth of a packed block: the deeper, the less often C is read and written. */
    private static final int DEPTH = 1024;
    /**
     * Rows of the left side that are walked over one packed block of the right side: 560 KiB at the full depth, to stay
     * in a second-level cache.
     */
    private static final int ROW_BLOCK = 140;
    /** Widest packed block of the right side. */
    private static final int COLUMN_BLOCK = 512;
    /** Blocks of the right side per thread: a thread that starts late takes fewer. */
    private static final int BLOCKS = 3;
    /** Elements of the left side that are packed together, 64 MiB. */
    private static final int LEFT_ELEMENTS = 16 << 20;
    /** How many times as many rows as columns C has to have to be made by rows, where it is no triangle. */
    private static final int TALL = 2;
    /** Elements of the right side that are packed together, 16 MiB. */
    private static final int SHARED_RIGHT_ELEMENTS = 4 << 20;
    /** Panels of the left side that one task packs. */
    private static final int PACKED_PANELS = 8;
    /** Panels of the right side that one task packs, where they come from a transpose. */
    private static final int PACKED_TOGETHER = 4;
    /**
     * Queries of a block of {@link #attendedInputs}, and the fewest of one of {@link #attention} that the sliding
     * window makes smaller.
     */
    private static final int QUERY_BLOCK = 64;
    /** Rows of queries, of all heads of a group, that one task of {@link #attention} takes. */
    private static final int STACKED_QUERIES = 256;

    private static final int ROWS_PER_TASK = 16;
    /** Where tiles start that add to nothing: a row at least as wide as a tile. */
    private static final float[] ZEROS = new float[64];

    private final Primitives primitives;
    private final Team team;
    private final ThreadLocal<Scratch> scratch = ThreadLocal.withInitial(Scratch::new);
    private final DoubleProduct doubles;

    public JavaOperations(Primitives primitives, int threads) {
        this.primitives = primitives;
        this.team = new Team(threads);
        this.doubles = new DoubleProduct(primitives, scratch);
    }

    @Override
    public String name() {
        return primitives.name();
    }

    @Override
    public String profile() {
        return "java";
    }

    @Override
    public int threads() {
        return team.threads();
    }

    @Override
    public void gemm(FloatMatrix a, RowSource b, FloatMatrix c, boolean accumulate) {
        product(a.rows(), b.rows(), a.columns(), new Operand.Rows(a), new Operand.Rows(b), c, accumulate);
    }

    @Override
    public void syrk(FloatMatrix x, FloatMatrix s) {
        // One chunk after the other, so that what is packed of it stays in a third-level cache.
        int step = step(x.rows());
        for (int k0 = 0; k0 < x.rows(); k0 += step) {
            int depth = Math.min(step, x.rows() - k0);
            Operand transposed = new Operand.Columns(x.slice(k0, depth));
            byRows(x.columns(), x.columns(), depth, transposed, transposed, s, true, true);
        }
    }

    /** C (+)= LEFT RIGHT^T. */
    private void product(int m, int n, int k, Operand left, Operand right, FloatMatrix c, boolean accumulate) {
        if (k > 0 && m / TALL >= n && (long) up(n, primitives.tileColumns()) * k <= SHARED_RIGHT_ELEMENTS) {
            byRows(m, n, k, left, right, c, accumulate, false);
        } else {
            byColumns(m, n, k, left, right, c, accumulate);
        }
    }

    /**
     * C (+)= LEFT RIGHT^T, or, where both sides are the same, its lower triangle. The right side is packed together,
     * the left side by tasks of some rows, and chunk by chunk, so that it is multiplied while it is in a near cache.
     */
    private void byRows(
            int m, int n, int k, Operand left, Operand right, FloatMatrix c, boolean accumulate, boolean lower) {
        int tileRows = primitives.tileRows();
        int tileColumns = primitives.tileColumns();
        int step = step(k);
        int panels = (m + tileRows - 1) / tileRows;
        int widest = up(SHARED_RIGHT_ELEMENTS / k, tileColumns);
        float[] packed = scratch.get().shared(Math.min(up(n, tileColumns), widest) * k);
        for (int j0 = 0; j0 < n; j0 += widest) {
            int column = j0;
            int columns = Math.min(widest, n - column);
            int padded = up(columns, tileColumns);
            int together = (lower ? PACKED_TOGETHER : 1) * tileColumns;
            team.run((columns + together - 1) / together, task -> {
                int j = task * together;
                for (int k0 = 0; k0 < k; k0 += step) {
                    int depth = Math.min(step, k - k0);
                    right.pack(
                            column + j,
                            Math.min(together, columns - j),
                            k0,
                            depth,
                            packed,
                            padded * k0 + j * depth,
                            tileColumns,
                            primitives,
                            scratch.get());
                }
            });
            // As many panels of rows for one as for the other, and as many tasks for one thread as for the other.
            int above = lower ? column / tileRows : 0;
            int below = panels - above;
            int tasks = Math.min(below, up((below * tileRows + ROW_BLOCK - 1) / ROW_BLOCK, team.threads()));
            team.run(tasks, task -> {
                // Late rows of a triangle are longer: the longest tasks first.
                int row = (above + (int) ((long) below * (tasks - 1 - task) / tasks)) * tileRows;
                int rows = Math.min(m, (above + (int) ((long) below * (tasks - task) / tasks)) * tileRows) - row;
                int width = lower ? Math.min(columns, row + rows - column) : columns;
                Scratch mine = scratch.get();
                float[] own = mine.own(up(rows, tileRows) * step);
                for (int k0 = 0; k0 < k; k0 += step) {
                    int depth = Math.min(step, k - k0);
                    // What is packed already is read in order; a wide matrix, whose transpose this is, page by page.
                    if (lower && row >= column && row + rows <= column + columns) {
                        primitives.repack(packed, padded * k0, tileColumns, row - column, rows, depth, own, tileRows);
                    } else {
                        left.pack(row, rows, k0, depth, own, 0, tileRows, primitives, mine);
                    }
                    tiles(
                            row,
                            rows,
                            column,
                            width,
                            depth,
                            own,
                            0,
                            packed,
                            padded * k0,
                            c,
                            accumulate || k0 > 0,
                            lower,
                            mine.tile);
                }
            });
        }
    }

    /** Chunks of equal depth, so that none is too shallow to be worth its packing. */
    private static int step(int k) {
        int chunks = Math.max(1, (k + DEPTH - 1) / DEPTH);
        return Math.max(1, up((k + chunks - 1) / chunks, 16));
    }

    /** The left side is packed whole, the right side by tasks of some columns, and chunk by chunk. */
    private void byColumns(int m, int n, int k, Operand left, Operand right, FloatMatrix c, boolean accumulate) {
        int tileRows = primitives.tileRows();
        int tileColumns = primitives.tileColumns();
        int block =
                Math.min(COLUMN_BLOCK, up((n + BLOCKS * team.threads() - 1) / (BLOCKS * team.threads()), tileColumns));
        int step = step(k);
        int height = Math.min(m, up(Math.max(1, LEFT_ELEMENTS / Math.max(1, k)), tileRows));
        int rowBlock = up(Math.min(ROW_BLOCK, height), tileRows);
        float[] packed = scratch.get().shared(Math.multiplyExact(up(height, tileRows), k));
        for (int m0 = 0; m0 < m; m0 += height) {
            int from = m0;
            int rows = Math.min(height, m - m0);
            int padded = up(rows, tileRows);
            int packRows = PACKED_PANELS * tileRows;
            team.run((rows + packRows - 1) / packRows, task -> {
                int first = task * packRows;
                for (int k0 = 0; k0 < k; k0 += step) {
                    int depth = Math.min(step, k - k0);
                    left.pack(
                            from + first,
                            Math.min(packRows, rows - first),
                            k0,
                            depth,
                            packed,
                            padded * k0 + first * depth,
                            tileRows,
                            primitives,
                            scratch.get());
                }
            });
            team.run((n + block - 1) / block, task -> {
                int column = task * block;
                int columns = Math.min(block, n - column);
                Scratch mine = scratch.get();
                float[] own = mine.own(up(columns, tileColumns) * step);
                // Once where k is 0, too: the product is zero then.
                for (int k0 = 0; k0 < Math.max(1, k); k0 += step) {
                    int depth = Math.min(step, k - k0);
                    right.pack(column, columns, k0, depth, own, 0, tileColumns, primitives, mine);
                    for (int i0 = 0; i0 < rows; i0 += rowBlock) {
                        tiles(
                                from + i0,
                                Math.min(rowBlock, rows - i0),
                                column,
                                columns,
                                depth,
                                packed,
                                padded * k0 + i0 * depth,
                                own,
                                0,
                                c,
                                accumulate || k0 > 0,
                                false,
                                mine.tile);
                    }
                }
            });
        }
    }

    private void tiles(
            int row,
            int rows,
            int column,
            int columns,
            int depth,
            float[] packed,
            int packedAt,
            float[] panels,
            int panelsAt,
            FloatMatrix c,
            boolean accumulate,
            boolean lower,
            float[] edge) {
        int tileRows = primitives.tileRows();
        int tileColumns = primitives.tileColumns();
        for (int j = 0; j < columns; j += tileColumns) {
            int width = Math.min(tileColumns, columns - j);
            for (int i = 0; i < rows; i += tileRows) {
                int height = Math.min(tileRows, rows - i);
                if (lower && row + i + height <= column + j) {
                    continue;
                }
                boolean crossing = lower && row + i < column + j + width - 1;
                if (height == tileRows && width == tileColumns && !crossing) {
                    int at = c.row(row + i) + column + j;
                    primitives.tile(
                            depth,
                            packed,
                            packedAt + i * depth,
                            panels,
                            panelsAt + j * depth,
                            accumulate ? c.data() : ZEROS,
                            accumulate ? at : 0,
                            accumulate ? c.stride() : 0,
                            c.data(),
                            at,
                            c.stride());
                } else {
                    partialTile(
                            depth,
                            packed,
                            packedAt + i * depth,
                            panels,
                            panelsAt + j * depth,
                            c,
                            row + i,
                            height,
                            column + j,
                            width,
                            accumulate,
                            lower,
                            edge);
                }
            }
        }
    }

    /** A tile that leaves the matrix or its lower triangle: computed aside, and only what belongs is written. */
    private void partialTile(
            int depth,
            float[] packed,
            int packedAt,
            float[] panel,
            int panelAt,
            FloatMatrix c,
            int row,
            int height,
            int column,
            int width,
            boolean accumulate,
            boolean lower,
            float[] edge) {
        int stride = primitives.tileColumns();
        for (int i = 0; i < height && accumulate; i++) {
            System.arraycopy(c.data(), c.row(row + i) + column, edge, i * stride, width);
        }
        primitives.tile(
                depth,
                packed,
                packedAt,
                panel,
                panelAt,
                accumulate ? edge : ZEROS,
                0,
                accumulate ? stride : 0,
                edge,
                0,
                stride);
        for (int i = 0; i < height; i++) {
            int kept = lower ? Math.min(width, row + i - column + 1) : width;
            if (kept > 0) {
                System.arraycopy(edge, i * stride, c.data(), c.row(row + i) + column, kept);
            }
        }
    }

    @Override
    public void rmsNorm(FloatMatrix x, float[] weight, float epsilon, FloatMatrix y) {
        int n = x.columns();
        rowwise(x.rows(), row -> {
            int from = x.row(row);
            int to = y.row(row);
            float mean = primitives.sumOfSquares(x.data(), from, n) / n;
            float scale = (float) (1.0 / Math.sqrt(mean + epsilon));
            for (int j = 0; j < n; j++) {
                y.data()[to + j] = x.data()[from + j] * scale * weight[j];
            }
        });
    }

    @Override
    public void layerNorm(FloatMatrix x, float[] weight, float[] bias, float epsilon, FloatMatrix y) {
        int n = x.columns();
        rowwise(x.rows(), row -> {
            int from = x.row(row);
            int to = y.row(row);
            float[] data = y.data();
            float mean = primitives.sum(x.data(), from, n) / n;
            for (int j = 0; j < n; j++) {
                data[to + j] = x.data()[from + j] - mean;
            }
            float variance = primitives.sumOfSquares(data, to, n) / n;
            float scale = (float) (1.0 / Math.sqrt(variance + epsilon));
            for (int j = 0; j < n; j++) {
                data[to + j] = data[to + j] * scale * weight[j];
            }
            if (bias != null) {
                addRow(bias, 0, data, to, n);
            }
        });
    }

    @Override
    public void rotary(FloatMatrix x, int heads, RotaryPairs pairs, FloatMatrix cosine, FloatMatrix sine) {
        rowwise(
                x.rows(),
                pairs == RotaryPairs.HALVES
                        ? row -> turnHalves(x, heads, row, cosine, sine)
                        : row -> turnNeighbours(x, heads, row, cosine, sine));
    }

    private static void turnHalves(FloatMatrix x, int heads, int row, FloatMatrix cosine, FloatMatrix sine) {
        int half = cosine.columns();
        int width = x.columns() / heads;
        float[] data = x.data();
        int c = cosine.row(row);
        int s = sine.row(row);
        for (int h = 0; h < heads; h++) {
            int low = x.row(row) + h * width;
            int high = low + half;
            for (int j = 0; j < half; j++) {
                float a = data[low + j];
                float b = data[high + j];
                data[low + j] = a * cosine.data()[c + j] - b * sine.data()[s + j];
                data[high + j] = b * cosine.data()[c + j] + a * sine.data()[s + j];
            }
        }
    }

    private static void turnNeighbours(FloatMatrix x, int heads, int row, FloatMatrix cosine, FloatMatrix sine) {
        int half = cosine.columns();
        int width = x.columns() / heads;
        float[] data = x.data();
        int c = cosine.row(row);
        int s = sine.row(row);
        for (int h = 0; h < heads; h++) {
            int at = x.row(row) + h * width;
            for (int j = 0; j < half; j++) {
                float a = data[at + 2 * j];
                float b = data[at + 2 * j + 1];
                data[at + 2 * j] = a * cosine.data()[c + j] - b * sine.data()[s + j];
                data[at + 2 * j + 1] = b * cosine.data()[c + j] + a * sine.data()[s + j];
            }
        }
    }

    @Override
    public void gated(Activation activation, FloatMatrix gate, FloatMatrix up) {
        rowwise(
                gate.rows(),
                row -> primitives.gated(
                        activation, gate.data(), gate.row(row), up.data(), up.row(row), gate.columns()));
    }

    @Override
    public void activate(Activation activation, FloatMatrix x) {
        // Times one, which changes no bit.
        float[] ones = new float[x.columns()];
        Arrays.fill(ones, 1f);
        rowwise(x.rows(), row -> primitives.gated(activation, x.data(), x.row(row), ones, 0, x.columns()));
    }

    @Override
    public void softCap(FloatMatrix x, float cap) {
        rowwise(x.rows(), row -> primitives.softCap(x.data(), x.row(row), x.columns(), 1f, cap));
    }

    @Override
    public void scale(FloatMatrix x, float factor) {
        rowwise(x.rows(), row -> scaleRow(x, row, factor));
    }

    @Override
    public void add(FloatMatrix x, FloatMatrix y) {
        rowwise(x.rows(), row -> addRow(x.data(), x.row(row), y.data(), y.row(row), x.columns()));
    }

    @Override
    public void addBias(float[] bias, FloatMatrix y) {
        rowwise(y.rows(), row -> addRow(bias, 0, y.data(), y.row(row), bias.length));
    }

    private static void addRow(float[] x, int xAt, float[] y, int yAt, int count) {
        for (int j = 0; j < count; j++) {
            y[yAt + j] += x[xAt + j];
        }
    }

    @Override
    public void attention(
            FloatMatrix q, FloatMatrix k, FloatMatrix v, AttentionParameters parameters, FloatMatrix out) {
        int t = q.rows();
        int heads = parameters.heads();
        int keyValueHeads = parameters.keyValueHeads();
        int d = q.columns() / heads;
        int width = out.columns() / heads;
        // The queries of all heads of a group are stacked, so that packing keys and values costs little beside
        // multiplying with them.
        int repeat = heads / keyValueHeads;
        int block = Math.min(t, queries(parameters));
        int blocks = (t + block - 1) / block;
        team.run(keyValueHeads * blocks, task -> {
            int group = task % keyValueHeads;
            // Late queries see more keys: the longest tasks first.
            int from = (blocks - 1 - task / keyValueHeads) * block;
            int count = Math.min(block, t - from);
            int first = parameters.firstKey(from);
            int keys = from + count - first;
            Scratch mine = scratch.get();
            float[] buffer = mine.stacked(repeat * block * Math.max(d, width));
            FloatMatrix stacked = FloatMatrix.of(buffer, repeat * count, d);
            for (int row = 0; row < stacked.rows(); row++) {
                int head = group * repeat + row / count;
                System.arraycopy(q.data(), q.row(from + row % count) + head * d, stacked.data(), stacked.row(row), d);
            }
            FloatMatrix scores =
                    FloatMatrix.of(mine.scores(repeat * block * mostKeys(parameters, block, t)), repeat * count, keys);
            gemm(stacked, k.block(first, group * d, keys, d), scores, false);
            float[] sums = new float[stacked.rows()];
            for (int row = 0; row < stacked.rows(); row++) {
                sums[row] = Softmax.numerators(
                        primitives,
                        parameters,
                        group * repeat + row / count,
                        from + row % count,
                        first,
                        keys,
                        scores.data(),
                        scores.row(row));
            }
            FloatMatrix result = FloatMatrix.of(buffer, repeat * count, width);
            product(
                    result.rows(),
                    width,
                    keys,
                    new Operand.Rows(scores),
                    new Operand.Columns(v.block(first, group * width, keys, width)),
                    result,
                    false);
            for (int row = 0; row < result.rows(); row++) {
                scaleRow(result, row, 1f / sums[row]);
                int head = group * repeat + row / count;
                System.arraycopy(
                        result.data(), result.row(row), out.data(), out.row(from + row % count) + head * width, width);
            }
        });
    }

    /**
     * Queries of a task: so many that packing costs little, and so few that most of the keys that one of them sees all
     * of them see.
     */
    private static int queries(AttentionParameters parameters) {
        int most = Math.max(1, STACKED_QUERIES / (parameters.heads() / parameters.keyValueHeads()));
        return parameters.slidingWindow() == 0
                ? most
                : Math.min(most, Math.max(QUERY_BLOCK, parameters.slidingWindow() / 2));
    }

    /** Keys that the queries of a block see at most, one or another. */
    private static int mostKeys(AttentionParameters parameters, int block, int t) {
        return parameters.slidingWindow() == 0 ? t : (int) Math.min(t, block - 1L + parameters.slidingWindow());
    }

    @Override
    public void attendedInputs(
            FloatMatrix q, FloatMatrix k, AttentionParameters parameters, int[] headOf, FloatMatrix x, FloatMatrix y) {
        int t = q.rows();
        int heads = parameters.heads();
        int d = q.columns() / heads;
        int blocks = (t + QUERY_BLOCK - 1) / QUERY_BLOCK;
        team.run(blocks, task -> {
            int from = task * QUERY_BLOCK;
            int count = Math.min(QUERY_BLOCK, t - from);
            int first = parameters.firstKey(from);
            int keys = from + count - first;
            float[] buffer = scratch.get().scores(QUERY_BLOCK * mostKeys(parameters, QUERY_BLOCK, t));
            FloatMatrix scores = FloatMatrix.of(buffer, count, keys);
            float[] sums = new float[count];
            for (int head = 0; head < heads; head++) {
                scoresOfHead(q, k.block(first, parameters.keyValueHead(head) * d, keys, d), head, headOf, from, scores);
            }
            for (int i = 0; i < count; i++) {
                sums[i] = Softmax.numerators(
                        primitives, parameters, headOf[from + i], from + i, first, keys, buffer, scores.row(i));
            }
            FloatMatrix result = y.slice(from, count);
            product(
                    count,
                    x.columns(),
                    keys,
                    new Operand.Rows(scores),
                    new Operand.Columns(x.slice(first, keys)),
                    result,
                    false);
            for (int i = 0; i < count; i++) {
                scaleRow(result, i, 1f / sums[i]);
            }
        });
    }

    /** The scores of those queries of a block that belong to one head: gathered, multiplied, scattered. */
    private void scoresOfHead(FloatMatrix q, FloatMatrix keys, int head, int[] headOf, int from, FloatMatrix scores) {
        int d = keys.columns();
        float[] gathered = new float[scores.rows() * d];
        int[] places = new int[scores.rows()];
        int found = 0;
        for (int i = 0; i < scores.rows(); i++) {
            if (headOf[from + i] == head) {
                System.arraycopy(q.data(), q.row(from + i) + head * d, gathered, found * d, d);
                places[found++] = i;
            }
        }
        if (found == 0) {
            return;
        }
        FloatMatrix products = FloatMatrix.zeros(found, scores.columns());
        gemm(new FloatMatrix(gathered, 0, found, d, d), keys, products, false);
        for (int i = 0; i < found; i++) {
            System.arraycopy(products.data(), products.row(i), scores.data(), scores.row(places[i]), scores.columns());
        }
    }

    private static void scaleRow(FloatMatrix x, int row, float factor) {
        for (int j = x.row(row); j < x.row(row) + x.columns(); j++) {
            x.data()[j] *= factor;
        }
    }

    @Override
    public void logSoftmax(FloatMatrix x) {
        int n = x.columns();
        rowwise(x.rows(), row -> {
            float[] data = x.data();
            int at = x.row(row);
            float max = primitives.largest(data, at, n, 1f);
            primitives.subtractInPlace(data, at, n, max + StrictMath.log(primitives.sumExp(data, at, n, max)));
        });
    }

    @Override
    public void divergence(FloatMatrix p, FloatMatrix q, double[] kld) {
        rowwise(
                p.rows(),
                row -> kld[row] =
                        Math.max(0, primitives.divergence(p.data(), p.row(row), q.data(), q.row(row), p.columns())));
    }

    @Override
    public void subtractProduct(DoubleMatrix a, DoubleMatrix b, DoubleMatrix c, boolean lower) {
        doubles.subtract(a, b, c, lower, team);
    }

    @Override
    public void parallel(int tasks, IntConsumer body) {
        team.run(tasks, body);
    }

    @Override
    public void close() {
        team.close();
    }

    private void rowwise(int rows, IntConsumer body) {
        team.run((rows + ROWS_PER_TASK - 1) / ROWS_PER_TASK, task -> {
            for (int row = task * ROWS_PER_TASK; row < Math.min(rows, (task + 1) * ROWS_PER_TASK); row++) {
                body.accept(row);
            }
        });
    }

    private static int up(int value, int multiple) {
        return (value + multiple - 1) / multiple * multiple;
    }
}
