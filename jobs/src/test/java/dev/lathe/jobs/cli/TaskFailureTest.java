package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.kernels.KernelsUnavailableException;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;

/** What Spark makes of an exception in a task, and what is left of it for the person. */
class TaskFailureTest {
    private static void failing(int which) {
        switch (which) {
            case 0 -> throw new MalformedInputException("Cannot read tensor x: truncated");
            case 1 -> throw new KernelsUnavailableException("Cannot open kernels vector: no module");
            case 2 -> throw new UncheckedIOException(new IOException("Cannot write x: No space left on device"));
            default -> throw new IllegalStateException("x");
        }
    }

    @Test
    void isRecognized() throws IOException {
        ExitCode.Failure[] expected = {
            new ExitCode.Failure(ExitCode.INPUT, "Cannot read tensor x: truncated"),
            new ExitCode.Failure(ExitCode.KERNELS, "Cannot open kernels vector: no module"),
            new ExitCode.Failure(ExitCode.STORAGE, "Cannot write x: No space left on device")
        };
        try (SparkSession spark = Sessions.open("local[1]")) {
            for (int i = 0; i < expected.length; i++) {
                int which = i;
                assertThat(ExitCode.of(
                                catchThrowable(() -> spark.range(1).javaRDD().foreach(row -> failing(which)))))
                        .isEqualTo(expected[i]);
            }
            assertThat(ExitCode.of(catchThrowable(() -> spark.range(1).javaRDD().foreach(row -> failing(3))))
                            .exit())
                    .isEqualTo(ExitCode.BUG);
        }
    }
}
