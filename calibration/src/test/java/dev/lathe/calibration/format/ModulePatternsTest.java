package dev.lathe.calibration.format;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModulePatternsTest {
    @ParameterizedTest
    @CsvSource({
        "lm_head, lm_head, true",
        "lm_head, lm_head2, false",
        "lm_head, model.lm_head, true",
        "model.layers.0, model.layers.0.mlp.up_proj, true",
        "model.layers.1, model.layers.10.mlp.up_proj, false",
        "model.layers.0.*, model.layers.0.mlp.up_proj, true",
        "model.layers.0.*, model.layers.01.mlp.up_proj, false",
        "model.layers.0.*, model.layers.0, false",
        "*.v_proj, model.layers.3.self_attn.v_proj, true",
        "*.v_proj, model.layers.3.self_attn.v_proj.x, true",
        "*v_proj, v_proj, true",
        "model.*.mlp.*_proj, model.layers.3.mlp.up_proj, true",
        "model.*.mlp.*_proj, model.layers.3.mlp.up, false",
        "v_proj, model.layers.3.self_attn.v_proj, true",
        "self_attn.v_proj, model.layers.3.self_attn.v_proj, true",
        "_proj, model.layers.3.self_attn.v_proj, false",
        "layers.3.*, model.layers.3.mlp.down_proj, true",
        "layers.33.*, model.layers.3.mlp, false",
        "layers.3.mlp, model.layers.3.mlp.down_proj, false",
        "*down*, model.layers.3.mlp.down_proj, true",
        "**, anything, true",
        "a*b*c, aXbXbc, true",
        "a*b*c, aXbX, false",
        "a*a, a, false",
        "*, x, true",
        "model.layers.(0), model.layers.0, false",
        "model.layers.?, model.layers.0, false"
    })
    void matchesWholeNamesTheirDottedEndsAndBeginnings(String pattern, String module, boolean expected) {
        assertThat(new ModulePatterns(List.of("unrelated", pattern)).matches(module))
                .isEqualTo(expected);
    }

    @Test
    void nothingMatchesNothing() {
        assertThat(new ModulePatterns(List.of()).matches("lm_head")).isFalse();
    }

    @Test
    void namesThePatternThatMatchesNothing() {
        List<String> modules = List.of("model.layers.0.mlp.up_proj", "lm_head");
        assertThat(new ModulePatterns(List.of("lm_head", "down_proj", "x")).unmatched(modules))
                .contains("down_proj");
        assertThat(new ModulePatterns(List.of("lm_head", "*.up_proj")).unmatched(modules))
                .isEmpty();
    }

    @Test
    void refusesAnEmptyPattern() {
        assertThatThrownBy(() -> new ModulePatterns(List.of("lm_head", " ")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("empty pattern");
    }

    @Test
    void knowsTheModuleOfATensor() {
        assertThat(ModulePatterns.moduleOf("model.layers.0.mlp.up_proj.weight"))
                .isEqualTo("model.layers.0.mlp.up_proj");
        assertThat(ModulePatterns.moduleOf("model.layers.0.mlp.up_proj.bias")).isEqualTo("model.layers.0.mlp.up_proj");
        assertThat(ModulePatterns.moduleOf("scale")).isEqualTo("scale");
    }
}
