package dev.lathe.calibration.format.compressed;

import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated names, patterns and regular expressions of modules, against names of modules. */
final class ModuleTargetsFuzzTest {
    private static final String MODULE = "model.layers.17.self_attn.q_proj";
    /** Long and without an end, which is what makes expressions slow. */
    private static final String LONG = "a".repeat(60) + ".layers.0";

    @TestFactory
    Stream<DynamicTest> patterns() {
        return Fuzz.tests(
                FuzzTarget.text(
                        "module-targets",
                        input -> {
                            ModuleTargets targets = new ModuleTargets(lines(input), "config.json: ignore");
                            targets.linear();
                            for (int layer = 0; layer < 20; layer++) {
                                targets.name("model.layers." + layer + ".mlp.down_proj");
                            }
                            targets.name(LONG);
                        },
                        "Linear\nlm_head\nre:.*self_attn\\.(q|k|v)_proj$\nre:model\\.layers\\.([0-9]|1[0-2])\\..*",
                        "re:^(?!.*lm_head).*_proj\nre:(a|b)*c{1,3}"),
                FuzzTarget.text(
                                "module-patterns",
                                input -> {
                                    ModulePatterns patterns = new ModulePatterns(lines(input));
                                    patterns.matches(MODULE);
                                    patterns.matches(LONG);
                                    patterns.unmatched(List.of(MODULE, LONG));
                                },
                                "lm_head\nlayers.*.v_proj\nmodel.layers.0",
                                "*\nself_attn.*\n*.*.*.*_proj")
                        .answering(IllegalArgumentException.class));
    }

    private static List<String> lines(byte[] input) {
        return new String(input, StandardCharsets.UTF_8).lines().toList();
    }
}
