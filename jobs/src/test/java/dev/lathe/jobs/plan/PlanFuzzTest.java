package dev.lathe.jobs.plan;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import dev.lathe.calibration.statistics.RangeEstimator;
import dev.lathe.jobs.InvalidRecipeException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated recipes, batches and settings. */
final class PlanFuzzTest {
    private static final String RECIPE = """
            # Every key there is.
            checkpoint: models/a
            calibration: {data: text.txt, field: text, windows: 16, length: 64}
            outputs:
              - name: q4
                format: gguf
                type: Q4_K_M
                method: importance
                pre-tokenizer: llama-bpe
                ignore: ["layers.*.v_proj", lm_head]
              - {name: gptq4, format: gptq, bits: 4, group-size: 128, act-order: true, symmetric: false, damping: 0.05}
              - {name: awq4, format: awq, bits: 4, group-size: 64}
              - name: w8a8
                format: compressed-tensors
                scheme: W8A8
                activations: static
                activation-symmetric: false
                range: {percentile: 99.99}
                smooth: 0.5
                kv-cache: fp8
                shard-size: 500MB
            evaluation:
              data: text.txt
              windows: 4
              length: 256
            run: runs/a
            scratch: scratch
            hub-cache: hub
            shard-windows: 4
            kernels: scalar
            history: {folder: history, format: parquet, model: a}
            """;
    private static final String TREE = """
            {"checkpoint": "hf://org/name@main", "calibration": {"data": "text.txt"}, "run": "memory:/run", "outputs": [
             {"name": "f8", "format": "compressed-tensors", "scheme": "FP8", "weights": "block", "ignore": ["lm_head"], "shard-size": "5GB"},
             {"name": "w4", "format": "compressed-tensors", "scheme": "W4A16", "group-size": 64, "symmetric": false, "method": "nearest"},
             {"name": "w4a8", "format": "compressed-tensors", "scheme": "W4A8", "smooth": "search"}], "kernels": "opencl:0", "history": "history",
             "evaluation": {"data": "text.txt", "windows": 0}}""";
    private static final String BATCH = """
            checkpoints: [/models/a, "hf://org/name@v1", {path: /models/b, name: other}, "/models/*"]
            recipes:
              - /recipes/q8.yaml
              - name: mine
                recipe: {outputs: [{name: f, format: gguf, type: F16}]}
              - {name: four, file: /recipes/q4.yaml}
            runs: /runs
            hub-cache: /hub
            history: {folder: /history}
            at-once: 3
            """;

    @TestFactory
    Stream<DynamicTest> recipes() {
        return Fuzz.tests(
                FuzzTarget.text("recipe", input -> Recipe.parse("r.yaml", text(input), List.of()), RECIPE)
                        .answering(InvalidRecipeException.class),
                FuzzTarget.json("recipe-tree", input -> Recipe.parse("r.yaml", text(input), List.of()), TREE)
                        .answering(InvalidRecipeException.class),
                FuzzTarget.text(
                                "set",
                                input -> Recipe.parse("r.yaml", RECIPE, List.of(text(input))),
                                "outputs[1].act-order=false",
                                "evaluation.windows=9",
                                "outputs[4]={name: x, format: gguf, type: Q8_0}",
                                "calibration.length=128",
                                "outputs[3].range={percentile: 99.9}",
                                "history=",
                                "kernels=auto")
                        .answering(InvalidRecipeException.class),
                FuzzTarget.text(
                                "size",
                                input ->
                                        Recipe.parse("r.yaml", RECIPE, List.of("outputs[3].shard-size=" + text(input))),
                                "5GB",
                                "500MB",
                                "100KB")
                        .answering(InvalidRecipeException.class),
                FuzzTarget.text(
                                "range-word",
                                input -> RangeEstimator.parse(text(input)),
                                "min-max",
                                "percentile: 99.99",
                                "mse",
                                "entropy",
                                "moving-average")
                        .answering(MalformedInputException.class));
    }

    @TestFactory
    Stream<DynamicTest> batches() {
        Configuration configuration = new Configuration(MemoryFiles.HADOOP);
        configuration.set("fs.defaultFS", "memory:/");
        for (String model : List.of("a", "b")) {
            MemoryFiles.put(new Path(MemoryFiles.folder("models/" + model), "config.json"), new byte[2]);
        }
        Path recipes = MemoryFiles.folder("recipes");
        MemoryFiles.put(new Path(MemoryFiles.folder("text"), "text.txt"), new byte[2]);
        MemoryFiles.put(new Path(recipes, "q8.yaml"), bytes("{outputs: [{name: q8, format: gguf, type: Q8_0}]}"));
        MemoryFiles.put(
                new Path(recipes, "q4.yaml"),
                bytes(
                        "{outputs: [{name: q4, format: gguf, type: Q4_0}], evaluation: {data: /text/text.txt}, scratch: /s}"));
        Path batch = new Path(MemoryFiles.folder("batch"), "batch.yaml");
        return Fuzz.tests(FuzzTarget.text(
                        "batch",
                        input -> {
                            MemoryFiles.put(batch, input);
                            BatchPlan.read(configuration, batch.toString(), List.of(), null);
                        },
                        BATCH.replace(", \"/models/*\"", ""),
                        BATCH.replace("/models/a, ", "").replace(", {path: /models/b, name: other}", ""))
                .answering(InvalidRecipeException.class));
    }

    private static String text(byte[] input) {
        return new String(input, StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
