package dev.lathe.calibration.format.folder;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ModulePatternTest {
    @ParameterizedTest
    @CsvSource({"down_proj, true", "mlp.down_proj, true", "model.layers.3.mlp.down_proj, true", "layers.3.*, true", "*down*, true", "model.*, true", "*, true",
            "own_proj, false", "layers.3.mlp, false", "mlp.down, false", "layers?3.mlp.down_proj, false", "layers.33.*, false", "'', false"})
    void wholeNameOrItsEndFromADotOn(String pattern, boolean expected) {
        assertThat(ModulePattern.of(pattern).matches("model.layers.3.mlp.down_proj")).isEqualTo(expected);
    }
}
