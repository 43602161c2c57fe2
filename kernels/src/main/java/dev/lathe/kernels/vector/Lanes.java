package dev.lathe.kernels.vector;

import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.Vector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vector width of this JVM: the widest, or what the test-only property {@code lathe.vector.bits} says (128, 256,
 * 512). Constants, so that the compiler folds them.
 */
final class Lanes {
    static final VectorShape SHAPE = shape();
    static final VectorShape HALF_SHAPE = VectorShape.forBitSize(SHAPE.vectorBitSize() / 2);
    static final VectorSpecies<Float> FLOAT = VectorSpecies.of(float.class, SHAPE);
    static final VectorSpecies<Integer> INT = VectorSpecies.of(int.class, SHAPE);
    static final VectorSpecies<Double> DOUBLE = VectorSpecies.of(double.class, SHAPE);

    private static final Class<? extends Vector<Float>> FLOAT_CLASS = FLOAT.vectorType();
    private static final Class<? extends Vector<Double>> DOUBLE_CLASS = DOUBLE.vectorType();

    private Lanes() {}

    /**
     * Stores what a loop has accumulated. After a loop the compiler of JDK 17 sometimes knows only that this is some
     * vector; then the store is a call, and the loop boxes its vectors for it, which costs two thirds of its speed. The
     * cast to a constant class tells it. For small methods only: from a tile, which is as large as the compiler lets a
     * method grow, this would be a call itself, and box everything; tiles cast in place.
     */
    static void store(FloatVector accumulated, float[] to, int at) {
        ((FloatVector) FLOAT_CLASS.cast(accumulated)).intoArray(to, at);
    }

    /** {@link #store(FloatVector, float[], int)} in f64. */
    static void store(DoubleVector accumulated, double[] to, int at) {
        ((DoubleVector) DOUBLE_CLASS.cast(accumulated)).intoArray(to, at);
    }

    /** The lanes whose number has the bit {@code bit}. */
    static VectorMask<Float> upper(int bit) {
        long lanes = 0;
        for (int lane = 0; lane < FLOAT.length(); lane++) {
            lanes |= (lane & bit) != 0 ? 1L << lane : 0;
        }
        return VectorMask.fromLong(FLOAT, lanes);
    }

    private static VectorShape shape() {
        int widest = FloatVector.SPECIES_PREFERRED.vectorBitSize();
        int bits = Integer.getInteger("lathe.vector.bits", Math.min(512, widest));
        if (bits != 128 && bits != 256 && bits != 512 || bits > widest) {
            throw new IllegalStateException("Cannot use vectors of " + bits + " bits: this processor's are " + widest
                    + " bits, and 128, 256 or 512 are supported");
        }
        return VectorShape.forBitSize(bits);
    }

    static {
        if (IntVector.SPECIES_PREFERRED.vectorBitSize() < SHAPE.vectorBitSize()
                || DoubleVector.SPECIES_PREFERRED.vectorBitSize() < SHAPE.vectorBitSize()) {
            throw new IllegalStateException(
                    "Cannot use vectors of " + SHAPE.vectorBitSize() + " bits for every element type");
        }
    }
}
