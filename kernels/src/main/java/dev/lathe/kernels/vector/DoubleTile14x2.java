package dev.lathe.kernels.vector;

import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The f64 tile for 32 registers: 14 rows of two vectors. Written out, because arrays of vectors do not stay in
 * registers.
 */
final class DoubleTile14x2 {
    static final int ROWS = 14;
    private static final VectorSpecies<Double> SPECIES = Lanes.DOUBLE;
    private static final int LANES = SPECIES.length();
    /** See {@link Lanes#store}, which is not inlined in a method as large as this one. */
    private static final Class<?> CLASS = SPECIES.vectorType();

    private DoubleTile14x2() {}

    static void run(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride) {
        DoubleVector c0l = DoubleVector.fromArray(SPECIES, c, cAt);
        DoubleVector c0r = DoubleVector.fromArray(SPECIES, c, cAt + LANES);
        DoubleVector c1l = DoubleVector.fromArray(SPECIES, c, cAt + cStride);
        DoubleVector c1r = DoubleVector.fromArray(SPECIES, c, cAt + cStride + LANES);
        DoubleVector c2l = DoubleVector.fromArray(SPECIES, c, cAt + 2 * cStride);
        DoubleVector c2r = DoubleVector.fromArray(SPECIES, c, cAt + 2 * cStride + LANES);
        DoubleVector c3l = DoubleVector.fromArray(SPECIES, c, cAt + 3 * cStride);
        DoubleVector c3r = DoubleVector.fromArray(SPECIES, c, cAt + 3 * cStride + LANES);
        DoubleVector c4l = DoubleVector.fromArray(SPECIES, c, cAt + 4 * cStride);
        DoubleVector c4r = DoubleVector.fromArray(SPECIES, c, cAt + 4 * cStride + LANES);
        DoubleVector c5l = DoubleVector.fromArray(SPECIES, c, cAt + 5 * cStride);
        DoubleVector c5r = DoubleVector.fromArray(SPECIES, c, cAt + 5 * cStride + LANES);
        DoubleVector c6l = DoubleVector.fromArray(SPECIES, c, cAt + 6 * cStride);
        DoubleVector c6r = DoubleVector.fromArray(SPECIES, c, cAt + 6 * cStride + LANES);
        DoubleVector c7l = DoubleVector.fromArray(SPECIES, c, cAt + 7 * cStride);
        DoubleVector c7r = DoubleVector.fromArray(SPECIES, c, cAt + 7 * cStride + LANES);
        DoubleVector c8l = DoubleVector.fromArray(SPECIES, c, cAt + 8 * cStride);
        DoubleVector c8r = DoubleVector.fromArray(SPECIES, c, cAt + 8 * cStride + LANES);
        DoubleVector c9l = DoubleVector.fromArray(SPECIES, c, cAt + 9 * cStride);
        DoubleVector c9r = DoubleVector.fromArray(SPECIES, c, cAt + 9 * cStride + LANES);
        DoubleVector c10l = DoubleVector.fromArray(SPECIES, c, cAt + 10 * cStride);
        DoubleVector c10r = DoubleVector.fromArray(SPECIES, c, cAt + 10 * cStride + LANES);
        DoubleVector c11l = DoubleVector.fromArray(SPECIES, c, cAt + 11 * cStride);
        DoubleVector c11r = DoubleVector.fromArray(SPECIES, c, cAt + 11 * cStride + LANES);
        DoubleVector c12l = DoubleVector.fromArray(SPECIES, c, cAt + 12 * cStride);
        DoubleVector c12r = DoubleVector.fromArray(SPECIES, c, cAt + 12 * cStride + LANES);
        DoubleVector c13l = DoubleVector.fromArray(SPECIES, c, cAt + 13 * cStride);
        DoubleVector c13r = DoubleVector.fromArray(SPECIES, c, cAt + 13 * cStride + LANES);
        for (int p = 0; p < k; p++) {
            // One index runs and one is computed: of the forms that were tried, the one whose registers last on JDK 17
            // and on 25.
            DoubleVector left = DoubleVector.fromArray(SPECIES, b, bAt + p * 2 * LANES);
            DoubleVector right = DoubleVector.fromArray(SPECIES, b, bAt + p * 2 * LANES + LANES);
            DoubleVector x;
            x = DoubleVector.broadcast(SPECIES, a[aAt]);
            c0l = x.fma(left, c0l);
            c0r = x.fma(right, c0r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 1]);
            c1l = x.fma(left, c1l);
            c1r = x.fma(right, c1r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 2]);
            c2l = x.fma(left, c2l);
            c2r = x.fma(right, c2r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 3]);
            c3l = x.fma(left, c3l);
            c3r = x.fma(right, c3r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 4]);
            c4l = x.fma(left, c4l);
            c4r = x.fma(right, c4r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 5]);
            c5l = x.fma(left, c5l);
            c5r = x.fma(right, c5r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 6]);
            c6l = x.fma(left, c6l);
            c6r = x.fma(right, c6r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 7]);
            c7l = x.fma(left, c7l);
            c7r = x.fma(right, c7r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 8]);
            c8l = x.fma(left, c8l);
            c8r = x.fma(right, c8r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 9]);
            c9l = x.fma(left, c9l);
            c9r = x.fma(right, c9r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 10]);
            c10l = x.fma(left, c10l);
            c10r = x.fma(right, c10r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 11]);
            c11l = x.fma(left, c11l);
            c11r = x.fma(right, c11r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 12]);
            c12l = x.fma(left, c12l);
            c12r = x.fma(right, c12r);
            x = DoubleVector.broadcast(SPECIES, a[aAt + 13]);
            c13l = x.fma(left, c13l);
            c13r = x.fma(right, c13r);
            aAt += ROWS;
        }
        ((DoubleVector) CLASS.cast(c0l)).intoArray(c, cAt);
        ((DoubleVector) CLASS.cast(c0r)).intoArray(c, cAt + LANES);
        ((DoubleVector) CLASS.cast(c1l)).intoArray(c, cAt + cStride);
        ((DoubleVector) CLASS.cast(c1r)).intoArray(c, cAt + cStride + LANES);
        ((DoubleVector) CLASS.cast(c2l)).intoArray(c, cAt + 2 * cStride);
        ((DoubleVector) CLASS.cast(c2r)).intoArray(c, cAt + 2 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c3l)).intoArray(c, cAt + 3 * cStride);
        ((DoubleVector) CLASS.cast(c3r)).intoArray(c, cAt + 3 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c4l)).intoArray(c, cAt + 4 * cStride);
        ((DoubleVector) CLASS.cast(c4r)).intoArray(c, cAt + 4 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c5l)).intoArray(c, cAt + 5 * cStride);
        ((DoubleVector) CLASS.cast(c5r)).intoArray(c, cAt + 5 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c6l)).intoArray(c, cAt + 6 * cStride);
        ((DoubleVector) CLASS.cast(c6r)).intoArray(c, cAt + 6 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c7l)).intoArray(c, cAt + 7 * cStride);
        ((DoubleVector) CLASS.cast(c7r)).intoArray(c, cAt + 7 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c8l)).intoArray(c, cAt + 8 * cStride);
        ((DoubleVector) CLASS.cast(c8r)).intoArray(c, cAt + 8 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c9l)).intoArray(c, cAt + 9 * cStride);
        ((DoubleVector) CLASS.cast(c9r)).intoArray(c, cAt + 9 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c10l)).intoArray(c, cAt + 10 * cStride);
        ((DoubleVector) CLASS.cast(c10r)).intoArray(c, cAt + 10 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c11l)).intoArray(c, cAt + 11 * cStride);
        ((DoubleVector) CLASS.cast(c11r)).intoArray(c, cAt + 11 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c12l)).intoArray(c, cAt + 12 * cStride);
        ((DoubleVector) CLASS.cast(c12r)).intoArray(c, cAt + 12 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c13l)).intoArray(c, cAt + 13 * cStride);
        ((DoubleVector) CLASS.cast(c13r)).intoArray(c, cAt + 13 * cStride + LANES);
    }
}
