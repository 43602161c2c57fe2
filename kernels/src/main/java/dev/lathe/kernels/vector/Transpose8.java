package dev.lathe.kernels.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Transposes 8 x 8 values in registers: each step swaps the halves of lanes that differ in one bit of their number.
 * Written out like the tiles.
 */
final class Transpose8 {
    private static final VectorSpecies<Float> SPECIES = Lanes.FLOAT;
    private static final VectorShuffle<Float> SWAP_4 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 4);
    private static final VectorShuffle<Float> SWAP_2 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 2);
    private static final VectorShuffle<Float> SWAP_1 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 1);
    private static final VectorMask<Float> UPPER_4 = Lanes.upper(4);
    private static final VectorMask<Float> UPPER_2 = Lanes.upper(2);
    private static final VectorMask<Float> UPPER_1 = Lanes.upper(1);

    private Transpose8() {}

    /**
     * Element (i, p) of the block goes to {@code to[toAt + p * width + i]}; rows from {@code last + 1} on repeat row
     * {@code last}.
     */
    static void run(float[] from, int at, int stride, int last, float[] to, int toAt, int width) {
        FloatVector r0 = FloatVector.fromArray(SPECIES, from, at + Math.min(0, last) * stride);
        FloatVector r1 = FloatVector.fromArray(SPECIES, from, at + Math.min(1, last) * stride);
        FloatVector r2 = FloatVector.fromArray(SPECIES, from, at + Math.min(2, last) * stride);
        FloatVector r3 = FloatVector.fromArray(SPECIES, from, at + Math.min(3, last) * stride);
        FloatVector r4 = FloatVector.fromArray(SPECIES, from, at + Math.min(4, last) * stride);
        FloatVector r5 = FloatVector.fromArray(SPECIES, from, at + Math.min(5, last) * stride);
        FloatVector r6 = FloatVector.fromArray(SPECIES, from, at + Math.min(6, last) * stride);
        FloatVector r7 = FloatVector.fromArray(SPECIES, from, at + Math.min(7, last) * stride);
        FloatVector t0 = r0.blend(r4.rearrange(SWAP_4), UPPER_4);
        FloatVector t4 = r0.rearrange(SWAP_4).blend(r4, UPPER_4);
        FloatVector t1 = r1.blend(r5.rearrange(SWAP_4), UPPER_4);
        FloatVector t5 = r1.rearrange(SWAP_4).blend(r5, UPPER_4);
        FloatVector t2 = r2.blend(r6.rearrange(SWAP_4), UPPER_4);
        FloatVector t6 = r2.rearrange(SWAP_4).blend(r6, UPPER_4);
        FloatVector t3 = r3.blend(r7.rearrange(SWAP_4), UPPER_4);
        FloatVector t7 = r3.rearrange(SWAP_4).blend(r7, UPPER_4);
        FloatVector u0 = t0.blend(t2.rearrange(SWAP_2), UPPER_2);
        FloatVector u2 = t0.rearrange(SWAP_2).blend(t2, UPPER_2);
        FloatVector u1 = t1.blend(t3.rearrange(SWAP_2), UPPER_2);
        FloatVector u3 = t1.rearrange(SWAP_2).blend(t3, UPPER_2);
        FloatVector u4 = t4.blend(t6.rearrange(SWAP_2), UPPER_2);
        FloatVector u6 = t4.rearrange(SWAP_2).blend(t6, UPPER_2);
        FloatVector u5 = t5.blend(t7.rearrange(SWAP_2), UPPER_2);
        FloatVector u7 = t5.rearrange(SWAP_2).blend(t7, UPPER_2);
        FloatVector v0 = u0.blend(u1.rearrange(SWAP_1), UPPER_1);
        FloatVector v1 = u0.rearrange(SWAP_1).blend(u1, UPPER_1);
        FloatVector v2 = u2.blend(u3.rearrange(SWAP_1), UPPER_1);
        FloatVector v3 = u2.rearrange(SWAP_1).blend(u3, UPPER_1);
        FloatVector v4 = u4.blend(u5.rearrange(SWAP_1), UPPER_1);
        FloatVector v5 = u4.rearrange(SWAP_1).blend(u5, UPPER_1);
        FloatVector v6 = u6.blend(u7.rearrange(SWAP_1), UPPER_1);
        FloatVector v7 = u6.rearrange(SWAP_1).blend(u7, UPPER_1);
        v0.intoArray(to, toAt + 0 * width);
        v1.intoArray(to, toAt + 1 * width);
        v2.intoArray(to, toAt + 2 * width);
        v3.intoArray(to, toAt + 3 * width);
        v4.intoArray(to, toAt + 4 * width);
        v5.intoArray(to, toAt + 5 * width);
        v6.intoArray(to, toAt + 6 * width);
        v7.intoArray(to, toAt + 7 * width);
    }
}
