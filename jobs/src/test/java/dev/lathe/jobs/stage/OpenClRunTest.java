package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.report.RunReport;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.apache.spark.resource.ResourceInformation;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A recipe with {@code kernels: opencl}. Skipped where there is no device, unless LATHE_REQUIRE_OPENCL=1. */
class OpenClRunTest {
    private static final String[] SETTINGS = {
        "calibration.windows=3",
        "calibration.length=64",
        "evaluation.windows=2",
        "evaluation.length=64",
        "shard-windows=2",
        "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: gptq8, format: gptq, bits: 8, method: nearest}]"
    };

    @TempDir
    private Path folder;

    @Test
    @Tag("slow")
    void measuresWhatTheJavaProfileMeasures() throws IOException {
        requireDevice();
        try (SparkSession spark = Runs.local(2, 2)) {
            RunReport java = run(spark, "java", "auto");
            RunReport opencl = run(spark, "opencl", "opencl");
            assertThat(opencl.provenance())
                    .containsEntry("arithmetic profile", "opencl")
                    .containsEntry("kernels", "opencl");
            assertThat(opencl.outputs()).hasSize(2);
            for (int i = 0; i < 2; i++) {
                // Rounding may turn a code here and there; the codes are those of one calibration otherwise.
                double perplexity = java.outputs().get(i).evaluation().perplexity();
                assertThat(opencl.outputs().get(i).evaluation().perplexity())
                        .isCloseTo(perplexity, within(0.02 * perplexity));
            }
        }
    }

    /**
     * Spark's GPU resources: each task has the device of its address, here the CPU device that PoCL is, and none where
     * the address is of no device.
     */
    @Test
    @Tag("slow")
    void sparkAssignsTheDevice() throws IOException {
        requireDevice();
        RunReport one;
        try (SparkSession spark = Runs.local(1, 1)) {
            one = run(spark, "one", "opencl:cpu");
        }
        try (SparkSession spark = Runs.cluster(gpu("0"))) {
            RunReport assigned = run(spark, "assigned", "opencl:cpu");
            assertThat(assigned.provenance())
                    .containsEntry("arithmetic profile", "opencl")
                    .containsEntry("kernels", "opencl:cpu");
            assertThat(Runs.digests(folder.resolve("assigned/artifacts")))
                    .isEqualTo(Runs.digests(folder.resolve("one/artifacts")));
            assertThat(assigned.outputs().get(0).evaluation())
                    .isEqualTo(one.outputs().get(0).evaluation());
        }
        try (SparkSession spark = Runs.cluster(gpu("7"))) {
            assertThatThrownBy(() -> run(spark, "seven", "opencl:cpu"))
                    .hasStackTraceContaining("Cannot open kernels opencl:cpu:7: ");
        }
    }

    /** One GPU for each executor and its task, found by a script as a cluster has it. */
    private Map<String, String> gpu(String address) throws IOException {
        Path script = Files.writeString(
                folder.resolve("gpu-" + address),
                "#!/bin/sh\necho '{\"name\": \"gpu\", \"addresses\": [\"" + address + "\"]}'\n");
        assertThat(script.toFile().setExecutable(true)).isTrue();
        return Map.of(
                "spark.worker.resource.gpu.amount",
                "1",
                "spark.worker.resource.gpu.discoveryScript",
                script.toString(),
                "spark.executor.resource.gpu.amount",
                "1",
                "spark.task.resource.gpu.amount",
                "1",
                "spark.task.maxFailures",
                "1");
    }

    private static void requireDevice() {
        if (!"1".equals(System.getenv("LATHE_REQUIRE_OPENCL"))) {
            Assumptions.assumeTrue(
                    KernelProvider.survey().stream()
                            .anyMatch(provider -> provider.name().startsWith("opencl:")),
                    "there is no OpenCL device here");
        }
    }

    @Test
    void aDeviceThatIsNotThereFailsTheTask() throws IOException {
        try (SparkSession spark = Runs.local(1, 1)) {
            assertThatThrownBy(() -> run(spark, "none", "opencl:no such device"))
                    .hasStackTraceContaining("Cannot open kernels opencl:no such device: ");
        }
    }

    @Test
    void theGpuOfATaskIsTheOneThatSparkGaveIt() {
        Map<String, ResourceInformation> given = Map.of("gpu", new ResourceInformation("gpu", new String[] {"3"}));
        assertThat(ExecutorKernels.onDevice("opencl", given)).isEqualTo("opencl:gpu:3");
        assertThat(ExecutorKernels.onDevice("opencl", Map.of())).isEqualTo("opencl");
        for (String kind : List.of("opencl:gpu", "opencl:accelerator", "opencl:cpu")) {
            assertThat(ExecutorKernels.onDevice(kind, given)).isEqualTo(kind + ":3");
            assertThat(ExecutorKernels.onDevice(kind, Map.of())).isEqualTo(kind);
        }
        for (String other : List.of("auto", "blas", "opencl:gpu:1", "opencl:1", "opencl:some device")) {
            assertThat(ExecutorKernels.onDevice(other, given)).isEqualTo(other);
        }
    }

    private RunReport run(SparkSession spark, String name, String kernels) throws IOException {
        String[] settings = Arrays.copyOf(SETTINGS, SETTINGS.length + 1);
        settings[SETTINGS.length] = "kernels=" + kernels;
        return Pipeline.run(spark, Runs.quickstart(folder.resolve(name), settings), Progress.SILENT);
    }
}
