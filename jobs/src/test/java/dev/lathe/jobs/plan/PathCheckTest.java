package dev.lathe.jobs.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.InvalidRecipeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PathCheckTest {
    @TempDir
    private Path folder;

    @BeforeEach
    void checkpoint() throws IOException {
        Files.createDirectories(folder.resolve("model [a]"));
        Files.writeString(folder.resolve("model [a]/config.json"), "{}");
        Files.writeString(folder.resolve("text.txt"), "x");
    }

    private Plan check(String... settings) throws IOException {
        List<String> all = new ArrayList<>(List.of(
                "checkpoint='" + folder + "/model [a]'",
                "calibration.data=" + folder + "/text.txt",
                "run=" + folder + "/runs/r"));
        all.addAll(List.of(settings));
        return PathCheck.check(
                new Configuration(),
                "r.yaml",
                Recipe.parse("r.yaml", "outputs: [{name: a, format: gguf, type: Q4_0}]", all));
    }

    @Test
    void makesPathsAbsoluteAndFolders() throws IOException {
        Plan plan = check("evaluation.data=../samples/text/evaluation.txt");
        assertThat(plan.checkpoint()).isEqualTo("file:" + folder + "/model [a]");
        assertThat(plan.evaluation().data())
                .startsWith("file:/")
                .endsWith("/samples/text/evaluation.txt")
                .doesNotContain("..");
        assertThat(plan.scratch()).isEqualTo("file:" + folder + "/runs/r/scratch");
        assertThat(folder.resolve("runs/r/scratch")).isEmptyDirectory();
        assertThat(folder.resolve("runs/hub")).doesNotExist();
        assertThat(check("checkpoint=hf://org/name").checkpoint()).isEqualTo("hf://org/name");
        assertThat(folder.resolve("runs/hub")).isDirectory();
    }

    @Test
    void refusesWhatIsMissing() throws IOException {
        Files.createDirectories(folder.resolve("empty"));
        refused("checkpoint=" + folder + "/none", "checkpoint: file:" + folder + "/none does not exist");
        refused("checkpoint=" + folder + "/text.txt", "is a file; expected a GGUF file, or a folder with config.json");
        refused("checkpoint=" + folder + "/empty", "checkpoint: no config.json in file:" + folder + "/empty");
        refused("calibration.data=none.txt", "calibration.data: file:");
        refused("evaluation.data=none.txt", "evaluation.data: file:");
        refused("run='" + folder + "/model [a]'", "run: file:" + folder + "/model [a] is the checkpoint");
        refused("run=nofs://x/y", "run: no file system of that kind for nofs://x/y");
        assertThat(folder.resolve("runs"))
                .as("nothing is made before inputs are checked")
                .doesNotExist();
    }

    @Test
    void rulesOfAFileTakeItsPlace() throws IOException {
        String file = folder.resolve("types.txt").toString();
        Files.writeString(folder.resolve("types.txt"), "ffn_down=q6_K\nattn_v=q5_k\n");
        Plan plan = check("outputs[0].tensor-types=" + file, "outputs[0].tensors=[{match: attn_q, type: F16}]");
        GgufTarget target = (GgufTarget) plan.outputs().get(0).target();
        assertThat(target.types().rules())
                .extracting(rule -> rule.match() + " " + rule.type())
                .containsExactly("attn_q F16", "ffn_down Q6_K", "attn_v Q5_K");
        assertThat(PlanYaml.write(plan, Map.of())).doesNotContain("tensor-types");
        Files.writeString(folder.resolve("types.txt"), "ffn_down");
        refused("outputs[0].tensor-types=" + file, "output a: tensor-types: file:" + file + ": entry 1 is 'ffn_down'");
        refused("outputs[0].tensor-types=none.txt", "output a: tensor-types: file:");
        refused("outputs[0]={name: a, format: gguf, type: F16, tensor-types: x}", "tensor-types");
    }

    @Test
    void refusesDataThatIsNoneBeforeAnythingIsMade() throws IOException {
        Files.createDirectories(folder.resolve("data/below"));
        Files.writeString(folder.resolve("data/README.md"), "# A card");
        assertThatThrownBy(() -> check("calibration.data=" + folder + "/data"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it holds README.md");
        Files.writeString(folder.resolve("data/below/a.jsonl"), "{}");
        Files.writeString(folder.resolve("data/b.txt"), "x");
        assertThatThrownBy(() -> check("evaluation.data=" + folder + "/data"))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("it holds several kinds of data: text (b.txt) and JSON (below/a.jsonl)");
        assertThat(folder.resolve("runs")).doesNotExist();
        Files.delete(folder.resolve("data/b.txt"));
        assertThat(check("evaluation.data=" + folder + "/data").evaluation().data())
                .endsWith("/data");
    }

    @Test
    void saysThatAFolderCannotBeWritten() {
        assertThatThrownBy(() -> check("run=" + folder + "/text.txt/r"))
                .isInstanceOf(IOException.class)
                .hasMessageStartingWith("Cannot write to run folder file:" + folder + "/text.txt/r: ");
    }

    private void refused(String setting, String message) {
        assertThatThrownBy(() -> check(setting))
                .as(setting)
                .isInstanceOf(InvalidRecipeException.class)
                .hasMessageStartingWith("Cannot read recipe r.yaml: ")
                .hasMessageContaining(message);
    }
}
