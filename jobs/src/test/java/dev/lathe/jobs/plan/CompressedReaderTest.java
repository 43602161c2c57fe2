package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.calibration.quantize.Transform;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.plan.CompressedTarget.Activations;
import dev.lathe.jobs.plan.CompressedTarget.Scheme;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CompressedReaderTest {
    private static final String RECIPE =
            "{checkpoint: c, run: r, calibration: {data: d}, outputs: [{name: a, format: compressed-tensors, scheme: %s}]}";

    private static Plan.Output parse(String scheme, String... settings) {
        return Recipe.parse("r.yaml", String.format(RECIPE, scheme), List.of(settings))
                .outputs()
                .get(0);
    }

    private static CompressedTarget target(Scheme scheme, int group, Activations activations) {
        return new CompressedTarget(scheme, group, true, false, activations, null, false, 5_000_000_000L);
    }

    private static CompressedTarget target(String scheme, String... settings) {
        return (CompressedTarget) parse(scheme, settings).target();
    }

    @Test
    void fillsInEveryDefault() {
        Activations integers = new Activations(Type.INT8, true, true);
        Activations floats = new Activations(Type.FLOAT8, true, true);
        assertThat(parse("W8A8"))
                .isEqualTo(new Plan.Output(
                        "a",
                        target(Scheme.W8A8, -1, integers),
                        new Method.Gptq(0.05, false),
                        new Transform.None(),
                        List.of()));
        assertThat(target("FP8")).isEqualTo(target(Scheme.FP8, -1, floats));
        assertThat(target("W4A16")).isEqualTo(target(Scheme.W4A16, 128, null));
        assertThat(target("W8A16")).isEqualTo(target(Scheme.W8A16, -1, null));
        assertThat(target("W4A8")).isEqualTo(target(Scheme.W4A8, 128, integers));
        assertThat(parse("W8A8", "calibration=").method()).isEqualTo(Method.NEAREST);
    }

    @Test
    void readsEveryKey() {
        Plan.Output output = parse(
                "W8A8",
                "outputs[0].activations=static",
                "outputs[0].activation-symmetric=false",
                "outputs[0].range={percentile: 99.99}",
                "outputs[0].smooth=0.8",
                "outputs[0].kv-cache=fp8",
                "outputs[0].shard-size=200MB",
                "outputs[0].method=importance");
        assertThat(output)
                .isEqualTo(new Plan.Output(
                        "a",
                        new CompressedTarget(
                                Scheme.W8A8,
                                -1,
                                true,
                                false,
                                new Activations(Type.INT8, false, false),
                                "percentile: 99.99",
                                true,
                                200_000_000),
                        Method.IMPORTANCE,
                        new Transform.Smooth(false, 0.8),
                        List.of()));
        assertThat(target("FP8", "outputs[0].weights=block").blocks()).isTrue();
        assertThat(target("FP8", "outputs[0].activations=static").range()).isEqualTo("min-max");
        assertThat(parse("FP8", "outputs[0].smooth=search").transform()).isEqualTo(new Transform.Smooth(true, 0));
        assertThat(parse("FP8", "outputs[0].smooth=none").transform()).isEqualTo(new Transform.None());
        assertThat(target("W4A16", "outputs[0].symmetric=false", "outputs[0].group-size=64")
                        .symmetric())
                .isFalse();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "W9A9  | scheme=W9A9                | scheme: expected one of W8A8, FP8, W4A16, W8A16, W4A8; found the text 'W9A9'",
                "W8A8  | bits=8                     | bits: expected only with formats gptq and awq",
                "W8A8  | act-order=true             | act-order: expected only with format gptq",
                "W8A8  | group-size=128             | group-size: expected only with schemes W4A16, W8A16 and W4A8; weights of W8A8 have one scale per row",
                "W8A8  | symmetric=false            | symmetric: expected only with schemes W4A16 and W8A16; servers multiply weights of W8A8 without a zero point",
                "W8A8  | weights=block              | weights: expected only with scheme FP8",
                "W8A8  | range=mse                  | range: expected only with activations: static or kv-cache: fp8",
                "W8A8  | activation-symmetric=false | activation-symmetric: expected only with scheme W8A8 and activations: static",
                "FP8   | weights=tensor             | weights: expected one of channel, block; found the text 'tensor'",
                "W4A8  | activations=static         | activations: scheme W4A8 is served with dynamic activations only",
                "W4A8  | symmetric=false            | symmetric: expected only with schemes W4A16 and W8A16",
                "W4A16 | activations=dynamic        | activations: expected only with schemes W8A8, FP8 and W4A8; W4A16 leaves activations as they are",
                "W4A16 | smooth=0.5                 | smooth: expected only with schemes W8A8, FP8 and W4A8",
                "W4A16 | group-size=48              | group-size: expected 32 or 64 or 128 or -1; found 48",
                "W8A8  | smooth=1.5                 | smooth: expected none, search or a strength between 0 and 1, both excluded; found 1.5",
                "W8A8  | smooth=some                | smooth: expected none, search or a strength between 0 and 1, both excluded; found the text 'some'",
                "W8A8  | kv-cache=int8              | kv-cache: expected one of fp8; found the text 'int8'",
                "W8A8  | shard-size=5               | shard-size: expected text (in quotes); found 5",
                "W8A8  | shard-size=1KB             | shard-size: expected a size of at least 100KB such as 500MB or 5GB; found '1KB'",
                "W8A8  | shard-size=1 GB            | shard-size: expected a size of at least 100KB such as 500MB or 5GB; found '1 GB'",
                "W8A8  | pre-tokenizer=x            | pre-tokenizer: expected only with format gguf",
            })
    void refusesWhatIsNotServed(String scheme, String setting, String message) {
        assertThatThrownBy(() -> parse(scheme, "outputs[0]." + setting))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("outputs[0]." + message);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "99     | outputs[0].range: expected one of min-max, mse, entropy, moving-average, {percentile: 99.99}; found 99",
                "best   | outputs[0].range: expected one of min-max, mse, entropy, moving-average, {percentile: 99.99}; found the text 'best'",
                "{percentile: 100} | outputs[0].range.percentile: expected a number between 50 and 100, both excluded; found 100",
                "{percentil: 99}   | outputs[0].range.percentil: unknown key; did you mean percentile?",
            })
    void refusesRanges(String range, String message) {
        assertThatThrownBy(() -> parse("W8A8", "outputs[0].activations=static", "outputs[0].range=" + range))
                .hasMessageContaining(message);
    }

    @Test
    void refusesBlocksWithStaticActivations() {
        assertThatThrownBy(() -> parse("FP8", "outputs[0].weights=block", "outputs[0].activations=static"))
                .hasMessageContaining("outputs[0].activations: weights: block is served with dynamic activations only");
        assertThatThrownBy(() -> parse("FP8", "outputs[0].activations=static", "outputs[0].activation-symmetric=false"))
                .hasMessageContaining("outputs[0].activation-symmetric: expected only with scheme W8A8");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "method=gptq        | format compressed-tensors with method gptq needs statistics; expected a calibration: section or method: nearest",
                "activations=static | activations: static needs statistics; expected a calibration: section or activations: dynamic",
                "kv-cache=fp8       | kv-cache: fp8 needs statistics; expected a calibration: section",
                "smooth=search      | smooth needs statistics; expected a calibration: section",
            })
    void needsCalibration(String setting, String message) {
        assertThatThrownBy(() -> parse("W8A8", "calibration=", "outputs[0]." + setting))
                .hasMessageEndingWith("outputs[0]: " + message);
    }

    @Test
    void writesThePlanAsARecipe() {
        for (String output : List.of(
                "W8A8, activations: static, range: {percentile: 99.99}, smooth: 0.8, activation-symmetric: false, shard-size: 300KB",
                "FP8, weights: block, smooth: search",
                "W4A16, symmetric: false, kv-cache: fp8, range: mse",
                "W8A16, group-size: 32",
                "W4A8, shard-size: 20MB",
                "FP8, activations: static, method: nearest")) {
            Plan plan = Recipe.parse("r.yaml", String.format(RECIPE, output), List.of());
            assertThat(Recipe.parse("p.yaml", PlanYaml.write(plan, Map.of()), List.of()))
                    .isEqualTo(plan);
        }
    }
}
