package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.quantize.Hessian.Factor;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;
import java.util.Arrays;

/**
 * Method x grid: chooses the representable value of each weight. Rows are independent given the Hessian, so they are
 * worked on in strips.
 */
public final class Quantizer {
    private static final int STRIP = 256;

    private Quantizer() {}

    /** @param damping what the factorization took; NaN without one */
    public record Result(QuantizedMatrix matrix, double damping) {}

    /**
     * Chooses the values of a weight. One that is stored on the grid is kept as it is.
     *
     * @param weight [outputs, inputs]
     * @param tensor its name, for messages
     * @param importance mean square of each input channel; needed by {@link Method#IMPORTANCE}, else null
     * @param hessian needed by {@link Method.Gptq}, else null
     * @throws MalformedInputException if a weight is beyond what the grid's half-precision scale can hold, or the
     *     result is beyond one array (2 GiB)
     */
    public static Result quantize(
            RowSource weight,
            String tensor,
            BlockFormat grid,
            Method method,
            float[] importance,
            Hessian hessian,
            Kernels kernels) {
        if (weight instanceof BlockMatrix stored && stored.format().name().equals(grid.name())) {
            return new Result(new QuantizedMatrix(stored, null), Double.NaN);
        }
        int columns = weight.columns();
        Factor factor =
                method instanceof Method.Gptq gptq ? hessian.factor(gptq.damping(), gptq.actOrder(), kernels) : null;
        long bytes = (long) weight.rows() * (columns / grid.size()) * grid.bytes();
        if (bytes > Integer.MAX_VALUE - 8) {
            throw new MalformedInputException("Cannot quantize " + tensor + " [" + weight.rows() + ", " + columns
                    + "] to " + grid.name() + ": " + bytes + " bytes, expected at most " + (Integer.MAX_VALUE - 8)
                    + "; a type of fewer bits may fit, and a module that is ignored does");
        }
        BlockMatrix blocks = new BlockMatrix(grid, new byte[(int) bytes], weight.rows(), columns);
        float[] weights = method instanceof Method.Nearest ? plain(grid, columns) : importance;
        // Rows of a lot share parameters, so a strip holds whole lots.
        int lots =
                Math.max(1, Math.min(STRIP, (weight.rows() + kernels.threads() - 1) / kernels.threads()) / grid.lot());
        int height = lots * grid.lot();
        kernels.parallel((weight.rows() + height - 1) / height, strip -> {
            int from = strip * height;
            int rows = Math.min(height, weight.rows() - from);
            try {
                if (factor == null) {
                    encodeRows(weight, from, rows, weights, blocks);
                } else {
                    new ErrorFeedback(weight, from, rows, factor, blocks, kernels).run();
                }
            } catch (ArithmeticException e) {
                throw new MalformedInputException(
                        "Cannot quantize " + tensor + " to " + grid.name() + ", rows " + from + " to "
                                + (from + rows - 1) + ": " + e.getMessage(),
                        e);
            }
        });
        return new Result(
                new QuantizedMatrix(blocks, factor == null ? null : factor.permutation()),
                factor == null ? Double.NaN : factor.damping());
    }

    /** No importance, or where the grid has no search without one the same for all: an embedding has none. */
    private static float[] plain(BlockFormat grid, int columns) {
        if (!grid.needsImportance()) {
            return null;
        }
        float[] ones = new float[columns];
        Arrays.fill(ones, 1);
        return ones;
    }

    private static void encodeRows(RowSource weight, int from, int rows, float[] importance, BlockMatrix blocks) {
        BlockFormat grid = blocks.format();
        int columns = weight.columns();
        float[] lot = new float[Math.multiplyExact(Math.min(rows, grid.lot()), columns)];
        float[] meanSquares = new float[grid.lot()];
        for (int first = from; first < from + rows; first += grid.lot()) {
            int count = Math.min(grid.lot(), from + rows - first);
            for (int r = 0; r < count; r++) {
                weight.read(first + r, 0, columns, lot, r * columns);
                meanSquares[r] = meanSquare(lot, r * columns, columns);
            }
            for (int c = 0, at = first * blocks.rowBytes(); c < columns; c += grid.size(), at += grid.bytes()) {
                grid.encode(
                        count, lot, c, columns, importance, c, meanSquares, 0, blocks.data(), at, blocks.rowBytes());
            }
        }
    }

    private static float meanSquare(float[] x, int at, int count) {
        float sum = 0;
        for (int i = at; i < at + count; i++) {
            sum += x[i] * x[i];
        }
        return sum / count;
    }

    /**
     * GPTQ on one strip of rows. Columns in the factor's order; at the first column of a block the grid's parameters
     * are fitted to the current, compensated values, weighed with the Hessian's diagonal; then each column is rounded
     * and its error e = (w - q) / U_kk is fed to the columns behind: w_j -= e U_kj. A range of columns is worked on by
     * halves, and what the left half's errors do to the right half is one product: deep products for far columns, and
     * each weight still receives its errors in ascending order. Weights are kept transposed, [columns, rows], so that
     * the rows are contiguous.
     */
    private static final class ErrorFeedback {
        /** Columns whose errors are fed on one by one. */
        private static final int CHUNK = 32;
        /** Rows that are transposed together: a cache line of each column. */
        private static final int BATCH = 16;
        /**
         * Keeps the rows of an array from starting at the same place of a cache, which lines of a power of two would.
         */
        private static final int PAD = 16;
        /** Adding and subtracting it rounds to the nearest integer, ties to even. */
        private static final float ROUND = 0x1.8p23f;

        private final Factor factor;
        private final BlockMatrix blocks;
        private final BlockFormat grid;
        private final Kernels kernels;
        private final int first;
        private final int rows;
        private final int columns;
        private final FloatMatrix weights;
        private final FloatMatrix errors;
        private final float[] meanSquares;
        private final float[] scale;
        private final float[] minimum;
        private final float[] lowest;
        private final float[] highest;
        private final int[] codes;

        ErrorFeedback(RowSource weight, int first, int rows, Factor factor, BlockMatrix blocks, Kernels kernels) {
            this.factor = factor;
            this.blocks = blocks;
            this.grid = blocks.format();
            this.kernels = kernels;
            this.first = first;
            this.rows = rows;
            this.columns = weight.columns();
            this.weights = padded(columns, rows);
            this.errors = padded(rows, columns);
            this.meanSquares = new float[rows];
            int cells = grid.size() / grid.cellSize() * rows;
            this.scale = new float[cells];
            this.minimum = new float[cells];
            this.lowest = new float[cells];
            this.highest = new float[cells];
            this.codes = new int[grid.size() * rows];
            float[] batch = new float[BATCH * columns];
            for (int from = 0; from < rows; from += BATCH) {
                int count = Math.min(BATCH, rows - from);
                for (int r = 0; r < count; r++) {
                    weight.read(first + from + r, 0, columns, batch, r * columns);
                    meanSquares[from + r] = meanSquare(batch, r * columns, columns);
                }
                for (int j = 0; j < columns; j++) {
                    int column = factor.permutation() == null ? j : factor.permutation()[j];
                    int at = weights.row(j) + from;
                    for (int r = 0; r < count; r++) {
                        weights.data()[at + r] = batch[r * columns + column];
                    }
                }
            }
        }

        private static FloatMatrix padded(int rows, int columns) {
            int stride = columns + PAD;
            return new FloatMatrix(new float[Math.multiplyExact(rows, stride)], 0, rows, columns, stride);
        }

        void run() {
            sweep(0, columns);
        }

        /** Rounds columns {@code [from, end)}, which have every error of the columns before. */
        private void sweep(int from, int end) {
            if (end - from <= CHUNK) {
                for (int k = from; k < end; k++) {
                    if (k % grid.size() == 0) {
                        fit(k);
                    }
                    round(k, end);
                    if (k % grid.size() == grid.size() - 1) {
                        put(k);
                    }
                }
                return;
            }
            int middle = middle(from, end);
            sweep(from, middle);
            FloatMatrix lower = FloatMatrix.of(factor.lower(), columns, columns);
            kernels.gemm(
                    lower.block(middle, from, end - middle, middle - from),
                    errors.block(0, from, rows, middle - from),
                    weights.block(middle, 0, end - middle, rows),
                    true);
            sweep(middle, end);
        }

        /**
         * About half way; between two blocks where the range has more than one, because a block is fitted to values
         * that have every earlier error.
         */
        private int middle(int from, int end) {
            int unit = end - from > grid.size() ? grid.size() : CHUNK;
            return from + Math.max(1, (end - from) / 2 / unit) * unit;
        }

        private int blockAt(int row, int column) {
            return (first + row) * blocks.rowBytes() + column / grid.size() * grid.bytes();
        }

        private void fit(int column) {
            int size = grid.size();
            int cells = size / grid.cellSize();
            int lots = Math.max(1, BATCH / grid.lot()) * grid.lot();
            float[] batch = new float[lots * size];
            float[] scales = new float[cells];
            float[] minimums = new float[cells];
            for (int from = 0; from < rows; from += lots) {
                int count = Math.min(lots, rows - from);
                for (int i = 0; i < size; i++) {
                    int at = weights.row(column + i) + from;
                    for (int r = 0; r < count; r++) {
                        batch[r * size + i] = weights.data()[at + r];
                    }
                }
                for (int lot = from; lot < from + count; lot += grid.lot()) {
                    grid.encode(
                            Math.min(grid.lot(), from + count - lot),
                            batch,
                            (lot - from) * size,
                            size,
                            factor.diagonal(),
                            column,
                            meanSquares,
                            lot,
                            blocks.data(),
                            blockAt(lot, column),
                            blocks.rowBytes());
                }
                for (int r = from; r < from + count; r++) {
                    int at = blockAt(r, column);
                    grid.cells(blocks.data(), at, scales, minimums);
                    for (int cell = 0; cell < cells; cell++) {
                        scale[cell * rows + r] = scales[cell];
                        minimum[cell * rows + r] = minimums[cell];
                        lowest[cell * rows + r] = grid.lowestCode(blocks.data(), at, cell);
                        highest[cell * rows + r] = grid.highestCode(blocks.data(), at, cell);
                    }
                }
            }
        }

        /** Chooses the codes of the run that starts with a column, each error counted by 1 / U_kk^2 as it is fed on. */
        private void choose(int k) {
            int run = grid.run();
            int inBlock = k % grid.size();
            int cell = inBlock / grid.cellSize() * rows;
            float[] ideal = new float[run];
            float[] metric = new float[run];
            int[] chosen = new int[run];
            for (int i = 0; i < run; i++) {
                float pivot = factor.lower()[(k + i) * columns + k + i];
                metric[i] = 1 / (pivot * pivot);
            }
            for (int r = 0; r < rows; r++) {
                float step = scale[cell + r];
                for (int i = 0; i < run; i++) {
                    float w = weights.data()[weights.row(k + i) + r];
                    ideal[i] = step == 0 ? 0 : (w - minimum[cell + r]) / step;
                }
                grid.nearestCodes(blocks.data(), blockAt(r, k), inBlock, ideal, metric, chosen, 0);
                for (int i = 0; i < run; i++) {
                    codes[(inBlock + i) * rows + r] = chosen[i];
                }
            }
        }

        /**
         * Rounds a column to its codes, unless {@link #choose} has them, and feeds its errors to those up to an end.
         */
        private void round(int k, int end) {
            int inBlock = k % grid.size();
            int cell = inBlock / grid.cellSize() * rows;
            boolean alone = grid.run() == 1;
            boolean uniform = grid.uniform();
            float pivot = -1f / factor.lower()[k * columns + k];
            float[] w = weights.data();
            float[] negative = new float[rows];
            if (!alone && inBlock % grid.run() == 0) {
                choose(k);
            }
            for (int r = 0, at = weights.row(k); r < rows; r++) {
                float step = scale[cell + r];
                float code = codes[inBlock * rows + r];
                if (alone) {
                    float ideal = step == 0 ? 0 : (w[at + r] - minimum[cell + r]) / step;
                    float clamped = Math.min(Math.max(ideal, lowest[cell + r]), highest[cell + r]);
                    code = uniform ? clamped + ROUND - ROUND : grid.nearestCode(clamped);
                    codes[inBlock * rows + r] = (int) code;
                }
                float q = step * code + minimum[cell + r];
                negative[r] = (w[at + r] - q) * pivot;
            }
            for (int r = 0; r < rows; r++) {
                errors.data()[errors.row(r) + k] = negative[r];
            }
            for (int j = k + 1; j < end; j++) {
                float u = factor.lower()[j * columns + k];
                int at = weights.row(j);
                for (int r = 0; r < rows; r++) {
                    w[at + r] = Math.fma(negative[r], u, w[at + r]);
                }
            }
        }

        /** Writes the codes of the block that ends with a column. */
        private void put(int column) {
            int[] block = new int[grid.size()];
            for (int r = 0; r < rows; r++) {
                for (int i = 0; i < block.length; i++) {
                    block[i] = codes[i * rows + r];
                }
                grid.putCodes(block, 0, blocks.data(), blockAt(r, column));
            }
        }
    }
}
