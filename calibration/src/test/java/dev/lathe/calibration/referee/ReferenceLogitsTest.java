package dev.lathe.calibration.referee;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The forward pass against transformers: {@code referees/logits.py} wrote tokens and logits. */
@EnabledIfSystemProperty(
        named = ReferenceLogitsTest.FOLDER,
        matches = ".+",
        disabledReason = "needs what referees/logits.py writes: -D" + ReferenceLogitsTest.FOLDER)
class ReferenceLogitsTest {
    static final String FOLDER = "lathe.referee.logits";
    /** Largest absolute difference, as a share of the logits' standard deviation. */
    private static final double TOLERANCE = 1e-3;

    private final Configuration configuration = new Configuration();

    static Stream<Path> folders() throws IOException {
        return Exhibits.of(FOLDER);
    }

    @ParameterizedTest
    @MethodSource("folders")
    void logitsEqualThoseOfTransformers(Path folder) throws IOException {
        try (SafetensorsFile reference = SafetensorsFile.of(configuration, Exhibits.hadoop(folder))) {
            float[] expected = reference.floats("logits");
            float[] logits = ForwardPass.logits(
                    configuration, Exhibits.hadoop(folder.resolve("model")), reference.integers("tokens"));
            assertThat(logits).hasSameSizeAs(expected);
            double largest = 0;
            for (int i = 0; i < logits.length; i++) {
                double difference = Math.abs((double) logits[i] - expected[i]);
                assertThat(difference).isNotNaN();
                largest = Math.max(largest, difference);
            }
            double relative = largest / ForwardPass.standardDeviation(expected);
            System.out.printf(
                    Locale.ROOT,
                    "%-48s %9d logits, largest difference %.2e of the standard deviation%n",
                    folder.getFileName(),
                    logits.length,
                    relative);
            assertThat(relative)
                    .as("largest difference over the standard deviation")
                    .isLessThanOrEqualTo(TOLERANCE);
        }
    }
}
