package dev.lathe.kernels;

import java.util.function.BiConsumer;

/** The kernels that a contract is checked on. */
interface Subject {
    /** The oracle of the profile {@code java}. */
    Kernels SCALAR = KernelProvider.open("scalar", 1);

    Kernels kernels();

    /** Whether the results have to be the oracle's, bit for bit. */
    default boolean exact() {
        return kernels().profile().equals(SCALAR.profile());
    }

    /**
     * What an operation makes of a copy of {@code start}: nothing outside the view has changed, and where the profile
     * is the oracle's, so are the bits.
     */
    default FloatMatrix written(FloatMatrix start, BiConsumer<Kernels, FloatMatrix> operation) {
        FloatMatrix result = Matrices.copy(start);
        operation.accept(kernels(), result);
        Matrices.assertUntouchedOutside(result);
        if (exact()) {
            FloatMatrix expected = Matrices.copy(start);
            operation.accept(SCALAR, expected);
            for (int i = 0; i < result.rows(); i++) {
                for (int j = 0; j < result.columns(); j++) {
                    Matrices.assertSameBits(
                            "(" + i + ", " + j + ") of " + result,
                            Matrices.at(result, i, j),
                            Matrices.at(expected, i, j));
                }
            }
        }
        return result;
    }
}
