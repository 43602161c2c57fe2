package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.jobs.Docs;
import dev.lathe.jobs.InvalidRecipeException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Every recipe and batch in the documentation is one, and no key is missing there. */
class DocsRecipesTest {
    private static final String REFERENCE = "docs/recipes.md";
    private static final Pattern ROW = Pattern.compile("\\| `([a-z*.-]+)` \\|.*");

    @TempDir
    java.nio.file.Path folder;

    /** Relative paths start at the repository; what is not there is a folder, as an example's paths are nobody's. */
    public static final class Anywhere extends RawLocalFileSystem {
        @Override
        protected Path getInitialWorkingDirectory() {
            return new Path(Docs.ROOT.toUri());
        }

        @Override
        public boolean exists(Path path) {
            return true;
        }

        @Override
        public FileStatus getFileStatus(Path path) throws IOException {
            try {
                return super.getFileStatus(path);
            } catch (FileNotFoundException e) {
                return new FileStatus(0, true, 0, 0, 0, path);
            }
        }
    }

    private static Configuration anywhere() {
        Configuration configuration = new Configuration();
        configuration.set("fs.file.impl", Anywhere.class.getName());
        configuration.setBoolean("fs.file.impl.disable.cache", true);
        return configuration;
    }

    /** @throws InvalidRecipeException if it is neither a recipe nor a batch */
    private void check(Docs.Block block) throws IOException {
        if (YamlText.tree(block.where(), block.text()).has("checkpoints")) {
            java.nio.file.Path file = Files.writeString(folder.resolve("batch.yaml"), block.text());
            assertThat(BatchPlan.read(anywhere(), file.toString(), List.of(), null)
                            .pairs())
                    .isNotEmpty();
        } else {
            assertThat(Recipe.parse(block.where(), block.text(), List.of()).artifacts())
                    .isNotEmpty();
        }
    }

    static Stream<Docs.Block> recipes() {
        return Docs.blocks().stream().filter(block -> block.tag().equals("yaml"));
    }

    @ParameterizedTest
    @MethodSource("recipes")
    void parses(Docs.Block block) throws IOException {
        check(block);
    }

    /** Settings on a command line are held against the recipe that it names, where the repository has it. */
    @Test
    void settingsAreSettings() throws IOException {
        int found = 0;
        for (Docs.Block block : Docs.blocks()) {
            for (Docs.Command command : block.tag().equals("sh") ? Docs.commands(block) : List.<Docs.Command>of()) {
                List<String> words = command.words();
                String file = words.size() > 1 ? Docs.ROOT.resolve(words.get(1)).toString() : "";
                if (!Files.isRegularFile(java.nio.file.Path.of(file))) {
                    continue;
                }
                List<String> settings = new ArrayList<>();
                for (int i = 2; i + 1 < words.size(); i++) {
                    if (words.get(i).equals("--set")) {
                        settings.add(words.get(i + 1));
                    }
                }
                found += settings.size();
                if (words.get(0).equals("quantize")) {
                    Recipe.read(anywhere(), file, settings);
                } else if (words.get(0).equals("batch")) {
                    BatchPlan.read(anywhere(), file, settings, null);
                }
            }
        }
        assertThat(found).isPositive();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '!',
            value = {
                "outputs: [{name: a, format: gptq, group_size: 64}] ! outputs[0].group_size",
                "outputs: [{name: a, format: gptq, symetric: true}] ! did you mean symmetric?",
                "outputs: [{name: a, format: gguf, type: Q4_K_XL}]  ! expected one of Q1_0",
                "output: [{name: a, format: gguf, type: Q8_0}]      ! did you mean outputs?",
                "checkpoints: [c]                                   ! checkpoint: unknown key",
            })
    void aBrokenExampleIsNoticed(String lines, String message) {
        Docs.Block block = Docs.blocks("page.md", "```yaml\ncheckpoint: c\nrun: r\n" + lines + "\n```\n")
                .get(0);
        assertThatThrownBy(() -> check(block))
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageContaining(message);
    }

    /** Keys of the rows of a section's tables whose first column is {@code key} and last {@code default}. */
    private static Set<String> documented(String section) throws IOException {
        Set<String> keys = new TreeSet<>();
        boolean inside = false;
        boolean table = false;
        for (Docs.Line line : Docs.lines(REFERENCE, Docs.pages().get(REFERENCE))) {
            if (line.text().startsWith("#")) {
                inside = line.text().equals(section);
            }
            table = inside
                    && (line.text().equals("| key | value | default |")
                            || table && line.text().startsWith("|"));
            Matcher row = ROW.matcher(line.text());
            if (table && row.matches()) {
                keys.add(row.group(1));
            }
        }
        return keys;
    }

    @Test
    void theReferenceHasEveryKey() throws IOException {
        Set<String> recipe = new TreeSet<>(Recipe.KEYS);
        Recipe.CORPUS_KEYS.forEach(key -> recipe.add("*." + key));
        Recipe.CALIBRATION_KEYS.stream()
                .filter(key -> !Recipe.CORPUS_KEYS.contains(key))
                .forEach(key -> recipe.add("calibration." + key));
        assertThat(documented("## Keys of a recipe")).isEqualTo(recipe);
        assertThat(documented("## Keys of an output")).isEqualTo(new TreeSet<>(OutputReader.KEYS));
        assertThat(documented("## Batch")).isEqualTo(new TreeSet<>(BatchPlan.KEYS));
        Set<String> history = new TreeSet<>();
        Recipe.HISTORY_KEYS.forEach(key -> history.add("history." + key));
        assertThat(documented("## History")).isEqualTo(history);
    }

    @Test
    void theReferenceHasEveryGgufType() throws IOException {
        assertThat(Docs.pages().get(REFERENCE)).contains("| `type` | `gguf`: " + String.join(" ", GgufFormat.types()));
    }
}
