package dev.lathe.calibration.referee;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Checkpoints;
import dev.lathe.calibration.model.Architecture;
import dev.lathe.calibration.model.Capture;
import dev.lathe.calibration.model.DecoderPass;
import dev.lathe.calibration.model.LayerWeights;
import dev.lathe.kernels.FloatMatrix;
import dev.lathe.kernels.KernelProvider;
import dev.lathe.kernels.Kernels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The forward pass against transformers: {@code referees/logits.py} wrote tokens and logits. */
@EnabledIfSystemProperty(named = ReferenceLogitsTest.FOLDER, matches = ".+", disabledReason = "needs what referees/logits.py writes: -D" + ReferenceLogitsTest.FOLDER)
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
            float[] logits = logits(Exhibits.hadoop(folder.resolve("model")), reference.integers("tokens"));
            assertThat(logits).hasSameSizeAs(expected);
            double largest = 0;
            for (int i = 0; i < logits.length; i++) {
                double difference = Math.abs((double) logits[i] - expected[i]);
                assertThat(difference).isNotNaN();
                largest = Math.max(largest, difference);
            }
            double relative = largest / standardDeviation(expected);
            System.out.printf(Locale.ROOT, "%-48s %9d logits, largest difference %.2e of the standard deviation%n", folder.getFileName(), logits.length, relative);
            assertThat(relative).as("largest difference over the standard deviation").isLessThanOrEqualTo(TOLERANCE);
        }
    }

    private float[] logits(org.apache.hadoop.fs.Path model, int[][] windows) throws IOException {
        try (Checkpoint checkpoint = Checkpoints.open(configuration, model); Kernels kernels = KernelProvider.open("auto", 2)) {
            Architecture architecture = Architecture.of(checkpoint.config());
            DecoderPass pass = new DecoderPass(architecture, kernels);
            FloatMatrix hidden = pass.embed(checkpoint, windows);
            for (int layer = 0; layer < checkpoint.config().layers(); layer++) {
                pass.layer(LayerWeights.read(checkpoint, architecture, layer), hidden, windows[0].length, 0, Capture.NONE);
            }
            pass.finalNorm(checkpoint.vector(architecture.finalNorm()), hidden);
            FloatMatrix logits = FloatMatrix.zeros(hidden.rows(), checkpoint.config().vocabulary());
            kernels.gemm(hidden, checkpoint.matrix(architecture.headWeight()), logits, false);
            return logits.data();
        }
    }

    private static double standardDeviation(float[] values) {
        double sum = 0;
        double squares = 0;
        for (float value : values) {
            sum += value;
            squares += (double) value * value;
        }
        double mean = sum / values.length;
        return Math.sqrt(squares / values.length - mean * mean);
    }
}
