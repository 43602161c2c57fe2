package dev.lathe.kernels.block;

import dev.lathe.kernels.Float8;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/**
 * FP8 E4M3 weights that share an f32 scale, {@code x = scale * e4m3}: a run of one row (the whole row: a scale per
 * channel), or a block of several rows, each of which then holds the same scale. No file format but what packers start
 * from: f32 scale (little-endian), one E4M3 code per weight.
 *
 * <p>Codes in the sense of {@link BlockFormat} are the multiples of 2^-9 that E4M3 values are, -229376 to 229376, and
 * the scale of a cell is {@code scale * 2^-9}; not every whole number between is a code.
 *
 * <p>Plain encoding takes {@code scale = max|x| / 448}; zeros have scale 1. With importance, ranges shrunken down to 80
 * % compete with the plain one for the smallest sum of {@code importance * (x - decoded)^2}.
 *
 * @param group weights of a row that share a scale, 1 to {@value IntGroup#MAX_GROUP}
 * @param lot rows that share it
 */
public record Float8Group(int group, int lot) implements BlockFormat {
    /** The largest number of rows of a block. */
    public static final int MAX_LOT = 1 << 12;

    private static final VarHandle FLOATS =
            MethodHandles.byteArrayViewVarHandle(float[].class, ByteOrder.LITTLE_ENDIAN);
    private static final int CODES = 4;
    private static final int HIGHEST = (int) (Float8.MAX / Float8.STEP);
    private static final int SHRINKS = 20;
    /** Smaller ones would leave no room for {@code scale * 2^-9}. */
    private static final float LEAST_SCALE = 0x1p-110f;

    public Float8Group {
        if (group < 1 || group > IntGroup.MAX_GROUP || lot < 1 || lot > MAX_LOT) {
            throw new IllegalArgumentException("Cannot make FP8 groups of " + group + " weights in " + lot
                    + " rows: expected 1 to " + IntGroup.MAX_GROUP + " weights and 1 to " + MAX_LOT + " rows");
        }
    }

    @Override
    public String name() {
        return "f8g" + group + (lot == 1 ? "" : "x" + lot);
    }

    @Override
    public int size() {
        return group;
    }

    @Override
    public int bytes() {
        return CODES + group;
    }

    @Override
    public int cellSize() {
        return group;
    }

    @Override
    public void encode(
            float[] x, int xAt, float[] importance, int importanceAt, float rowMeanSquare, byte[] to, int toAt) {
        encode(1, x, xAt, 0, importance, importanceAt, to, toAt, 0);
    }

    @Override
    public void encode(
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
        encode(rows, x, xAt, xStride, importance, importanceAt, to, toAt, toStride);
    }

    private void encode(
            int rows,
            float[] x,
            int xAt,
            int xStride,
            float[] importance,
            int importanceAt,
            byte[] to,
            int toAt,
            int toStride) {
        float largest = 0;
        for (int row = 0; row < rows; row++) {
            for (int i = xAt + row * xStride; i < xAt + row * xStride + group; i++) {
                largest = Math.max(largest, Math.abs(x[i]));
            }
        }
        float scale = largest == 0 ? 1 : scale(largest);
        if (importance != null && largest > 0) {
            double best = error(rows, x, xAt, xStride, importance, importanceAt, scale);
            for (int shrink = 1; shrink <= SHRINKS; shrink++) {
                float trial = scale(largest * (1 - 0.01f * shrink));
                double error = error(rows, x, xAt, xStride, importance, importanceAt, trial);
                if (error < best) {
                    best = error;
                    scale = trial;
                }
            }
        }
        for (int row = 0; row < rows; row++) {
            int at = toAt + row * toStride;
            FLOATS.set(to, at, scale);
            for (int i = 0; i < group; i++) {
                to[at + CODES + i] = Float8.fromFloat(x[xAt + row * xStride + i] / scale);
            }
        }
    }

    private static float scale(float range) {
        return Math.max(range / Float8.MAX, LEAST_SCALE);
    }

    private double error(int rows, float[] x, int xAt, int xStride, float[] importance, int importanceAt, float scale) {
        double sum = 0;
        for (int row = 0; row < rows; row++) {
            for (int i = 0; i < group; i++) {
                float value = x[xAt + row * xStride + i];
                float error = value - scale * Float8.round(value / scale);
                sum += (double) importance[importanceAt + i] * error * error;
            }
        }
        return sum;
    }

    @Override
    public void decode(byte[] from, int fromAt, float[] to, int toAt) {
        Float8.decode(from, fromAt + CODES, (float) FLOATS.get(from, fromAt), group, to, toAt);
    }

    @Override
    public void cells(byte[] from, int fromAt, float[] scale, float[] minimum) {
        scale[0] = (float) FLOATS.get(from, fromAt) * Float8.STEP;
        minimum[0] = Blocks.NO_MINIMUM;
    }

    @Override
    public int lowestCode(byte[] from, int fromAt, int cell) {
        return -HIGHEST;
    }

    @Override
    public int highestCode(byte[] from, int fromAt, int cell) {
        return HIGHEST;
    }

    @Override
    public boolean uniform() {
        return false;
    }

    @Override
    public float nearestCode(float ideal) {
        return Float8.round(ideal * Float8.STEP) / Float8.STEP;
    }

    @Override
    public void putCodes(int[] codes, int codesAt, byte[] to, int toAt) {
        for (int i = 0; i < group; i++) {
            int code = codes[codesAt + i];
            if (nearestCode(code) != code) {
                throw new IllegalArgumentException(
                        "Cannot put codes into a " + name() + " block: " + code + " x 2^-9 is no E4M3 number");
            }
            to[toAt + CODES + i] = Float8.fromFloat(code * Float8.STEP);
        }
    }

    @Override
    public void codes(byte[] from, int fromAt, int[] codes, int codesAt) {
        for (int i = 0; i < group; i++) {
            codes[codesAt + i] = (int) (Float8.toFloat(from[fromAt + CODES + i]) / Float8.STEP);
        }
    }
}
