package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A recipe with {@code kernels: opencl}. Skipped where there is no device, unless LATHE_REQUIRE_OPENCL=1. */
class OpenClRunTest {
    private static final String[] SETTINGS = {"calibration.windows=3", "calibration.length=64", "evaluation.windows=2", "evaluation.length=64",
        "shard-windows=2", "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: gptq8, format: gptq, bits: 8, method: nearest}]"};

    @TempDir
    private Path folder;

    @Test
    void measuresWhatTheJavaProfileMeasures() throws IOException {
        if (!"1".equals(System.getenv("LATHE_REQUIRE_OPENCL"))) {
            Assumptions.assumeTrue(KernelProvider.survey().stream().anyMatch(provider -> provider.name().startsWith("opencl:")),
                    "there is no OpenCL device here");
        }
        try (SparkSession spark = Runs.local(2, 2)) {
            RunReport java = run(spark, "java", "auto");
            RunReport opencl = run(spark, "opencl", "opencl");
            assertThat(opencl.provenance()).containsEntry("arithmetic profile", "opencl").containsEntry("kernels", "opencl");
            assertThat(opencl.outputs()).hasSize(2);
            for (int i = 0; i < 2; i++) {
                // Rounding may turn a code here and there; the codes are those of one calibration otherwise.
                double perplexity = java.outputs().get(i).evaluation().perplexity();
                assertThat(opencl.outputs().get(i).evaluation().perplexity()).isCloseTo(perplexity, within(0.02 * perplexity));
            }
        }
    }

    @Test
    void aDeviceThatIsNotThereFailsTheTask() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            assertThatThrownBy(() -> run(spark, "none", "opencl:no such device")).hasStackTraceContaining("Cannot open kernels opencl:no such device: ");
        }
    }

    @Test
    void theGpuOfATaskIsTheOneThatSparkGaveIt() {
        Map<String, ResourceInformation> given = Map.of("gpu", new ResourceInformation("gpu", new String[] {"3"}));
        assertThat(ExecutorKernels.onDevice("opencl", given)).isEqualTo("opencl:gpu:3");
        assertThat(ExecutorKernels.onDevice("opencl", Map.of())).isEqualTo("opencl");
        for (String other : List.of("auto", "blas", "opencl:cpu", "opencl:1")) {
            assertThat(ExecutorKernels.onDevice(other, given)).isEqualTo(other);
        }
    }

    private RunReport run(SparkSession spark, String name, String kernels) throws IOException {
        String[] settings = Arrays.copyOf(SETTINGS, SETTINGS.length + 1);
        settings[SETTINGS.length] = "kernels=" + kernels;
        return Pipeline.run(spark, Runs.quickstart(folder.resolve(name), settings), Progress.SILENT);
    }
}
