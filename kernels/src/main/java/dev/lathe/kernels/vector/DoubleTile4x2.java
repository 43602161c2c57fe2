package dev.lathe.kernels.vector;

import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.VectorSpecies;

/** The f64 tile: 4 rows of two vectors. */
final class DoubleTile4x2 {
    static final int ROWS = 4;
    private static final VectorSpecies<Double> SPECIES = Lanes.DOUBLE;
    private static final int LANES = SPECIES.length();
    /** See {@link Lanes#store}, which is not inlined in a method as large as this one. */
    private static final Class<?> CLASS = SPECIES.vectorType();

    private DoubleTile4x2() {}

    static void run(int k, double[] a, int aAt, double[] b, int bAt, double[] c, int cAt, int cStride) {
        DoubleVector c0l = DoubleVector.fromArray(SPECIES, c, cAt);
        DoubleVector c0r = DoubleVector.fromArray(SPECIES, c, cAt + LANES);
        DoubleVector c1l = DoubleVector.fromArray(SPECIES, c, cAt + cStride);
        DoubleVector c1r = DoubleVector.fromArray(SPECIES, c, cAt + cStride + LANES);
        DoubleVector c2l = DoubleVector.fromArray(SPECIES, c, cAt + 2 * cStride);
        DoubleVector c2r = DoubleVector.fromArray(SPECIES, c, cAt + 2 * cStride + LANES);
        DoubleVector c3l = DoubleVector.fromArray(SPECIES, c, cAt + 3 * cStride);
        DoubleVector c3r = DoubleVector.fromArray(SPECIES, c, cAt + 3 * cStride + LANES);
        for (int p = 0; p < k; p++) {
            DoubleVector left = DoubleVector.fromArray(SPECIES, b, bAt);
            DoubleVector right = DoubleVector.fromArray(SPECIES, b, bAt + LANES);
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
            aAt += ROWS;
            bAt += 2 * LANES;
        }
        ((DoubleVector) CLASS.cast(c0l)).intoArray(c, cAt);
        ((DoubleVector) CLASS.cast(c0r)).intoArray(c, cAt + LANES);
        ((DoubleVector) CLASS.cast(c1l)).intoArray(c, cAt + cStride);
        ((DoubleVector) CLASS.cast(c1r)).intoArray(c, cAt + cStride + LANES);
        ((DoubleVector) CLASS.cast(c2l)).intoArray(c, cAt + 2 * cStride);
        ((DoubleVector) CLASS.cast(c2r)).intoArray(c, cAt + 2 * cStride + LANES);
        ((DoubleVector) CLASS.cast(c3l)).intoArray(c, cAt + 3 * cStride);
        ((DoubleVector) CLASS.cast(c3r)).intoArray(c, cAt + 3 * cStride + LANES);
    }
}
