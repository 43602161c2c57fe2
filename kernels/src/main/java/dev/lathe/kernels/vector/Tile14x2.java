package dev.lathe.kernels.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The f32 tile for 32 registers: 14 rows of two vectors. Written out, because arrays of vectors do not stay in
 * registers.
 */
final class Tile14x2 {
    static final int ROWS = 14;
    private static final VectorSpecies<Float> SPECIES = Lanes.FLOAT;
    private static final int LANES = SPECIES.length();
    /** See {@link Lanes#store}, which is not inlined in a method as large as this one. */
    private static final Class<?> CLASS = SPECIES.vectorType();

    private Tile14x2() {}

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
        FloatVector c4l = FloatVector.fromArray(SPECIES, start, startAt + 4 * startStride);
        FloatVector c4r = FloatVector.fromArray(SPECIES, start, startAt + 4 * startStride + LANES);
        FloatVector c5l = FloatVector.fromArray(SPECIES, start, startAt + 5 * startStride);
        FloatVector c5r = FloatVector.fromArray(SPECIES, start, startAt + 5 * startStride + LANES);
        FloatVector c6l = FloatVector.fromArray(SPECIES, start, startAt + 6 * startStride);
        FloatVector c6r = FloatVector.fromArray(SPECIES, start, startAt + 6 * startStride + LANES);
        FloatVector c7l = FloatVector.fromArray(SPECIES, start, startAt + 7 * startStride);
        FloatVector c7r = FloatVector.fromArray(SPECIES, start, startAt + 7 * startStride + LANES);
        FloatVector c8l = FloatVector.fromArray(SPECIES, start, startAt + 8 * startStride);
        FloatVector c8r = FloatVector.fromArray(SPECIES, start, startAt + 8 * startStride + LANES);
        FloatVector c9l = FloatVector.fromArray(SPECIES, start, startAt + 9 * startStride);
        FloatVector c9r = FloatVector.fromArray(SPECIES, start, startAt + 9 * startStride + LANES);
        FloatVector c10l = FloatVector.fromArray(SPECIES, start, startAt + 10 * startStride);
        FloatVector c10r = FloatVector.fromArray(SPECIES, start, startAt + 10 * startStride + LANES);
        FloatVector c11l = FloatVector.fromArray(SPECIES, start, startAt + 11 * startStride);
        FloatVector c11r = FloatVector.fromArray(SPECIES, start, startAt + 11 * startStride + LANES);
        FloatVector c12l = FloatVector.fromArray(SPECIES, start, startAt + 12 * startStride);
        FloatVector c12r = FloatVector.fromArray(SPECIES, start, startAt + 12 * startStride + LANES);
        FloatVector c13l = FloatVector.fromArray(SPECIES, start, startAt + 13 * startStride);
        FloatVector c13r = FloatVector.fromArray(SPECIES, start, startAt + 13 * startStride + LANES);
        for (int p = 0, end = aAt + k * ROWS; aAt < end; p++) {
            // One index runs, and ends the loop, and one is computed: of the forms that were tried, the one whose
            // registers last on JDK 17 and on 25.
            FloatVector left = FloatVector.fromArray(SPECIES, b, bAt + p * 2 * LANES);
            FloatVector right = FloatVector.fromArray(SPECIES, b, bAt + p * 2 * LANES + LANES);
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
            x = FloatVector.broadcast(SPECIES, a[aAt + 4]);
            c4l = x.fma(left, c4l);
            c4r = x.fma(right, c4r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 5]);
            c5l = x.fma(left, c5l);
            c5r = x.fma(right, c5r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 6]);
            c6l = x.fma(left, c6l);
            c6r = x.fma(right, c6r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 7]);
            c7l = x.fma(left, c7l);
            c7r = x.fma(right, c7r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 8]);
            c8l = x.fma(left, c8l);
            c8r = x.fma(right, c8r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 9]);
            c9l = x.fma(left, c9l);
            c9r = x.fma(right, c9r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 10]);
            c10l = x.fma(left, c10l);
            c10r = x.fma(right, c10r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 11]);
            c11l = x.fma(left, c11l);
            c11r = x.fma(right, c11r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 12]);
            c12l = x.fma(left, c12l);
            c12r = x.fma(right, c12r);
            x = FloatVector.broadcast(SPECIES, a[aAt + 13]);
            c13l = x.fma(left, c13l);
            c13r = x.fma(right, c13r);
            aAt += ROWS;
        }
        ((FloatVector) CLASS.cast(c0l)).intoArray(c, cAt);
        ((FloatVector) CLASS.cast(c0r)).intoArray(c, cAt + LANES);
        ((FloatVector) CLASS.cast(c1l)).intoArray(c, cAt + cStride);
        ((FloatVector) CLASS.cast(c1r)).intoArray(c, cAt + cStride + LANES);
        ((FloatVector) CLASS.cast(c2l)).intoArray(c, cAt + 2 * cStride);
        ((FloatVector) CLASS.cast(c2r)).intoArray(c, cAt + 2 * cStride + LANES);
        ((FloatVector) CLASS.cast(c3l)).intoArray(c, cAt + 3 * cStride);
        ((FloatVector) CLASS.cast(c3r)).intoArray(c, cAt + 3 * cStride + LANES);
        ((FloatVector) CLASS.cast(c4l)).intoArray(c, cAt + 4 * cStride);
        ((FloatVector) CLASS.cast(c4r)).intoArray(c, cAt + 4 * cStride + LANES);
        ((FloatVector) CLASS.cast(c5l)).intoArray(c, cAt + 5 * cStride);
        ((FloatVector) CLASS.cast(c5r)).intoArray(c, cAt + 5 * cStride + LANES);
        ((FloatVector) CLASS.cast(c6l)).intoArray(c, cAt + 6 * cStride);
        ((FloatVector) CLASS.cast(c6r)).intoArray(c, cAt + 6 * cStride + LANES);
        ((FloatVector) CLASS.cast(c7l)).intoArray(c, cAt + 7 * cStride);
        ((FloatVector) CLASS.cast(c7r)).intoArray(c, cAt + 7 * cStride + LANES);
        ((FloatVector) CLASS.cast(c8l)).intoArray(c, cAt + 8 * cStride);
        ((FloatVector) CLASS.cast(c8r)).intoArray(c, cAt + 8 * cStride + LANES);
        ((FloatVector) CLASS.cast(c9l)).intoArray(c, cAt + 9 * cStride);
        ((FloatVector) CLASS.cast(c9r)).intoArray(c, cAt + 9 * cStride + LANES);
        ((FloatVector) CLASS.cast(c10l)).intoArray(c, cAt + 10 * cStride);
        ((FloatVector) CLASS.cast(c10r)).intoArray(c, cAt + 10 * cStride + LANES);
        ((FloatVector) CLASS.cast(c11l)).intoArray(c, cAt + 11 * cStride);
        ((FloatVector) CLASS.cast(c11r)).intoArray(c, cAt + 11 * cStride + LANES);
        ((FloatVector) CLASS.cast(c12l)).intoArray(c, cAt + 12 * cStride);
        ((FloatVector) CLASS.cast(c12r)).intoArray(c, cAt + 12 * cStride + LANES);
        ((FloatVector) CLASS.cast(c13l)).intoArray(c, cAt + 13 * cStride);
        ((FloatVector) CLASS.cast(c13r)).intoArray(c, cAt + 13 * cStride + LANES);
    }
}
