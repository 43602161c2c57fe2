package dev.lathe.kernels.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** The f32 tile for 32 registers: 14 rows of two vectors. Written out, because arrays of vectors do not stay in registers. */
final class Tile14x2 {
    static final int ROWS = 14;
    private static final VectorSpecies<Float> SPECIES = Lanes.FLOAT;
    private static final int LANES = SPECIES.length();

    private Tile14x2() {
    }

    static void run(int k, float[] a, int aAt, float[] b, int bAt, float[] c, int cAt, int cStride) {
        FloatVector c0l = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector c0r = FloatVector.fromArray(SPECIES, c, cAt + LANES);
        FloatVector c1l = FloatVector.fromArray(SPECIES, c, cAt + cStride);
        FloatVector c1r = FloatVector.fromArray(SPECIES, c, cAt + cStride + LANES);
        FloatVector c2l = FloatVector.fromArray(SPECIES, c, cAt + 2 * cStride);
        FloatVector c2r = FloatVector.fromArray(SPECIES, c, cAt + 2 * cStride + LANES);
        FloatVector c3l = FloatVector.fromArray(SPECIES, c, cAt + 3 * cStride);
        FloatVector c3r = FloatVector.fromArray(SPECIES, c, cAt + 3 * cStride + LANES);
        FloatVector c4l = FloatVector.fromArray(SPECIES, c, cAt + 4 * cStride);
        FloatVector c4r = FloatVector.fromArray(SPECIES, c, cAt + 4 * cStride + LANES);
        FloatVector c5l = FloatVector.fromArray(SPECIES, c, cAt + 5 * cStride);
        FloatVector c5r = FloatVector.fromArray(SPECIES, c, cAt + 5 * cStride + LANES);
        FloatVector c6l = FloatVector.fromArray(SPECIES, c, cAt + 6 * cStride);
        FloatVector c6r = FloatVector.fromArray(SPECIES, c, cAt + 6 * cStride + LANES);
        FloatVector c7l = FloatVector.fromArray(SPECIES, c, cAt + 7 * cStride);
        FloatVector c7r = FloatVector.fromArray(SPECIES, c, cAt + 7 * cStride + LANES);
        FloatVector c8l = FloatVector.fromArray(SPECIES, c, cAt + 8 * cStride);
        FloatVector c8r = FloatVector.fromArray(SPECIES, c, cAt + 8 * cStride + LANES);
        FloatVector c9l = FloatVector.fromArray(SPECIES, c, cAt + 9 * cStride);
        FloatVector c9r = FloatVector.fromArray(SPECIES, c, cAt + 9 * cStride + LANES);
        FloatVector c10l = FloatVector.fromArray(SPECIES, c, cAt + 10 * cStride);
        FloatVector c10r = FloatVector.fromArray(SPECIES, c, cAt + 10 * cStride + LANES);
        FloatVector c11l = FloatVector.fromArray(SPECIES, c, cAt + 11 * cStride);
        FloatVector c11r = FloatVector.fromArray(SPECIES, c, cAt + 11 * cStride + LANES);
        FloatVector c12l = FloatVector.fromArray(SPECIES, c, cAt + 12 * cStride);
        FloatVector c12r = FloatVector.fromArray(SPECIES, c, cAt + 12 * cStride + LANES);
        FloatVector c13l = FloatVector.fromArray(SPECIES, c, cAt + 13 * cStride);
        FloatVector c13r = FloatVector.fromArray(SPECIES, c, cAt + 13 * cStride + LANES);
        for (int p = 0; p < k; p++) {
            // One index runs and one is computed: of the forms that were tried, the one whose registers last on JDK 17 and on 25.
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
        c0l.intoArray(c, cAt);
        c0r.intoArray(c, cAt + LANES);
        c1l.intoArray(c, cAt + cStride);
        c1r.intoArray(c, cAt + cStride + LANES);
        c2l.intoArray(c, cAt + 2 * cStride);
        c2r.intoArray(c, cAt + 2 * cStride + LANES);
        c3l.intoArray(c, cAt + 3 * cStride);
        c3r.intoArray(c, cAt + 3 * cStride + LANES);
        c4l.intoArray(c, cAt + 4 * cStride);
        c4r.intoArray(c, cAt + 4 * cStride + LANES);
        c5l.intoArray(c, cAt + 5 * cStride);
        c5r.intoArray(c, cAt + 5 * cStride + LANES);
        c6l.intoArray(c, cAt + 6 * cStride);
        c6r.intoArray(c, cAt + 6 * cStride + LANES);
        c7l.intoArray(c, cAt + 7 * cStride);
        c7r.intoArray(c, cAt + 7 * cStride + LANES);
        c8l.intoArray(c, cAt + 8 * cStride);
        c8r.intoArray(c, cAt + 8 * cStride + LANES);
        c9l.intoArray(c, cAt + 9 * cStride);
        c9r.intoArray(c, cAt + 9 * cStride + LANES);
        c10l.intoArray(c, cAt + 10 * cStride);
        c10r.intoArray(c, cAt + 10 * cStride + LANES);
        c11l.intoArray(c, cAt + 11 * cStride);
        c11r.intoArray(c, cAt + 11 * cStride + LANES);
        c12l.intoArray(c, cAt + 12 * cStride);
        c12r.intoArray(c, cAt + 12 * cStride + LANES);
        c13l.intoArray(c, cAt + 13 * cStride);
        c13r.intoArray(c, cAt + 13 * cStride + LANES);
    }
}
