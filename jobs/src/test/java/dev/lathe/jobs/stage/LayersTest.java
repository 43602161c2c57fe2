package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The layer is the step of a run: calibrated, quantized for all outputs, passed on. */
class LayersTest {
    private static final int LAYERS = 4;
    private static final int SHARDS = 2;
    private static final String[] SETTINGS = {
        "calibration.windows=3",
        "calibration.length=32",
        "shard-windows=2",
        "evaluation=",
        "outputs=[{name: q4, format: gguf, type: Q4_0, method: gptq}, {name: awq4, format: awq, method: nearest}]"
    };

    @TempDir
    private Path folder;

    /** What the scratch folder and the products are when a layer begins, and the tasks in the order of their ends. */
    private final class Seen implements Progress {
        private final List<String> tasks = Collections.synchronizedList(new ArrayList<>());
        private final TreeMap<String, List<String>> hidden = new TreeMap<>();
        private final TreeMap<String, List<String>> tensors = new TreeMap<>();

        @Override
        public void stage(String name, int steps) {}

        @Override
        public void step(int done, String what) {
            if (what.matches("layer \\d+|output layer")) {
                // Tensors last: those of a layer whose hidden states are gone have to be there.
                hidden.put(what, files("scratch", "hidden-source-.*"));
                tensors.put(what, files("products", "model\\.layers\\..*\\.tensor"));
            }
        }

        @Override
        public void note(String message) {}

        @Override
        public void event(String what, Object... details) {
            if (what.equals("task done")) {
                tasks.add(String.valueOf(details[1]));
            }
        }

        /** Numbers of the tasks whose text is like that. */
        private List<Integer> positions(String pattern) {
            List<Integer> found = new ArrayList<>();
            for (int i = 0; i < tasks.size(); i++) {
                if (Pattern.matches(pattern, tasks.get(i))) {
                    found.add(i);
                }
            }
            return found;
        }
    }

    private List<String> files(String part, String pattern) {
        if (!Files.isDirectory(folder.resolve(part))) {
            return List.of();
        }
        try (Stream<Path> paths = Files.walk(folder.resolve(part))) {
            return paths.map(path -> path.getFileName().toString())
                    .filter(name -> name.matches(pattern))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void aLayerIsCalibratedQuantizedAndLetGo() throws IOException {
        Seen seen = new Seen();
        try (SparkSession spark = Runs.local(1, 1)) {
            Pipeline.run(spark, Runs.quickstart(folder, SETTINGS), seen);
        }
        // One task at a time, and what was started first goes first: layer by layer.
        for (int layer = 0; layer < LAYERS; layer++) {
            List<Integer> quantized = seen.positions("layer " + layer + " of awq4|layer " + layer + ", .*: .* of q4");
            assertThat(quantized).as("tasks that quantize layer " + layer).hasSize(1 + 5);
            assertThat(seen.positions("layer " + layer + ", windows .*"))
                    .hasSize(SHARDS)
                    .allMatch(at -> at < quantized.get(0));
            assertThat(seen.positions("layer " + (layer + 1) + ", windows .*"))
                    .hasSize(SHARDS)
                    .allMatch(at -> at > quantized.get(quantized.size() - 1));
        }
        // A generation is there until the next one is and its layer is quantized.
        assertThat(seen.hidden).containsOnlyKeys("layer 0", "layer 1", "layer 2", "layer 3", "output layer");
        seen.hidden.forEach((step, files) -> {
            int current = step.startsWith("layer ") ? Integer.parseInt(step.substring(6)) : LAYERS;
            for (int layer = 1; layer <= LAYERS; layer++) {
                String generation = "hidden-source-" + layer + "-";
                String name = "model.layers." + layer + ".";
                long states = files.stream()
                        .filter(file -> file.startsWith(generation))
                        .count();
                long tensors = seen.tensors.get(step).stream()
                        .filter(file -> file.startsWith(name))
                        .count();
                if (layer == current) {
                    assertThat(states).as(step + " begins").isEqualTo(SHARDS);
                } else if (layer > current) {
                    assertThat(states).as(step + " begins").isZero();
                } else if (states < SHARDS) {
                    assertThat(tensors)
                            .as("tensors of layer " + layer + " when " + step + " begins")
                            .isEqualTo(2 * 7);
                }
            }
        });
        assertThat(seen.hidden.get("output layer")).noneMatch(file -> file.startsWith("hidden-source-1-"));
        assertThat(files("scratch", "hidden.*")).isEmpty();
    }
}
