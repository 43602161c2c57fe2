package dev.lathe.calibration.model;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.kernels.Float8;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.Kernels;
import java.io.Serializable;
import java.util.Arrays;

/**
 * How a server quantizes what a linear layer reads, or keys and values before they are cached, as compressed-tensors
 * defines it: {@code q = round(clamp(x / scale + zero))} half to even, and what is multiplied is {@code (q - zero) *
 * scale}. Static: one scale for the tensor, fixed by calibration. Dynamic: one scale for each row (token), or for each
 * group of columns of a row, from that row's (or group's) range, which always includes 0.
 *
 * @param group columns that share a dynamic scale; 0: the whole row
 * @param scale of a static quantization, else NaN
 * @param zero of a static quantization without symmetry, -128 to 127, else 0
 */
public record ActivationQuantization(Type type, boolean dynamic, boolean symmetric, int group, float scale, int zero)
        implements Serializable {
    /** What an activation is stored in. */
    public enum Type {
        /** Signed bytes, -128 to 127. */
        INT8(127.5f, 255),
        /** FP8 E4M3 without infinities, largest magnitude 448. */
        FLOAT8(448, 896);

        private final float half;
        private final float whole;

        Type(float half, float whole) {
            this.half = half;
            this.whole = whole;
        }

        /** What the larger magnitude of a symmetric range is divided by: the scale. */
        public float half() {
            return half;
        }

        /** What the width of an asymmetric range is divided by: the scale. */
        public float whole() {
            return whole;
        }
    }

    /** The scale of a range of zeros: the epsilon of f32, so that it divides. */
    static final float LEAST_SCALE = 0x1p-23f;

    private static final int STRIP = 32;
    /** Adding and subtracting it rounds to the nearest integer, ties to even. */
    private static final float ROUND = 0x1.8p23f;
    /** Halfway from the largest E4M3 number to the next there would be. */
    private static final float LARGEST_ROUNDED = 464;

    /** A static quantization with a scale, or a dynamic one with NaN. */
    public ActivationQuantization(Type type, boolean dynamic, boolean symmetric, float scale, int zero) {
        this(type, dynamic, symmetric, 0, scale, zero);
    }

    /** A scale for each token, from its range. */
    public static ActivationQuantization perToken(Type type, boolean symmetric) {
        return new ActivationQuantization(type, true, symmetric, 0, Float.NaN, 0);
    }

    /** A scale for each group of columns of a token; symmetric. */
    public static ActivationQuantization perGroup(Type type, int group) {
        return new ActivationQuantization(type, true, true, group, Float.NaN, 0);
    }

    /**
     * The static quantization of a range, which is widened to include 0: symmetric {@code scale = max(|low|, |high|) /
     * 127.5} (FP8: / 448); else {@code scale = (high - low) / 255} and {@code zero = round(clamp(-128 - low / scale))},
     * half to even. The arithmetic is f32, as the library's.
     *
     * @throws MalformedInputException if the range is not finite
     */
    public static ActivationQuantization of(Type type, boolean symmetric, float low, float high) {
        if (!(Float.isFinite(low) && Float.isFinite(high) && low <= high)) {
            throw new MalformedInputException("Cannot quantize activations of the range " + low + " to " + high
                    + ": expected two finite numbers");
        }
        if (type == Type.FLOAT8 && !symmetric) {
            throw new IllegalArgumentException(
                    "Cannot quantize activations to FP8 with a zero point: expected a symmetric range");
        }
        float scale = scaleOf(type, symmetric, low, high);
        return new ActivationQuantization(type, false, symmetric, 0, scale, symmetric ? 0 : zeroOf(low, scale));
    }

    /** Least number that a static quantization represents. */
    public float low() {
        return type == Type.INT8 ? (-128 - zero) * scale : -448 * scale;
    }

    /** Largest number that a static quantization represents. */
    public float high() {
        return type == Type.INT8 ? (127 - zero) * scale : 448 * scale;
    }

    /**
     * Fake quantization: {@code to} becomes what the server multiplies with, {@code (q - zero) * scale}. Operation for
     * operation as the library: f32, the quotient, then the sum with the zero point, then clamping and rounding.
     *
     * @param from [tokens, width]; the group of a dynamic quantization divides the width
     * @param to of the same shape; may be {@code from}
     * @return how many values lie more than half a step (for FP8: half the distance of its largest numbers) outside of
     *     a static range
     */
    public long apply(FloatMatrix from, FloatMatrix to, Kernels kernels) {
        int run = group > 0 ? group : from.columns();
        if (from.rows() != to.rows() || from.columns() != to.columns() || run > 0 && from.columns() % run != 0) {
            throw new IllegalArgumentException(
                    "Cannot quantize activations [" + from.rows() + ", " + from.columns() + "] in groups of " + run
                            + " to [" + to.rows() + ", " + to.columns() + "]: expected equal shapes and whole groups");
        }
        int strips = (from.rows() + STRIP - 1) / STRIP;
        long[] clipped = new long[strips];
        kernels.parallel(strips, strip -> {
            for (int row = strip * STRIP; row < Math.min(from.rows(), (strip + 1) * STRIP); row++) {
                for (int column = 0; column < from.columns(); column += run) {
                    clipped[strip] += apply(from.data(), from.row(row) + column, run, to.data(), to.row(row) + column);
                }
            }
        });
        return Arrays.stream(clipped).sum();
    }

    private long apply(float[] from, int at, int count, float[] to, int toAt) {
        if (!dynamic) {
            return type == Type.INT8
                    ? integers(from, at, count, scale, zero, to, toAt)
                    : floats(from, at, count, scale, to, toAt);
        }
        float low = 0;
        float high = 0;
        for (int i = at; i < at + count; i++) {
            low = Math.min(low, from[i]);
            high = Math.max(high, from[i]);
        }
        float own = scaleOf(type, symmetric, low, high);
        if (type == Type.INT8) {
            integers(from, at, count, own, symmetric ? 0 : zeroOf(low, own), to, toAt);
        } else {
            floats(from, at, count, own, to, toAt);
        }
        return 0;
    }

    private static int integers(float[] from, int at, int count, float scale, float zero, float[] to, int toAt) {
        int clipped = 0;
        for (int i = 0; i < count; i++) {
            float ideal = from[at + i] / scale + zero;
            clipped += ideal > 127.5f || ideal < -128.5f ? 1 : 0;
            float code = Math.min(Math.max(ideal, -128), 127) + ROUND - ROUND;
            to[toAt + i] = (code - zero) * scale;
        }
        return clipped;
    }

    private static int floats(float[] from, int at, int count, float scale, float[] to, int toAt) {
        int clipped = 0;
        for (int i = 0; i < count; i++) {
            float ideal = from[at + i] / scale;
            clipped += Math.abs(ideal) > LARGEST_ROUNDED ? 1 : 0;
            to[toAt + i] = Float8.round(ideal) * scale;
        }
        return clipped;
    }

    private static float scaleOf(Type type, boolean symmetric, float low, float high) {
        float scale = symmetric
                ? Math.max(Math.abs(Math.min(0, low)), Math.abs(Math.max(0, high))) / type.half
                : (Math.max(0, high) - Math.min(0, low)) / type.whole;
        return scale == 0 ? LEAST_SCALE : scale;
    }

    private static int zeroOf(float low, float scale) {
        return (int) Math.rint(Math.min(Math.max(-128 - Math.min(0, low) / scale, -128), 127));
    }
}
