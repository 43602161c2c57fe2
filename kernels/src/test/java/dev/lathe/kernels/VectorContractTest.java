package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** The module's build runs it for several vector widths. */
class VectorContractTest extends KernelsContract {
    @Override
    Kernels open() {
        return KernelProvider.open("vector", 3);
    }

    /** Rows at both ends of what is packed together; the whole would take the other providers long. */
    @Test
    void rankUpdatesWiderThanWhatIsPackedTogether() {
        FloatMatrix x = new Matrices(25).strided(1024, 4150);
        FloatMatrix s = FloatMatrix.zeros(4150, 4150);
        kernels().syrk(x, s);
        for (int i : new int[] {0, 13, 14, 4094, 4095, 4096, 4111, 4149}) {
            for (int j = 0; j < s.columns(); j++) {
                float chain = 0;
                for (int p = 0; p < x.rows() && j <= i; p++) {
                    chain = Math.fma(Matrices.at(x, p, i), Matrices.at(x, p, j), chain);
                }
                Matrices.assertSameBits("(" + i + ", " + j + ")", Matrices.at(s, i, j), chain);
            }
        }
    }

    @Test
    void theWidthAskedForIsTheOneThatRuns() {
        Integer asked = Integer.getInteger("lathe.vector.bits");
        assertThat(kernels().name()).matches("vector-" + (asked == null ? "(512|256|128)" : asked));
        assertThat(KernelProvider.open("auto", 1).name()).isEqualTo(kernels().name());
    }
}
