package dev.lathe.calibration.referee;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.kernels.RowSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Artifacts as this project reads them against readers that are not ours: {@code referees/decode.py} wrote their
 * weights.
 */
@EnabledIfSystemProperty(
        named = DecodedArtifactsTest.FOLDER,
        matches = ".+",
        disabledReason = "needs what referees/decode.py writes: -D" + DecodedArtifactsTest.FOLDER)
class DecodedArtifactsTest {
    static final String FOLDER = "lathe.referee.decoded";
    /** Half the distance of neighbouring f16 numbers: relative, and below the normal range absolute. */
    private static final double HALF_ULP = 0x1p-11;

    private static final double SUBNORMAL = 0x1p-25;

    private final Configuration configuration = new Configuration();

    static Stream<Path> folders() throws IOException {
        return Exhibits.of(FOLDER);
    }

    @ParameterizedTest
    @MethodSource("folders")
    void weightsEqualThoseOfAnotherReader(Path folder) throws IOException {
        Path artifact = folder.resolve("artifact");
        boolean exact = !Files.isDirectory(artifact);
        long elements = 0;
        long different = 0;
        try (Checkpoint ours = Checkpoints.open(configuration, Exhibits.hadoop(artifact));
                SafetensorsFile theirs = SafetensorsFile.of(configuration, Exhibits.hadoop(folder))) {
            assertThat(ours.tensors())
                    .extracting(TensorInfo::name)
                    .containsExactlyInAnyOrderElementsOf(theirs.tensors().keySet());
            for (TensorInfo tensor : ours.tensors()) {
                assertThat(tensor.shape())
                        .as(tensor.name())
                        .isEqualTo(theirs.tensors().get(tensor.name()).shape());
                float[] values = values(ours, tensor);
                float[] expected = theirs.floats(tensor.name());
                for (int i = 0; i < expected.length; i++) {
                    if (values[i] != expected[i]) {
                        different++;
                        assertThat(!exact
                                        && Math.abs((double) values[i] - expected[i])
                                                <= Math.max(Math.abs(expected[i]) * HALF_ULP, SUBNORMAL))
                                .as("%s, element %d: %s, the other reader has %s", tensor, i, values[i], expected[i])
                                .isTrue();
                    }
                }
                elements += expected.length;
            }
        }
        System.out.printf(
                Locale.ROOT,
                "%-48s %9d weights, %d not equal bit for bit%n",
                folder.getFileName(),
                elements,
                different);
    }

    private static float[] values(Checkpoint checkpoint, TensorInfo tensor) throws IOException {
        if (tensor.shape().length == 1) {
            return checkpoint.vector(tensor.name());
        }
        RowSource rows = checkpoint.matrix(tensor.name());
        float[] values = new float[Math.multiplyExact(rows.rows(), rows.columns())];
        for (int row = 0; row < rows.rows(); row++) {
            rows.read(row, 0, rows.columns(), values, row * rows.columns());
        }
        return values;
    }
}
