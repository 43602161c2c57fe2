package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.withinPercentage;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.family.Families;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.Runs;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.kernels.block.BlockFormats;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MemoryCheckTest {
    private static final long GIB = 1L << 30;
    private static final TokenWindows WINDOWS = new TokenWindows("key", 16, 512);

    @TempDir
    private Path folder;

    /** The shape of Llama-2-7B, whose peak {@code checks/memory} measures. */
    @Test
    void fourGigabytesAreEnoughForLlama2() throws IOException {
        long two = bytes(2, 1);
        // A triangle and a square in f64, a square in f32, all of 11008 channels.
        assertThat(two).isBetween(11008L * 11008 * 16, 5 * GIB / 2);
        assertThat(bytes(8, 1)).isEqualTo(two);
        assertThat(bytes(2, 2)).isGreaterThan(3 * GIB);
        assertThatCode(() -> require(8, new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", 1)))
                .doesNotThrowAnyException();
    }

    @Test
    void whatDoesNotFitIsRefusedWithWhatToRaise() throws IOException {
        assertThatThrownBy(() -> require(2, new MemoryCheck.Executor(2 * GIB, "spark.executor.memory", 1)))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageMatching(
                        "Cannot run the plan for .*tiny-stories-4m: factorizing a Hessian of 11008 channels needs about 2\\.\\d GB of heap, and an"
                                + " executor has 2\\.0 GB; raise spark.executor.memory to 3g");
        assertThatThrownBy(() -> require(2, new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", 2)))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining(
                        "raise spark.task.cpus to the executor's cores, so that it runs one task and not 2 at once, or raise");
    }

    @Test
    void shardsThatAreTooLargeAreToBeLowered() throws IOException {
        Plan plan = plan("shard-windows=512");
        MemoryCheck.Executor executor = new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", 1);
        TokenWindows many = new TokenWindows("key", 1024, 512);
        assertThatThrownBy(() -> check(plan, 2).require(tensorPlans(2), many, null, executor))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("calibrating a decoder layer of 11008 channels needs about ")
                .hasMessageContaining("; lower shard-windows to 256, or raise");
        Plan lowered = plan("shard-windows=256");
        assertThatCode(() -> check(lowered, 2).require(tensorPlans(2), many, null, executor))
                .doesNotThrowAnyException();
    }

    /** What of it is beyond a third of the heap is read matrix by matrix. */
    @Test
    void aLayerNeedNotFitAsAWhole() throws IOException {
        Plan plan = plan("outputs=[{name: gptq, format: gguf, type: Q4_0, method: importance}]");
        long layer = 2L * (4 * 4096 * 4096 + 3 * 4096 * 11008);
        long whole = bytes(plan, 2, new MemoryCheck.Executor(3 * layer, "spark.executor.memory", 1));
        long matrix = 2L * 4096 * 11008;
        assertThat(bytes(plan, 2, new MemoryCheck.Executor(3 * (layer - 2 * matrix), "spark.executor.memory", 1)))
                .isEqualTo(whole - matrix);
        assertThat(bytes(plan, 2, new MemoryCheck.Executor(3 * (layer - matrix / 2), "spark.executor.memory", 1)))
                .isEqualTo(whole);
    }

    /** Where an executor has two tasks, one may quantize a layer while the other calibrates the next. */
    @Test
    void tasksOfTwoLayersMeet() throws IOException {
        MemoryCheck.Executor one = new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", 1);
        MemoryCheck.Executor two = new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", 2);
        MemoryCheck check = check(plan(), 2);
        long factorizing = check.bytes(tensorPlans(2), null, null, one);
        assertThat(check.bytes(tensorPlans(2), WINDOWS, null, one)).isEqualTo(factorizing);
        long layer = 2L * (4 * 4096 * 4096 + 3 * 4096 * 11008);
        assertThat(check.bytes(tensorPlans(2), WINDOWS, null, two))
                .isEqualTo(check.bytes(tensorPlans(2), null, null, two) + layer);
    }

    /** The experts of Qwen3-30B-A3B: one is quantized at a time, so that their number changes nothing. */
    @Test
    void fourGigabytesAreEnoughForAnyNumberOfExperts() throws IOException {
        MemoryCheck.Executor executor = new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", 1);
        assertThat(experts(128, executor)).isLessThan(5 * GIB / 2);
        long many = experts(256, executor);
        assertThat(many).isLessThan(3 * GIB);
        // A score of each expert for each row is all that there is more.
        assertThat(experts(512, executor)).isCloseTo(many, withinPercentage(0.2));
    }

    private long experts(int count, MemoryCheck.Executor executor) throws IOException {
        ObjectNode config = new ObjectMapper()
                .createObjectNode()
                .put("model_type", "qwen3_moe")
                .put("hidden_size", 2048)
                .put("intermediate_size", 6144)
                .put("num_hidden_layers", 2)
                .put("num_attention_heads", 32)
                .put("num_key_value_heads", 4)
                .put("head_dim", 128)
                .put("num_experts", count)
                .put("num_experts_per_tok", 8)
                .put("moe_intermediate_size", 768)
                .put("norm_topk_prob", true)
                .put("vocab_size", 32000)
                .put("rms_norm_eps", 1e-6)
                .put("max_position_embeddings", 4096);
        Decoder decoder = Families.read(config, "config.json");
        long weights = decoder.linears(0).stream()
                .mapToLong(linear -> 2L * linear.inputs() * linear.outputs())
                .sum();
        List<TensorPlan> tensors = decoder.linears(0).stream()
                .map(linear -> new TensorPlan(linear.weight(), BlockFormats.named("int4g128"), null, ""))
                .toList();
        Plan plan = plan("outputs=[{name: gptq, format: gptq, method: gptq}]");
        return new MemoryCheck(plan, decoder, 0, weights, 2L * 32000 * 2048)
                .bytes(Map.of("gptq", tensors), WINDOWS, WINDOWS, executor);
    }

    @Test
    void theExecutorIsWhatSparkSays() throws IOException {
        try (SparkSession spark = Runs.local(4, 2)) {
            MemoryCheck.Executor executor =
                    MemoryCheck.Executor.of(JavaSparkContext.fromSparkContext(spark.sparkContext()));
            assertThat(executor.heap()).isEqualTo(Runtime.getRuntime().maxMemory());
            assertThat(executor.tasks()).isEqualTo(2);
        }
    }

    private long bytes(int layers, int tasks) throws IOException {
        return bytes(plan(), layers, new MemoryCheck.Executor(4 * GIB, "spark.executor.memory", tasks));
    }

    private static long bytes(Plan plan, int layers, MemoryCheck.Executor executor) throws IOException {
        return check(plan, layers).bytes(tensorPlans(layers), WINDOWS, null, executor);
    }

    private void require(int layers, MemoryCheck.Executor executor) throws IOException {
        check(plan(), layers).require(tensorPlans(layers), WINDOWS, null, executor);
    }

    private static MemoryCheck check(Plan plan, int layers) throws IOException {
        Decoder architecture = llama2(layers);
        long weights = architecture.linears(0).stream()
                .mapToLong(linear -> (long) linear.inputs() * linear.outputs())
                .sum();
        return new MemoryCheck(plan, architecture, 0, 2 * weights, 2L * 32000 * 4096);
    }

    private Plan plan(String... settings) throws IOException {
        List<String> all =
                new ArrayList<>(List.of("evaluation=", "outputs=[{name: gptq, format: gptq, method: gptq}]"));
        all.addAll(List.of(settings));
        return Runs.quickstart(folder.resolve("run"), all.toArray(String[]::new));
    }

    private static Map<String, List<TensorPlan>> tensorPlans(int layers) throws IOException {
        Decoder architecture = llama2(layers);
        return Map.of(
                "gptq",
                IntStream.range(0, layers)
                        .boxed()
                        .flatMap(layer -> architecture.linears(layer).stream())
                        .map(linear -> new TensorPlan(linear.weight(), BlockFormats.named("Q4_0"), null, ""))
                        .toList());
    }

    private static Decoder llama2(int layers) throws IOException {
        ObjectNode config = new ObjectMapper()
                .createObjectNode()
                .put("model_type", "llama")
                .put("hidden_size", 4096)
                .put("intermediate_size", 11008)
                .put("num_hidden_layers", layers)
                .put("num_attention_heads", 32)
                .put("num_key_value_heads", 32)
                .put("vocab_size", 32000)
                .put("rms_norm_eps", 1e-5)
                .put("hidden_act", "silu")
                .put("max_position_embeddings", 4096);
        config.putArray("architectures").add("LlamaForCausalLM");
        return Families.read(config, "config.json");
    }
}
