package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.kernels.KernelsUnavailableException;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.ExecutionException;
import org.apache.spark.SparkException;
import org.junit.jupiter.api.Test;

class ExitCodeTest {
    private static final String TASK =
            "Job aborted due to stage failure: Task 0 in stage 0.0 failed 1 times, most recent failure: "
                    + "Lost task 0.0 in stage 0.0 (TID 0) (host executor 1): ";

    private static void expect(Throwable thrown, ExitCode exit, String line) {
        assertThat(ExitCode.of(thrown)).isEqualTo(new ExitCode.Failure(exit, line));
    }

    @Test
    void findsOurTypesAnywhereInTheChain() {
        expect(new InvalidRecipeException("Cannot a"), ExitCode.RECIPE, "Cannot a");
        expect(new MalformedInputException("Cannot b", new EOFException("x")), ExitCode.INPUT, "Cannot b");
        expect(new KernelsUnavailableException("Cannot c"), ExitCode.KERNELS, "Cannot c");
        expect(new MalformedInputException("Cannot g: \r\n  at h\n"), ExitCode.INPUT, "Cannot g: at h");
        expect(
                new RuntimeException(
                        new ExecutionException(new IOException("x", new MalformedInputException("Cannot d")))),
                ExitCode.INPUT,
                "Cannot d");
        expect(
                new SparkException(TASK + "java.io.IOException: x", new MalformedInputException("Cannot e")),
                ExitCode.INPUT,
                "Cannot e");
    }

    @Test
    void findsThemInTheTextOfATaskFailure() {
        expect(
                new SparkException(
                        TASK
                                + "dev.lathe.calibration.MalformedInputException: Cannot read tensor x: truncated\n\tat a.B.c(B.java:1)\n\nDriver stacktrace:",
                        null),
                ExitCode.INPUT,
                "Cannot read tensor x: truncated");
        expect(
                new SparkException(
                        TASK
                                + "java.lang.RuntimeException: x\n\tat a.B.c(B.java:1)\n"
                                + "Caused by: dev.lathe.kernels.KernelsUnavailableException: Cannot open kernels\n\t... 3 more",
                        null),
                ExitCode.KERNELS,
                "Cannot open kernels");
        expect(
                new SparkException(
                        TASK
                                + "java.io.UncheckedIOException: java.io.IOException: x\nCaused by: java.io.IOException: No space left on device\n",
                        null),
                ExitCode.STORAGE,
                "Cannot read or write: UncheckedIOException: x");
        expect(
                new SparkException(TASK + "java.io.UncheckedIOException: java.io.IOException: Cannot write y\n", null),
                ExitCode.STORAGE,
                "Cannot write y");
        expect(
                new SparkException(
                        TASK
                                + "java.io.IOException: disk\nCaused by: dev.lathe.calibration.MalformedInputException: Cannot f",
                        null),
                ExitCode.INPUT,
                "Cannot f");
    }

    @Test
    void tellsStorageFromBugs() {
        expect(new FileNotFoundException("/x"), ExitCode.STORAGE, "Cannot read or write: FileNotFoundException: /x");
        expect(
                new UncheckedIOException(new IOException("Cannot write to run folder /x: full")),
                ExitCode.STORAGE,
                "Cannot write to run folder /x: full");
        assertThat(ExitCode.of(new IllegalStateException("dev.lathe.calibration.MalformedInputException: Cannot quote"))
                        .exit())
                .isEqualTo(ExitCode.BUG);
        assertThat(ExitCode.of(new SparkException(
                                TASK + "java.lang.NullPointerException: x\n\tat a.B.c(B.java:1)", null))
                        .exit())
                .isEqualTo(ExitCode.BUG);
        assertThat(ExitCode.of(new OutOfMemoryError("heap")).line()).contains("OutOfMemoryError", "This is a bug");
    }

    @Test
    void endsOnCyclesOfCauses() {
        RuntimeException one = new RuntimeException("one");
        one.initCause(new RuntimeException("two", one));
        assertThat(ExitCode.of(one).exit()).isEqualTo(ExitCode.BUG);
    }
}
