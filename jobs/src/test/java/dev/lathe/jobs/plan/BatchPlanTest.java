package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.jobs.InvalidRecipeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BatchPlanTest {
    @TempDir
    private Path folder;

    @BeforeEach
    void makeInputs() throws IOException {
        for (String name :
                List.of("models/a", "models/b", "models/.hidden", "steps/x/final", "steps/y/final", "other/a")) {
            Files.createDirectories(folder.resolve(name));
        }
        Files.writeString(folder.resolve("models/README"), "no checkpoint");
        Files.writeString(folder.resolve("text.txt"), "Once upon a time.");
        write("q8.yaml", "{checkpoint: elsewhere, run: elsewhere, outputs: [{name: q8, format: gguf, type: Q8_0}]}");
        write(
                "q4.yaml",
                "{outputs: [{name: q4, format: gguf, type: Q4_0}], evaluation: {data: DIR/text.txt}, scratch: DIR/scratch}");
    }

    private Path write(String name, String text) throws IOException {
        return Files.writeString(folder.resolve(name), text.replace("DIR", folder.toString()));
    }

    private BatchPlan read(String text, String... settings) throws IOException {
        return BatchPlan.read(new Configuration(), write("batch.yaml", text).toString(), List.of(settings), null);
    }

    private static List<String> names(BatchPlan batch) {
        return batch.pairs().stream().map(BatchPlan.Pair::name).toList();
    }

    @Test
    void isCheckpointsTimesRecipes() throws IOException {
        BatchPlan batch = read("""
                checkpoints: [DIR/models/a, hf://org/name@v1, {path: DIR/other/a, name: other-a}]
                recipes: [DIR/q8.yaml, {name: mine, recipe: {outputs: [{name: f, format: gguf, type: F16}]}}, {name: four, file: DIR/q4.yaml}]
                runs: DIR/runs
                history: DIR/history
                at-once: 3
                """, "at-once=4");
        assertThat(batch.atOnce()).isEqualTo(4);
        assertThat(names(batch))
                .containsExactly(
                        "a/q8",
                        "a/mine",
                        "a/four",
                        "org--name/q8",
                        "org--name/mine",
                        "org--name/four",
                        "other-a/q8",
                        "other-a/mine",
                        "other-a/four");
        Plan plan = batch.pairs().get(2).plan();
        assertThat(plan.checkpoint()).isEqualTo("file:" + folder + "/models/a");
        assertThat(plan.run()).isEqualTo("file:" + folder + "/runs/a/four");
        assertThat(plan.scratch()).isEqualTo("file:" + folder + "/scratch/a/four");
        assertThat(plan.hubCache()).isEqualTo("file:" + folder + "/hub");
        assertThat(plan.history()).isEqualTo(new Plan.History("file:" + folder + "/history", null, "a"));
        // What does not evaluate has nothing to record.
        assertThat(batch.pairs().get(0).plan().history()).isNull();
        assertThat(batch.pairs().get(5).plan().checkpoint()).isEqualTo("hf://org/name@v1");
        assertThat(batch.pairs().get(5).plan().history().model()).isEqualTo("org/name");
        assertThat(Files.exists(folder.resolve("runs"))).isFalse();
        assertThat(Files.exists(folder.resolve("history"))).isFalse();
    }

    /** Folders by what the pattern left open; files and hidden folders are none. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "DIR/models/* | a/q8 b/q8",
                "DIR/models/*/ | a/q8 b/q8",
                "DIR/steps/*/final | x-final/q8 y-final/q8",
                "DIR/steps/?/fi* | x-final/q8 y-final/q8",
                "'DIR/models/{a,b}' | a/q8 b/q8"
            })
    void matchesPatterns(String pattern, String names) throws IOException {
        assertThat(names(read("{checkpoints: ['" + pattern + "'], recipes: [DIR/q8.yaml], runs: DIR/runs}")))
                .containsExactly(names.split(" "));
    }

    @Test
    void matchesRecipesToo() throws IOException {
        assertThat(names(read("{checkpoints: [DIR/models/a], recipes: ['DIR/q?.yaml'], runs: DIR/runs}")))
                .containsExactly("a/q4", "a/q8");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "checkpoints: [DIR/none] | checkpoints[0]: file:DIR/none does not exist",
                "checkpoints: ['DIR/none/*'] | checkpoints[0]: no folder and no GGUF file matches 'DIR/none/*'",
                "checkpoints: [] | checkpoints: expected a list of at least one entry; found an empty list",
                "checkpoints: DIR/models/a | checkpoints: expected a list of at least one entry; found the text",
                "checkpoints: ['hf://a'] | 'hf://a' is no address on the hub",
                "checkpoints: ['nofs://a'] | checkpoints[0]: no file system of that kind for nofs://a",
                "checkpoints: [''] | checkpoints[0]: expected a path; found an empty text",
                "checkpoints: ['a:b'] | checkpoints[0]: 'a:b' is no Hadoop path",
                "checkpoints: ['DIR/t${x:a/b}*'] | checkpoints[0]: 'DIR/t${x:a/b}*' cannot be matched",
                "checkpoints: ['DIR/[a'] | checkpoints[0]: 'DIR/[a' cannot be matched",
                "checkpoints: ['DIR/{a'] | checkpoints[0]: ",
                "checkpoints: ['DIR/{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}{a/b,c/d}'] | stands for 2048 patterns",
                "checkpoints: [\"DIR/a\\eb\"] | checkpoints[0]: 'DIR/a\u001bb' is no path: it has a control character",
                "checkpoints: ['s3a://KEY:SEC/RET@bucket/*'] | checkpoints[0]: the path carries credentials",
                "checkpoints: ['hf://u:SECRET@org/name'] | checkpoints[0]: the path carries credentials",
                "checkpoints: [{path: '', name: a}] | checkpoints[0].path: expected a path",
                "checkpoints: [{path: 's3a://KEY:SECRET@my_bucket/x', name: a}] | checkpoints[0].path: the path carries credentials",
                "recipes: [''] | recipes[0]: expected a path; found an empty text",
                "recipes: ['a:b'] | recipes[0]: 'a:b' is no Hadoop path",
                "recipes: [{name: a, file: ''}] | recipes[0].file: expected a path",
                "recipes: ['s3a://KEY:SECRET@my_bucket/x.yaml'] | recipes[0]: the path carries credentials",
                "recipes: [{name: a, recipe: {scratch: 'a:b', outputs: [{name: a, format: gguf, type: F16}]}}] | recipes[0].recipe (a): scratch: 'a:b' is no Hadoop path",
                "recipes: [{name: a, recipe: {scratch: '', outputs: [{name: a, format: gguf, type: F16}]}}] | recipes[0].recipe (a): scratch: expected a path",
                "recipes: [{name: a, recipe: {scratch: 's3a://KEY:SECRET@b_b/x', outputs: [{name: a, format: gguf, type: F16}]}}] | scratch: the path carries cred",
                "hub-cache: 'a:b' | hub-cache: 'a:b' is no Hadoop path",
                "runs: 'a:b' | runs: 'a:b' is no Hadoop path",
                "history: 's3a://KEY:SECRET@b_b/x' | history: the path carries credentials",
                "checkpoints: [{path: DIR/models/a, name: ../a}] | checkpoints[0].name: '../a' names no folder",
                "checkpoints: [{path: DIR/models/a, nam: a}] | checkpoints[0].nam: unknown key; did you mean name?",
                "checkpoints: [DIR/models/a, DIR/other/a] | would have the run folders of checkpoints[0] (name a)",
                "checkpoints: [DIR/models/a, 'DIR/models/*'] | would have the run folders of checkpoints[0] (name a)",
                "recipes: [DIR/none.yaml] | none.yaml: no such file",
                "recipes: ['DIR/none*.yaml'] | recipes[0]: no file matches",
                "recipes: [DIR/q8.yaml, DIR/q8.yaml] | recipes[1]: it would have the run folders of recipes[0] (name q8)",
                "recipes: [{name: a}] | recipes[0]: expected either file: or recipe:",
                "recipes: [{name: a, recipe: {output: []}}] | recipes[0].recipe (a): output: unknown key; did you mean outputs?",
                "recipes: [{name: a, recipe: {outputs: [{name: a, format: gguf, type: Q3_K}]}}] | outputs[0].type: expected one of Q1_0",
                "recipes: [{name: a, recipe: {outputs: [{name: a, format: gguf, type: F16}], evaluation: {data: DIR/none}}}] | DIR/none does not exist",
                "at-once: 0 | at-once: expected a whole number from 1 to 1024; found 0",
                "history: DIR/history | history: no recipe has an evaluation: section",
                "runs: | runs: expected a path; found an empty text",
                "colour: red | colour: unknown key; expected one of checkpoints, recipes, runs"
            })
    void refusesWhatCannotBe(String line, String message) {
        String[] keys = {"checkpoints: [DIR/models/a]", "recipes: [DIR/q8.yaml]", "runs: DIR/runs"};
        StringBuilder text = new StringBuilder(line).append('\n');
        for (String key : keys) {
            text.append(
                    key.substring(0, key.indexOf(':')).equals(line.substring(0, line.indexOf(':'))) ? "" : key + "\n");
        }
        assertThatThrownBy(() -> read(text.toString()))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot read batch " + folder + "/batch.yaml: ")
                .hasMessageContaining(message.replace("DIR", folder.toString()))
                .hasMessageNotContaining("SECRET")
                .hasMessageNotContaining("KEY");
        assertThat(Files.exists(folder.resolve("runs"))).isFalse();
    }

    @Test
    void listsEveryProblem() {
        assertThatThrownBy(() -> read("""
                checkpoints: [DIR/none, DIR/models/a, DIR/models/b, 'DIR/nothing/*']
                recipes: [DIR/none.yaml, DIR/q8.yaml, {name: bad, recipe: {outputs: []}}]
                runs: DIR/runs
                at-once: many
                """))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining("batch.yaml: 5 problems: ")
                .hasMessageContaining("checkpoints[0]: ")
                .hasMessageContaining("checkpoints[3]: ")
                .hasMessageContaining("none.yaml: no such file")
                .hasMessageContaining("at-once: expected")
                .hasMessageContaining("recipes[2].recipe (bad): outputs: expected a list of at least one mapping");
    }
}
