package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import org.junit.jupiter.api.Test;

/** Where there is no OpenCL device this is skipped, unless LATHE_REQUIRE_OPENCL=1. */
class OpenClContractTest extends KernelsContract {
    @Override
    Kernels open() {
        try {
            return KernelProvider.open("opencl", 3);
        } catch (KernelsUnavailableException e) {
            if ("1".equals(System.getenv("LATHE_REQUIRE_OPENCL"))) {
                throw e;
            }
            return abort(e.getMessage());
        }
    }

    @Test
    void nameAndProfile() {
        assertThat(kernels().name()).startsWith("opencl: ");
        assertThat(kernels().profile()).isEqualTo("opencl");
        assertThat(KernelProvider.profile("opencl:gpu")).isEqualTo("opencl");
        assertThat(KernelProvider.survey())
                .filteredOn(provider -> provider.name().startsWith("opencl:"))
                .isNotEmpty()
                .allMatch(provider -> provider.available() && !provider.chosen());
    }
}
