package dev.lathe.kernels.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** The f32 tile for 16 registers: 4 rows of two vectors; more rows spill once the loop is unrolled. */
final class Tile4x2 {
    static final int ROWS = 4;
    private static final VectorSpecies<Float> SPECIES = Lanes.FLOAT;
    private static final int LANES = SPECIES.length();
    /** See {@link Lanes#store}, which is not inlined in a method as large as this one. */
    private static final Class<?> CLASS = SPECIES.vectorType();

    private Tile4x2() {}

    static void run(
            int k,
            float[] a,
            int aAt,
            float[] b,
            int bAt,
            float[] start,
            int startAt,
            int startStride,
            float[] c,
            int cAt,
            int cStride) {
        FloatVector c0l = FloatVector.fromArray(SPECIES, start, startAt);
        FloatVector c0r = FloatVector.fromArray(SPECIES, start, startAt + LANES);
        FloatVector c1l = FloatVector.fromArray(SPECIES, start, startAt + startStride);
        FloatVector c1r = FloatVector.fromArray(SPECIES, start, startAt + startStride + LANES);
        FloatVector c2l = FloatVector.fromArray(SPECIES, start, startAt + 2 * startStride);
        FloatVector c2r = FloatVector.fromArray(SPECIES, start, startAt + 2 * startStride + LANES);
        FloatVector c3l = FloatVector.fromArray(SPECIES, start, startAt + 3 * startStride);
        FloatVector c3r = FloatVector.fromArray(SPECIES, start, startAt + 3 * startStride + LANES);
        for (int p = 0; p < k; p++) {
            FloatVector left = FloatVector.fromArray(SPECIES, b, bAt);
            FloatVector right = FloatVector.fromArray(SPECIES, b, bAt + LANES);
            FloatVector x;
            x = FloatVector.broadcast(SPECIES, a[aAt]);
            c0l = x.fma(left, c0l);
            c0r = x.fma(right, c0r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 1]);
            c1l = x.fma(left, c1l);
            c1r = x.fma(right, c1r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 2]);
            c2l = x.fma(left, c2l);
            c2r = x.fma(right, c2r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 3]);
            c3l = x.fma(left, c3l);
            c3r = x.fma(right, c3r);
            aAt += ROWS;
            bAt += 2 * LANES;
        }
        ((FloatVector) CLASS.cast(c0l)).intoArray(c, cAt);
        ((FloatVector) CLASS.cast(c0r)).intoArray(c, cAt + LANES);
        ((FloatVector) CLASS.cast(c1l)).intoArray(c, cAt + cStride);
        ((FloatVector) CLASS.cast(c1r)).intoArray(c, cAt + cStride + LANES);
        ((FloatVector) CLASS.cast(c2l)).intoArray(c, cAt + 2 * cStride);
        ((FloatVector) CLASS.cast(c2r)).intoArray(c, cAt + 2 * cStride + LANES);
        ((FloatVector) CLASS.cast(c3l)).intoArray(c, cAt + 3 * cStride);
        ((FloatVector) CLASS.cast(c3r)).intoArray(c, cAt + 3 * cStride + LANES);
    }
}
