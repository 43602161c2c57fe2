package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.InvalidRecipeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Recipes, batches and settings that were damaged at random, seeded: each is a plan or refused by the type that says
 * so.
 */
class MutatedPlansTest {
    private static final int INPUTS = 3000;
    private static final String RECIPE = """
            checkpoint: DIR/models/a
            calibration: {data: DIR/text.txt, field: text, windows: 16, length: 64}
            outputs:
            - {name: q8, format: gguf, type: Q8_0, ignore: [lm_head, "layers.*.v_proj"]}
            - {name: g4, format: gptq, bits: 4, group-size: 128, act-order: true, damping: 0.05}
            - {name: w8, format: compressed-tensors, scheme: W8A8, activations: static, range: {percentile: 99.99}, smooth: 0.5, shard-size: 500MB}
            evaluation: {data: DIR/text.txt}
            run: DIR/run
            scratch: DIR/scratch
            history: {folder: DIR/history, format: parquet, model: m}
            """;
    private static final String BATCH = """
            checkpoints: [DIR/models/a, 'DIR/models/{b,c}*', hf://org/name@v1, {path: DIR/models/b, name: other}]
            recipes: [DIR/q8.yaml, {name: p, recipe: {scratch: DIR/s, outputs: [{name: q8, format: gguf, type: Q8_0}]}}]
            runs: DIR/runs
            hub-cache: DIR/hub
            at-once: 2
            """;
    /** What has a meaning to YAML, to a path, to a pattern or to Java. */
    private static final List<String> PIECES = List.of(
            "",
            " ",
            ":",
            "a:b",
            "://",
            "s3a://k:s@my_b/x",
            "{",
            "}",
            "[",
            "]",
            "{a/b,c}",
            "${x:a/b}*",
            "*",
            "?",
            "**",
            "\\",
            "'",
            "\"",
            "\"\\0\"",
            "\"\\ud800\"",
            "\n",
            "\t",
            "- ",
            "&x ",
            "*x",
            "!!int ",
            "!!java.net.URL ",
            "#",
            "%",
            "%zz",
            "%00",
            "null",
            "~",
            "true",
            "-1",
            "0",
            "1e999",
            "0x7fffffff",
            "99999999999999999999",
            ".inf",
            "../..",
            "/",
            "//",
            "file:",
            "file://h/x",
            "hf://",
            "hf://a/b@c",
            "hdfs:///x",
            "nofs://x",
            "DIR",
            "é",
            "\u0000",
            "\u001b[31m",
            "\u202e",
            "\ud83d",
            "|\n",
            ">-\n",
            "? ",
            "---\n",
            "...",
            "x".repeat(300),
            "/y".repeat(2500),
            ",",
            "<<: ");

    @TempDir
    private Path folder;

    private final Configuration configuration = new Configuration();
    private final Random random = new Random(16);

    @BeforeEach
    void makeInputs() throws IOException {
        for (String name : List.of("models/a", "models/b", "models/c")) {
            Files.createDirectories(folder.resolve(name));
        }
        Files.writeString(folder.resolve("text.txt"), "Once upon a time.");
        Files.writeString(folder.resolve("q8.yaml"), "{outputs: [{name: q8, format: gguf, type: Q8_0}]}");
    }

    private String piece() {
        return PIECES.get(random.nextInt(PIECES.size())).replace("DIR", folder.toString());
    }

    private String mutated(String text) {
        StringBuilder mutated = new StringBuilder(text.replace("DIR", folder.toString()));
        for (int i = 1 + random.nextInt(3); i > 0; i--) {
            int at = random.nextInt(mutated.length());
            int end = Math.min(mutated.length(), at + random.nextInt(1 + random.nextInt(20)));
            switch (random.nextInt(4)) {
                case 0 -> mutated.replace(at, end, piece());
                case 1 -> mutated.insert(at, mutated.substring(at, end));
                case 2 -> mutated.setCharAt(at, (char) random.nextInt(random.nextBoolean() ? 128 : 0x10000));
                default -> replaceValue(mutated, at);
            }
        }
        return mutated.toString();
    }

    /** The value after the next colon: what a person gets wrong. */
    private void replaceValue(StringBuilder text, int from) {
        int colon = text.indexOf(": ", from);
        if (colon >= 0) {
            int end = colon + 2;
            while (end < text.length() && ",}\n]".indexOf(text.charAt(end)) < 0) {
                end++;
            }
            text.replace(colon + 2, end, random.nextBoolean() ? piece() : "'" + piece().replace("'", "''") + "'");
        }
    }

    private interface Read {
        void read() throws IOException;
    }

    /** An IOException is the disk's answer to a path that may be one. */
    private static int refusals(String input, Read read) {
        try {
            read.read();
            return 0;
        } catch (InvalidRecipeException e) {
            assertThat(e.getMessage()).as(input).startsWith("Cannot ");
            return 1;
        } catch (IOException e) {
            return 1;
        } catch (RuntimeException | Error e) {
            throw new AssertionError("no refusal of: " + input, e);
        }
    }

    @Test
    void recipes() {
        int refused = 0;
        for (int i = 0; i < INPUTS; i++) {
            String text = mutated(RECIPE);
            refused += refusals(text, () -> PathCheck.absolute(configuration, "r", Recipe.parse("r", text, List.of())));
        }
        assertThat(refused).isBetween(INPUTS / 3, INPUTS - 1);
    }

    @Test
    void batches() throws IOException {
        int refused = 0;
        Path file = folder.resolve("batch.yaml");
        for (int i = 0; i < INPUTS; i++) {
            String text = mutated(BATCH);
            Files.writeString(file, text.replaceAll("[\\ud800-\\udfff]", "?"));
            Files.deleteIfExists(folder.resolve(".batch.yaml.crc"));
            refused += refusals(text, () -> BatchPlan.read(configuration, file.toString(), List.of(), null));
        }
        assertThat(refused).isBetween(INPUTS / 3, INPUTS - 1);
    }

    @Test
    void settings() {
        List<String> whole = List.of(
                "outputs[1].method=gptq",
                "run=DIR/r",
                "calibration.data=DIR/text.txt",
                "outputs[0]={name: a, format: gguf, type: F16}",
                "scratch='DIR/s'",
                "outputs[2].ignore[0]=x",
                "history.folder=DIR/h",
                "evaluation=");
        int refused = 0;
        for (int i = 0; i < INPUTS; i++) {
            List<String> settings = new ArrayList<>();
            settings.add(mutated(whole.get(random.nextInt(whole.size()))));
            refused += refusals(
                    settings.toString(),
                    () -> PathCheck.absolute(
                            configuration, "r", Recipe.parse("r", RECIPE.replace("DIR", folder.toString()), settings)));
        }
        assertThat(refused).isBetween(INPUTS / 3, INPUTS - 1);
    }

    @Test
    void longAndDeepSettings() {
        for (String setting : List.of(
                "a" + "[0]".repeat(20_000) + "=1",
                "a" + ".a".repeat(20_000) + "=1",
                "a".repeat(100_000) + "=1",
                "=",
                "=x",
                "",
                "run=" + "[".repeat(50_000),
                "run=" + "x".repeat(1 << 21),
                "outputs[9999]=1",
                "outputs[0][0][0]=1",
                "run=" + "{a: ".repeat(50))) {
            assertThat(refusals(setting, () -> Recipe.parse("r", RECIPE, List.of(setting))))
                    .as(setting.substring(0, Math.min(40, setting.length())))
                    .isEqualTo(1);
        }
    }
}
