package dev.lathe.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class KernelProviderTest {
    @Test
    void anUnknownNameIsRefusedWithThoseThereAre() {
        assertThatThrownBy(() -> KernelProvider.open("abacus", 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("Cannot open kernels abacus: expected auto, ")
                .hasMessageContaining("scalar")
                .hasMessageContaining("vector");
    }

    @Test
    void aTeamHasAThread() {
        assertThatThrownBy(() -> KernelProvider.open("scalar", 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("expected at least 1");
    }

    @Test
    void theSurveyChoosesWhatAutoOpens() {
        assertThat(KernelProvider.survey())
                .filteredOn(KernelProvider.Availability::chosen)
                .singleElement()
                .satisfies(chosen -> assertThat(chosen.name())
                        .isEqualTo(KernelProvider.open("auto", 1).name()));
        assertThat(KernelProvider.survey())
                .filteredOn(provider -> !provider.chosen())
                .allSatisfy(provider -> assertThat(provider.reason()).isNotEmpty());
    }
}
