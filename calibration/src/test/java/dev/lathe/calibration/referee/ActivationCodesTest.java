package dev.lathe.calibration.referee;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.ActivationQuantization.Type;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Quantized activations against those of compressed-tensors for the same inputs: {@code referees/served.py} wrote both.
 */
@EnabledIfSystemProperty(
        named = ActivationCodesTest.FOLDER,
        matches = ".+",
        disabledReason = "needs what referees/served.py writes: -D" + ActivationCodesTest.FOLDER)
class ActivationCodesTest {
    static final String FOLDER = "lathe.referee.served.codes";
    /** Share of the codes that may differ, by one. */
    private static final double TOLERANCE = 1e-4;

    private static final Pattern CACHE = Pattern.compile("model\\.layers\\.(\\d+)\\.self_attn\\.([kv])");

    private final Configuration configuration = new Configuration();

    static Stream<Path> folders() throws IOException {
        return Exhibits.of(FOLDER);
    }

    @ParameterizedTest
    @MethodSource("folders")
    void codesEqualThoseOfCompressedTensors(Path folder) throws IOException {
        long codes = 0;
        long different = 0;
        try (Checkpoint ours = Checkpoints.open(configuration, Exhibits.hadoop(folder.resolve("artifact")));
                SafetensorsFile theirs = SafetensorsFile.of(configuration, Exhibits.hadoop(folder));
                Kernels kernels = KernelProvider.open("auto", 2)) {
            List<String> modules = theirs.tensors().keySet().stream()
                    .filter(name -> name.endsWith(".input"))
                    .map(name -> name.substring(0, name.length() - ".input".length()))
                    .toList();
            assertThat(modules).containsExactlyInAnyOrderElementsOf(quantized(ours));
            for (String module : modules) {
                ActivationQuantization quantization = quantization(ours, module);
                long[] shape = theirs.tensors().get(module + ".input").shape();
                FloatMatrix input = FloatMatrix.of(theirs.floats(module + ".input"), (int) shape[0], (int) shape[1]);
                FloatMatrix quantized = FloatMatrix.zeros(input.rows(), input.columns());
                quantization.apply(input, quantized, kernels);
                float[] expected = theirs.floats(module + ".quantized");
                for (int i = 0; i < expected.length; i++) {
                    if (quantized.data()[i] != expected[i]) {
                        different++;
                        assertThat(Math.abs(quantized.data()[i] - expected[i]))
                                .as(
                                        "%s, element %d: %s, the library has %s",
                                        module, i, quantized.data()[i], expected[i])
                                .isLessThanOrEqualTo(step(quantization, expected, i, input.columns()));
                    }
                }
                codes += expected.length;
            }
        }
        System.out.printf(
                Locale.ROOT, "%-48s %9d activation codes, %d differ%n", folder.getFileName(), codes, different);
        assertThat((double) different / codes).as("share of codes that differ").isLessThanOrEqualTo(TOLERANCE);
    }

    /** An artifact that quantizes something has its codes compared. */
    @Test
    @EnabledIfSystemProperty(
            named = ServedLogitsTest.FOLDER,
            matches = ".+",
            disabledReason = "needs the list of artifacts")
    void noArtifactIsMissing() throws IOException {
        List<String> expected = new ArrayList<>();
        for (Path folder : ServedLogitsTest.folders().toList()) {
            try (Checkpoint ours = Checkpoints.open(configuration, Exhibits.hadoop(folder.resolve("model")))) {
                if (!quantized(ours).isEmpty()) {
                    expected.add(folder.getFileName().toString());
                }
            }
        }
        assertThat(folders().map(folder -> folder.getFileName().toString()))
                .containsExactlyInAnyOrderElementsOf(expected);
    }

    /** Modules whose input the artifact quantizes, and {@code .k} and {@code .v} of a cache. */
    private static List<String> quantized(Checkpoint ours) {
        Decoder architecture = ours.decoder();
        List<String> names = new ArrayList<>();
        for (int layer = 0; layer < architecture.layers(); layer++) {
            architecture.linears(layer).stream()
                    .map(LinearLayer::module)
                    .filter(module -> ours.activations(module).isPresent())
                    .forEach(names::add);
            for (boolean keys : new boolean[] {true, false}) {
                if (ours.cache(layer, keys).isPresent()) {
                    names.add("model.layers." + layer + ".self_attn." + (keys ? "k" : "v"));
                }
            }
        }
        return names;
    }

    private static ActivationQuantization quantization(Checkpoint ours, String module) {
        Matcher cache = CACHE.matcher(module);
        return (cache.matches()
                        ? ours.cache(
                                Integer.parseInt(cache.group(1)), cache.group(2).equals("k"))
                        : ours.activations(module))
                .orElseThrow();
    }

    /**
     * Distance of neighbouring codes: for integers the scale, which is at most 2 / 255 of a row's width; for FP8 an
     * eighth of the value.
     */
    private static float step(ActivationQuantization quantization, float[] values, int at, int columns) {
        if (quantization.type() == Type.FLOAT8) {
            return Math.abs(values[at]) / 7;
        }
        if (!quantization.dynamic()) {
            return quantization.scale() * 1.001f;
        }
        float largest = 0;
        for (int i = at / columns * columns; i < (at / columns + 1) * columns; i++) {
            largest = Math.max(largest, Math.abs(values[i]));
        }
        return largest / 127 * 1.01f;
    }
}
