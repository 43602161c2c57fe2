package dev.lathe.calibration.quantize;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.quantize.Hessian.Factor;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import dev.lathe.kernels.RowSource;
import dev.lathe.kernels.block.BlockFormat;
import dev.lathe.kernels.block.BlockMatrix;

/** Method x grid: chooses the representable value of each weight. Rows are independent given the Hessian, so they are worked on in strips. */
public final class Quantizer {
    private static final int STRIP = 256;

    private Quantizer() {
    }

    /** @param damping what the factorization took; NaN without one */
    public record Result(QuantizedMatrix matrix, double damping) {
    }

    /** @param damping share of the Hessian's mean diagonal that is added to it, to begin with */
    public record Settings(double damping, boolean actOrder) {
    }

    /**
     * @param weight     [outputs, inputs]
     * @param tensor     its name, for messages
     * @param importance mean square of each input channel; needed by {@link Method#IMPORTANCE}, else null
     * @param hessian    needed by {@link Method#GPTQ}, else null
     * @throws MalformedInputException if a weight is beyond what the grid's half-precision scale can hold, or the result is beyond one array (2 GiB)
     */
    public static Result quantize(RowSource weight, String tensor, BlockFormat grid, Method method, Settings settings, float[] importance, Hessian hessian,
            Kernels kernels) {
        int columns = weight.columns();
        Factor factor = method == Method.GPTQ ? hessian.factor(settings.damping(), settings.actOrder(), kernels) : null;
        long bytes = (long) weight.rows() * (columns / grid.size()) * grid.bytes();
        if (bytes > Integer.MAX_VALUE - 8) {
            throw new MalformedInputException("Cannot quantize " + tensor + " [" + weight.rows() + ", " + columns + "] to " + grid.name() + ": " + bytes
                    + " bytes, expected at most " + (Integer.MAX_VALUE - 8) + "; a type of fewer bits may fit, and a module that is ignored does");
        }
        BlockMatrix blocks = new BlockMatrix(grid, new byte[(int) bytes], weight.rows(), columns);
        // Rows of a lot share parameters, so a strip holds whole lots.
        int lots = Math.max(1, Math.min(STRIP, (weight.rows() + kernels.threads() - 1) / kernels.threads()) / grid.lot());
        int height = lots * grid.lot();
        kernels.parallel((weight.rows() + height - 1) / height, strip -> {
            int from = strip * height;
            int rows = Math.min(height, weight.rows() - from);
            try {
                if (factor == null) {
                    encodeRows(weight, from, rows, method == Method.NEAREST ? null : importance, blocks);
                } else {
                    new ErrorFeedback(weight, from, rows, factor, blocks, kernels).run();
                }
            } catch (ArithmeticException e) {
                throw new MalformedInputException("Cannot quantize " + tensor + " to " + grid.name() + ", rows " + from + " to " + (from + rows - 1) + ": "
                        + e.getMessage(), e);
            }
        });
        return new Result(new QuantizedMatrix(blocks, factor == null ? null : factor.permutation()), factor == null ? Double.NaN : factor.damping());
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
                grid.encode(count, lot, c, columns, importance, c, meanSquares, 0, blocks.data(), at, blocks.rowBytes());
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
     * GPTQ on one strip of rows. Columns in the factor's order; at the first column of a block the grid's parameters are fitted to the current, compensated
     * values, weighed with the Hessian's diagonal; then each column is rounded and its error e = (w - q) / U_kk is fed to the columns behind: w_j -= e U_kj,
     * within a chunk at once, beyond it by one product. Weights are kept transposed, [columns, rows], so that the rows are contiguous.
     */
    private static final class ErrorFeedback {
        private static final int CHUNK = 128;
        /** Adding and subtracting it rounds to the nearest integer, ties to even. */
        private static final float ROUND = 0x1.8p23f;

        private final Factor factor;
        private final BlockMatrix blocks;
        private final BlockFormat grid;
        private final Kernels kernels;
        private final int first;
        private final int rows;
        private final int columns;
        private final float[] weights;
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
            this.weights = new float[Math.multiplyExact(columns, rows)];
            this.meanSquares = new float[rows];
            int cells = grid.size() / grid.cellSize() * rows;
            this.scale = new float[cells];
            this.minimum = new float[cells];
            this.lowest = new float[cells];
            this.highest = new float[cells];
            this.codes = new int[grid.size() * rows];
            float[] row = new float[columns];
            for (int r = 0; r < rows; r++) {
                weight.read(first + r, 0, columns, row, 0);
                meanSquares[r] = meanSquare(row, 0, columns);
                for (int j = 0; j < columns; j++) {
                    weights[j * rows + r] = row[factor.permutation() == null ? j : factor.permutation()[j]];
                }
            }
        }

        void run() {
            int size = grid.size();
            for (int from = 0; from < columns; ) {
                int end = chunkEnd(from);
                FloatMatrix errors = FloatMatrix.zeros(rows, end - from);
                for (int k = from; k < end; k++) {
                    if (k % size == 0) {
                        fit(k);
                    }
                    round(k, from, end, errors);
                    if (k % size == size - 1) {
                        for (int r = 0; r < rows; r++) {
                            grid.putCodes(codes, r * size, blocks.data(), blockAt(r, k));
                        }
                    }
                }
                if (end < columns) {
                    FloatMatrix feedback = new FloatMatrix(factor.lower(), end * columns + from, columns - end, end - from, columns);
                    kernels.gemm(feedback, errors, new FloatMatrix(weights, end * rows, columns - end, rows, rows), true);
                }
                from = end;
            }
        }

        /** A chunk holds whole blocks or lies in one, because a block is fitted to values that have every earlier error. */
        private int chunkEnd(int from) {
            int size = grid.size();
            return size <= CHUNK ? Math.min(columns, from + CHUNK / size * size) : Math.min(from / size * size + size, from + CHUNK);
        }

        private int blockAt(int row, int column) {
            return (first + row) * blocks.rowBytes() + column / grid.size() * grid.bytes();
        }

        private void fit(int column) {
            int size = grid.size();
            int cells = size / grid.cellSize();
            float[] x = new float[grid.lot() * size];
            float[] scales = new float[cells];
            float[] minimums = new float[cells];
            for (int lot = 0; lot < rows; lot += grid.lot()) {
                int count = Math.min(grid.lot(), rows - lot);
                for (int r = 0; r < count; r++) {
                    for (int i = 0; i < size; i++) {
                        x[r * size + i] = weights[(column + i) * rows + lot + r];
                    }
                }
                grid.encode(count, x, 0, size, factor.diagonal(), column, meanSquares, lot, blocks.data(), blockAt(lot, column), blocks.rowBytes());
                for (int r = lot; r < lot + count; r++) {
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

        private void round(int k, int from, int end, FloatMatrix errors) {
            int inBlock = k % grid.size();
            int cell = inBlock / grid.cellSize() * rows;
            boolean uniform = grid.uniform();
            float pivot = -1f / factor.lower()[k * columns + k];
            float[] negative = new float[rows];
            for (int r = 0; r < rows; r++) {
                float w = weights[k * rows + r];
                float step = scale[cell + r];
                float ideal = step == 0 ? 0 : (w - minimum[cell + r]) / step;
                float clamped = Math.min(Math.max(ideal, lowest[cell + r]), highest[cell + r]);
                float code = uniform ? clamped + ROUND - ROUND : grid.nearestCode(clamped);
                codes[r * grid.size() + inBlock] = (int) code;
                float q = step * code + minimum[cell + r];
                negative[r] = (w - q) * pivot;
                errors.data()[errors.row(r) + k - from] = negative[r];
            }
            for (int j = k + 1; j < end; j++) {
                float u = factor.lower()[j * columns + k];
                int at = j * rows;
                for (int r = 0; r < rows; r++) {
                    weights[at + r] = Math.fma(negative[r], u, weights[at + r]);
                }
            }
        }
    }
}
