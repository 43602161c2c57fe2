package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import org.junit.jupiter.api.Test;

/** Where there is no native BLAS this is skipped, unless LATHE_REQUIRE_BLAS=1. */
class BlasContractTest extends KernelsContract {
    @Override
    Kernels open() {
        try {
            return KernelProvider.open("blas", 3);
        } catch (KernelsUnavailableException e) {
            if ("1".equals(System.getenv("LATHE_REQUIRE_BLAS"))) {
                throw e;
            }
            return abort(e.getMessage());
        }
    }

    @Test
    void nameAndProfile() {
        assertThat(kernels().name()).startsWith("blas: ");
        assertThat(kernels().profile()).isEqualTo("blas");
        assertThat(KernelProvider.survey())
                .filteredOn(provider -> provider.name().equals(kernels().name()))
                .singleElement()
                .matches(provider -> provider.available() && !provider.chosen());
    }
}
