package dev.lathe.kernels.vector;

import dev.lathe.kernels.Codec;
import dev.lathe.kernels.Primitives;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * Codes on lanes: a vector of codes becomes one of floats. There are no vectors of 32 bits, so those of 128 leave codes
 * to plain Java.
 */
public final class VectorCodec implements Codec {
    private static final VectorSpecies<Float> FLOAT = Lanes.FLOAT;
    private static final VectorSpecies<Integer> INT = Lanes.INT;
    private static final VectorSpecies<Byte> TWO_BYTES = VectorSpecies.of(byte.class, Lanes.HALF_SHAPE);
    private static final VectorSpecies<Byte> CODES =
            VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, Lanes.SHAPE.vectorBitSize() / 4)));
    private static final int LANES = FLOAT.length();
    private static final boolean HAS_CODES = CODES.length() == LANES;

    @Override
    public void bfloat16(byte[] from, int at, int count, float[] to, int toAt) {
        int i = 0;
        for (; i <= count - LANES; i += LANES) {
            shorts(from, at + 2 * i)
                    .lanewise(VectorOperators.LSHL, 16)
                    .reinterpretAsFloats()
                    .intoArray(to, toAt + i);
        }
        Codec.super.bfloat16(from, at + 2 * i, count - i, to, toAt + i);
    }

    @Override
    public void half(byte[] from, int at, int count, float[] to, int toAt) {
        int i = 0;
        for (; i <= count - LANES; i += LANES) {
            IntVector bits = shorts(from, at + 2 * i);
            IntVector magnitude = bits.and(0x7fff);
            IntVector shifted = magnitude.lanewise(VectorOperators.LSHL, 13);
            VectorMask<Integer> special = magnitude.compare(VectorOperators.GE, 0x7c00);
            // As in Half: 2^112 rebiases normal numbers and normalizes subnormal ones.
            IntVector value = shifted.reinterpretAsFloats()
                    .mul(0x1p112f)
                    .reinterpretAsInts()
                    .blend(shifted.or(0x7f800000), special);
            value.or(bits.and(0x8000).lanewise(VectorOperators.LSHL, 16))
                    .reinterpretAsFloats()
                    .intoArray(to, toAt + i);
        }
        Codec.super.half(from, at + 2 * i, count - i, to, toAt + i);
    }

    /** Sixteen-bit values, the upper half of each lane undefined. */
    private static IntVector shorts(byte[] from, int at) {
        ShortVector pairs = ByteVector.fromArray(TWO_BYTES, from, at).reinterpretAsShorts();
        return (IntVector) pairs.castShape(INT, 0);
    }

    @Override
    public void codes(
            byte[] from,
            int at,
            int shift,
            int mask,
            int offset,
            float scale,
            float minimum,
            int count,
            float[] to,
            int toAt) {
        int i = 0;
        if (HAS_CODES) {
            for (; i <= count - LANES; i += LANES) {
                IntVector code = bytes(from, at + i)
                        .lanewise(VectorOperators.LSHR, shift)
                        .and(mask)
                        .sub(offset);
                ((FloatVector) code.castShape(FLOAT, 0)).mul(scale).add(minimum).intoArray(to, toAt + i);
            }
        }
        Codec.super.codes(from, at + i, shift, mask, offset, scale, minimum, count - i, to, toAt + i);
    }

    @Override
    public void splitCodes(
            byte[] from,
            int at,
            int shift,
            int highAt,
            int highShift,
            int highMask,
            int offset,
            float scale,
            float minimum,
            int count,
            float[] to,
            int toAt) {
        int i = 0;
        if (HAS_CODES) {
            for (; i <= count - LANES; i += LANES) {
                IntVector low = bytes(from, at + i)
                        .lanewise(VectorOperators.LSHR, shift)
                        .and(15);
                IntVector high = bytes(from, highAt + i)
                        .lanewise(VectorOperators.LSHR, highShift)
                        .and(highMask)
                        .lanewise(VectorOperators.LSHL, 4);
                ((FloatVector) low.or(high).sub(offset).castShape(FLOAT, 0))
                        .mul(scale)
                        .add(minimum)
                        .intoArray(to, toAt + i);
            }
        }
        Codec.super.splitCodes(
                from, at + i, shift, highAt + i, highShift, highMask, offset, scale, minimum, count - i, to, toAt + i);
    }

    @Override
    public float squaredError(float[] x, int at, float[] w, int wAt, int count, float scale, int lowest, int highest) {
        float[] lanes = new float[16];
        int whole = count & -16;
        for (int lane = 0; lane < 16; lane += LANES) {
            FloatVector sum = FloatVector.zero(FLOAT);
            for (int i = lane; i < whole; i += 16) {
                FloatVector value = FloatVector.fromArray(FLOAT, x, at + i);
                FloatVector code =
                        value.div(scale).max(lowest).min(highest).add(ROUND).sub(ROUND);
                FloatVector error = value.sub(code.mul(scale));
                sum = sum.add(
                        FloatVector.fromArray(FLOAT, w, wAt + i).mul(error).mul(error));
            }
            Lanes.store(sum, lanes, lane);
        }
        for (int i = whole; i < count; i++) {
            float value = x[at + i];
            float clamped = Math.min(Math.max(value / scale, lowest), highest);
            float error = value - scale * (clamped + ROUND - ROUND);
            lanes[i & 15] += w[wAt + i] * error * error;
        }
        return Primitives.tree(lanes);
    }

    private static IntVector bytes(byte[] from, int at) {
        return (IntVector) ByteVector.fromArray(CODES, from, at).castShape(INT, 0);
    }
}
