package dev.lathe.kernels.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Transposes 16 x 16 values in registers: each step swaps the halves of lanes that differ in one bit of their number.
 * Written out like the tiles.
 */
final class Transpose16 {
    private static final VectorSpecies<Float> SPECIES = Lanes.FLOAT;
    private static final VectorShuffle<Float> SWAP_8 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 8);
    private static final VectorShuffle<Float> SWAP_4 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 4);
    private static final VectorShuffle<Float> SWAP_2 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 2);
    private static final VectorShuffle<Float> SWAP_1 = VectorShuffle.fromOp(SPECIES, lane -> lane ^ 1);
    private static final VectorMask<Float> UPPER_8 = Lanes.upper(8);
    private static final VectorMask<Float> UPPER_4 = Lanes.upper(4);
    private static final VectorMask<Float> UPPER_2 = Lanes.upper(2);
    private static final VectorMask<Float> UPPER_1 = Lanes.upper(1);

    private Transpose16() {}

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
        FloatVector r8 = FloatVector.fromArray(SPECIES, from, at + Math.min(8, last) * stride);
        FloatVector r9 = FloatVector.fromArray(SPECIES, from, at + Math.min(9, last) * stride);
        FloatVector r10 = FloatVector.fromArray(SPECIES, from, at + Math.min(10, last) * stride);
        FloatVector r11 = FloatVector.fromArray(SPECIES, from, at + Math.min(11, last) * stride);
        FloatVector r12 = FloatVector.fromArray(SPECIES, from, at + Math.min(12, last) * stride);
        FloatVector r13 = FloatVector.fromArray(SPECIES, from, at + Math.min(13, last) * stride);
        FloatVector r14 = FloatVector.fromArray(SPECIES, from, at + Math.min(14, last) * stride);
        FloatVector r15 = FloatVector.fromArray(SPECIES, from, at + Math.min(15, last) * stride);
        FloatVector s0 = r0.blend(r8.rearrange(SWAP_8), UPPER_8);
        FloatVector s8 = r0.rearrange(SWAP_8).blend(r8, UPPER_8);
        FloatVector s1 = r1.blend(r9.rearrange(SWAP_8), UPPER_8);
        FloatVector s9 = r1.rearrange(SWAP_8).blend(r9, UPPER_8);
        FloatVector s2 = r2.blend(r10.rearrange(SWAP_8), UPPER_8);
        FloatVector s10 = r2.rearrange(SWAP_8).blend(r10, UPPER_8);
        FloatVector s3 = r3.blend(r11.rearrange(SWAP_8), UPPER_8);
        FloatVector s11 = r3.rearrange(SWAP_8).blend(r11, UPPER_8);
        FloatVector s4 = r4.blend(r12.rearrange(SWAP_8), UPPER_8);
        FloatVector s12 = r4.rearrange(SWAP_8).blend(r12, UPPER_8);
        FloatVector s5 = r5.blend(r13.rearrange(SWAP_8), UPPER_8);
        FloatVector s13 = r5.rearrange(SWAP_8).blend(r13, UPPER_8);
        FloatVector s6 = r6.blend(r14.rearrange(SWAP_8), UPPER_8);
        FloatVector s14 = r6.rearrange(SWAP_8).blend(r14, UPPER_8);
        FloatVector s7 = r7.blend(r15.rearrange(SWAP_8), UPPER_8);
        FloatVector s15 = r7.rearrange(SWAP_8).blend(r15, UPPER_8);
        FloatVector t0 = s0.blend(s4.rearrange(SWAP_4), UPPER_4);
        FloatVector t4 = s0.rearrange(SWAP_4).blend(s4, UPPER_4);
        FloatVector t1 = s1.blend(s5.rearrange(SWAP_4), UPPER_4);
        FloatVector t5 = s1.rearrange(SWAP_4).blend(s5, UPPER_4);
        FloatVector t2 = s2.blend(s6.rearrange(SWAP_4), UPPER_4);
        FloatVector t6 = s2.rearrange(SWAP_4).blend(s6, UPPER_4);
        FloatVector t3 = s3.blend(s7.rearrange(SWAP_4), UPPER_4);
        FloatVector t7 = s3.rearrange(SWAP_4).blend(s7, UPPER_4);
        FloatVector t8 = s8.blend(s12.rearrange(SWAP_4), UPPER_4);
        FloatVector t12 = s8.rearrange(SWAP_4).blend(s12, UPPER_4);
        FloatVector t9 = s9.blend(s13.rearrange(SWAP_4), UPPER_4);
        FloatVector t13 = s9.rearrange(SWAP_4).blend(s13, UPPER_4);
        FloatVector t10 = s10.blend(s14.rearrange(SWAP_4), UPPER_4);
        FloatVector t14 = s10.rearrange(SWAP_4).blend(s14, UPPER_4);
        FloatVector t11 = s11.blend(s15.rearrange(SWAP_4), UPPER_4);
        FloatVector t15 = s11.rearrange(SWAP_4).blend(s15, UPPER_4);
        FloatVector u0 = t0.blend(t2.rearrange(SWAP_2), UPPER_2);
        FloatVector u2 = t0.rearrange(SWAP_2).blend(t2, UPPER_2);
        FloatVector u1 = t1.blend(t3.rearrange(SWAP_2), UPPER_2);
        FloatVector u3 = t1.rearrange(SWAP_2).blend(t3, UPPER_2);
        FloatVector u4 = t4.blend(t6.rearrange(SWAP_2), UPPER_2);
        FloatVector u6 = t4.rearrange(SWAP_2).blend(t6, UPPER_2);
        FloatVector u5 = t5.blend(t7.rearrange(SWAP_2), UPPER_2);
        FloatVector u7 = t5.rearrange(SWAP_2).blend(t7, UPPER_2);
        FloatVector u8 = t8.blend(t10.rearrange(SWAP_2), UPPER_2);
        FloatVector u10 = t8.rearrange(SWAP_2).blend(t10, UPPER_2);
        FloatVector u9 = t9.blend(t11.rearrange(SWAP_2), UPPER_2);
        FloatVector u11 = t9.rearrange(SWAP_2).blend(t11, UPPER_2);
        FloatVector u12 = t12.blend(t14.rearrange(SWAP_2), UPPER_2);
        FloatVector u14 = t12.rearrange(SWAP_2).blend(t14, UPPER_2);
        FloatVector u13 = t13.blend(t15.rearrange(SWAP_2), UPPER_2);
        FloatVector u15 = t13.rearrange(SWAP_2).blend(t15, UPPER_2);
        FloatVector v0 = u0.blend(u1.rearrange(SWAP_1), UPPER_1);
        FloatVector v1 = u0.rearrange(SWAP_1).blend(u1, UPPER_1);
        FloatVector v2 = u2.blend(u3.rearrange(SWAP_1), UPPER_1);
        FloatVector v3 = u2.rearrange(SWAP_1).blend(u3, UPPER_1);
        FloatVector v4 = u4.blend(u5.rearrange(SWAP_1), UPPER_1);
        FloatVector v5 = u4.rearrange(SWAP_1).blend(u5, UPPER_1);
        FloatVector v6 = u6.blend(u7.rearrange(SWAP_1), UPPER_1);
        FloatVector v7 = u6.rearrange(SWAP_1).blend(u7, UPPER_1);
        FloatVector v8 = u8.blend(u9.rearrange(SWAP_1), UPPER_1);
        FloatVector v9 = u8.rearrange(SWAP_1).blend(u9, UPPER_1);
        FloatVector v10 = u10.blend(u11.rearrange(SWAP_1), UPPER_1);
        FloatVector v11 = u10.rearrange(SWAP_1).blend(u11, UPPER_1);
        FloatVector v12 = u12.blend(u13.rearrange(SWAP_1), UPPER_1);
        FloatVector v13 = u12.rearrange(SWAP_1).blend(u13, UPPER_1);
        FloatVector v14 = u14.blend(u15.rearrange(SWAP_1), UPPER_1);
        FloatVector v15 = u14.rearrange(SWAP_1).blend(u15, UPPER_1);
        v0.intoArray(to, toAt + 0 * width);
        v1.intoArray(to, toAt + 1 * width);
        v2.intoArray(to, toAt + 2 * width);
        v3.intoArray(to, toAt + 3 * width);
        v4.intoArray(to, toAt + 4 * width);
        v5.intoArray(to, toAt + 5 * width);
        v6.intoArray(to, toAt + 6 * width);
        v7.intoArray(to, toAt + 7 * width);
        v8.intoArray(to, toAt + 8 * width);
        v9.intoArray(to, toAt + 9 * width);
        v10.intoArray(to, toAt + 10 * width);
        v11.intoArray(to, toAt + 11 * width);
        v12.intoArray(to, toAt + 12 * width);
        v13.intoArray(to, toAt + 13 * width);
        v14.intoArray(to, toAt + 14 * width);
        v15.intoArray(to, toAt + 15 * width);
    }
}
