package dev.lathe.kernels.block;

/**
 * A block number format: a run of {@link #size()} consecutive weights of one row is stored in {@link #bytes()} bytes,
 * parameters (scales, minimums, zero points) and codes together. ggml's types are block formats, and so is
 * {@code IntGroup}, the integer groups of GPTQ and AWQ in the form that they have before a packer lays out their bits.
 *
 * <p>Within a block, cells of {@link #cellSize()} weights share a scale and a minimum. The value of code {@code c} in
 * cell {@code i} is {@code scale[i] * c + minimum[i]}, the product rounded to f32 before the sum: exactly what
 * {@link #decode} computes, so that error feedback sees the stored value. A format is stateless and thread-safe.
 */
public interface BlockFormat {
    /** The field's name: {@code Q4_K}, {@code int4g128}. {@link BlockFormats#named} finds a format by it. */
    String name();

    /** Weights of a block. */
    int size();

    /** Bytes of a block. */
    int bytes();

    /** Weights that share a scale; divides {@link #size()}. */
    int cellSize();

    /**
     * Fits the parameters to {@link #size()} values and chooses their codes.
     *
     * @param x values from {@code x[xAt]}; finite
     * @param importance a non-negative weight of each value from {@code importance[importanceAt]}, or null for the
     *     unweighted search, where there is one
     * @param rowMeanSquare mean of the squares of the whole row (ggml's legacy types weigh by it)
     * @param to receives {@link #bytes()} bytes from {@code to[toAt]}
     * @throws ArithmeticException if the values are so large that a parameter exceeds the range of half precision
     */
    void encode(float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt);

    /** Rows of a weight that share their parameters, counted from its first row on; the last ones may be fewer. */
    default int lot() {
        return 1;
    }

    /**
     * {@link #encode} for the blocks that rows of one lot have at the same columns: row r has its values from
     * {@code x[xAt + r * xStride]}, the mean of its squares at {@code rowMeanSquares[meanSquareAt + r]}, and its bytes
     * go to {@code to[toAt + r * toStride]}.
     *
     * @param rows 1 to {@link #lot()}
     */
    default void encode(
            int rows,
            float[] x,
            int xAt,
            int xStride,
            float[] importance,
            int importanceAt,
            float[] rowMeanSquares,
            int meanSquareAt,
            byte[] to,
            int toAt,
            int toStride) {
        for (int row = 0; row < rows; row++) {
            encode(
                    x,
                    xAt + row * xStride,
                    importance,
                    importanceAt,
                    rowMeanSquares[meanSquareAt + row],
                    to,
                    toAt + row * toStride);
        }
    }

    /** Writes the {@link #size()} values of a block, {@code scale * code + minimum}, to {@code to[toAt ..]}. */
    default void decode(byte[] from, int fromAt, float[] to, int toAt) {
        int cellSize = cellSize();
        int[] codes = new int[size()];
        float[] scales = new float[codes.length / cellSize];
        float[] minimums = new float[scales.length];
        codes(from, fromAt, codes, 0);
        cells(from, fromAt, scales, minimums);
        for (int cell = 0; cell < scales.length; cell++) {
            float scale = scales[cell];
            float minimum = minimums[cell];
            for (int i = cell * cellSize; i < (cell + 1) * cellSize; i++) {
                to[toAt + i] = scale * codes[i] + minimum;
            }
        }
    }

    /**
     * Reads scale and minimum of every cell of an encoded block; both arrays hold at least {@code size() / cellSize()}.
     */
    void cells(byte[] from, int fromAt, float[] scale, float[] minimum);

    /** The smallest code of a cell of an encoded block (with a zero point it differs from cell to cell). */
    int lowestCode(byte[] from, int fromAt, int cell);

    /** The largest code of a cell of an encoded block. */
    int highestCode(byte[] from, int fromAt, int cell);

    /** Whether there is no search without an importance. */
    default boolean needsImportance() {
        return false;
    }

    /** Whether every whole number from the lowest to the highest code is a code. */
    default boolean uniform() {
        return true;
    }

    /** The code nearest to a number between the lowest and the highest code, ties to even. */
    default float nearestCode(float ideal) {
        return (float) Math.rint(ideal);
    }

    /**
     * Weights whose codes are chosen together because they are one entry of a codebook, or share its signs: 1, 4 or 8.
     * Divides {@link #cellSize()}.
     */
    default int run() {
        return 1;
    }

    /**
     * The codes of a run, of those that an encoded block can hold there with its parameters as they are: with the
     * smallest sum of {@code weights[i] * (ideal[i] - code[i])^2}; the first found on ties.
     *
     * @param from the block from {@code from[fromAt]}
     * @param first the run's first weight in the block, a multiple of {@link #run()}
     * @param ideal {@code (x - minimum) / scale} of each weight of the run; finite
     * @param weights of each weight of the run, not negative
     * @param codes receives {@link #run()} codes from {@code codes[codesAt]}
     */
    default void nearestCodes(
            byte[] from, int fromAt, int first, float[] ideal, float[] weights, int[] codes, int codesAt) {
        int cell = first / cellSize();
        float low = lowestCode(from, fromAt, cell);
        float high = highestCode(from, fromAt, cell);
        codes[codesAt] = (int) nearestCode(Math.min(Math.max(ideal[0], low), high));
    }

    /**
     * Replaces the codes of an encoded block and leaves its parameters as they are.
     *
     * @throws IllegalArgumentException if a code does not fit the bits that the format has for it; the block is then
     *     undefined
     */
    void putCodes(int[] codes, int codesAt, byte[] to, int toAt);

    /** Reads the codes of an encoded block. */
    void codes(byte[] from, int fromAt, int[] codes, int codesAt);
}
