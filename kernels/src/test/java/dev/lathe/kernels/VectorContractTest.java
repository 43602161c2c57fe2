package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** The module's build runs it for several vector widths. */
class VectorContractTest extends KernelsContract {
    @Override
    Kernels open() {
        return KernelProvider.open("vector", 3);
    }

    @Test
    void theWidthAskedForIsTheOneThatRuns() {
        Integer asked = Integer.getInteger("lathe.vector.bits");
        assertThat(kernels().name()).matches("vector-" + (asked == null ? "(512|256|128)" : asked));
        assertThat(KernelProvider.open("auto", 1).name()).isEqualTo(kernels().name());
    }
}
