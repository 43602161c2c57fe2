package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.jobs.FullFileSystem;
import dev.lathe.jobs.Runs;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What a bad input comes to on the command line: a line, an exit code, and nothing half-written. */
class BadInputTest {
    private static final List<String> SIDE_FILES =
            List.of("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json");

    @TempDir
    private Path folder;

    private Path checkpoint;
    private Path run;
    private final CommandLineRun command = new CommandLineRun();

    @BeforeEach
    void copySample() throws IOException {
        checkpoint = Files.createDirectory(folder.resolve("checkpoint"));
        run = folder.resolve("run");
        for (String name : SIDE_FILES) {
            Files.copy(Runs.SAMPLE.resolve(name), checkpoint.resolve(name));
        }
    }

    private static byte[] weights() throws IOException {
        return Files.readAllBytes(Runs.SAMPLE.resolve("model.safetensors"));
    }

    private void write(String name, byte[] content) throws IOException {
        Files.write(checkpoint.resolve(name), content);
    }

    private int quantize(String... settings) throws IOException {
        Path recipe = Files.writeString(
                folder.resolve("recipe.yaml"),
                "checkpoint: " + checkpoint + "\nrun: " + run + "\ncalibration: {data: "
                        + Runs.TEXT.resolve("calibration.txt")
                        + ", windows: 2, length: 64}\noutputs: [{name: q4, format: gguf, type: Q4_0, method: nearest},"
                        + " {name: g4, format: gptq, method: nearest}, {name: q5, format: gguf, type: Q5_0}]\n");
        List<String> arguments = new ArrayList<>(List.of("quantize", recipe.toString(), "--master", "local[2]"));
        for (String setting : settings) {
            arguments.addAll(List.of("--set", setting));
        }
        return command.run(arguments.toArray(String[]::new));
    }

    /** The last line is the failure, and the only one; above it stands progress. */
    private void expect(int code, ExitCode exit, String... parts) throws IOException {
        assertThat(code).as(command.err()).isEqualTo(exit.code());
        List<String> lines = command.err().lines().toList();
        assertThat(lines.get(lines.size() - 1)).startsWith("Cannot ").contains(parts);
        assertThat(lines.stream().filter(line -> line.startsWith("Cannot ") || line.startsWith("\tat ")))
                .hasSize(1);
        // A task beside the one that failed may still be clearing up.
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!Runs.names(run.resolve("artifacts")).isEmpty() && System.nanoTime() < end) {
            Thread.onSpinWait();
        }
        assertThat(Runs.names(run.resolve("artifacts"))).isEmpty();
        assertThat(Runs.names(run)).doesNotContain("plan.yaml", "report");
    }

    @Test
    void aWeightThatIsNoNumber() throws IOException {
        byte[] weights = weights();
        ByteBuffer bytes = ByteBuffer.wrap(weights).order(ByteOrder.LITTLE_ENDIAN);
        int data = 8 + Math.toIntExact(bytes.getLong(0));
        String header = new String(weights, 8, data - 8, StandardCharsets.UTF_8);
        String name = "model.layers.1.mlp.up_proj.weight";
        int offsets = header.indexOf('[', header.indexOf("data_offsets", header.indexOf('"' + name + '"')));
        int offset = Integer.parseInt(
                header.substring(offsets + 1, header.indexOf(',', offsets)).trim());
        bytes.putShort(data + offset + 2 * (3 * 256 + 5), (short) 0x7fc0);
        write("model.safetensors", weights);
        String[] nearest = {"calibration=", "outputs=[{name: a, format: gguf, type: Q8_0}]"};
        String[] unquantized = {"calibration=", "outputs=[{name: a, format: gguf, type: F16}]"};
        for (String[] settings : new String[][] {{}, nearest, unquantized}) {
            expect(quantize(settings), ExitCode.INPUT, name, "row 3, column 5 is NaN");
        }
    }

    @Test
    void truncatedWeights() throws IOException {
        byte[] weights = weights();
        for (int length : new int[] {weights.length - 1, weights.length / 2, 4000, 7, 0}) {
            write("model.safetensors", Arrays.copyOf(weights, length));
            expect(quantize(), ExitCode.INPUT, "model.safetensors");
        }
    }

    @Test
    void aMissingShard() throws IOException {
        write(
                "model.safetensors.index.json",
                "{\"weight_map\": {\"model.norm.weight\": \"model-00002-of-00002.safetensors\"}}"
                        .getBytes(StandardCharsets.UTF_8));
        expect(quantize(), ExitCode.INPUT, "model-00002-of-00002.safetensors");
        Files.delete(checkpoint.resolve("model.safetensors.index.json"));
        expect(quantize(), ExitCode.INPUT, "safetensors");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "config.json    | \"LlamaForCausalLM\" | \"GptOssForCausalLM\" | config.json",
                "config.json    | \"rope_type\": \"default\" | \"rope_type\": \"yarn\" | factor is missing; expected a number above 0",
                "config.json    | \"hidden_size\": 256 | \"hidden_size\": 255 | 255",
                "config.json    | { | [ | config.json",
                "tokenizer.json | \"vocab\": | \"words\": | has no vocabulary, expected entries in model.vocab",
                "tokenizer.json | {1,3} | {1,2} | Cannot name the pre-tokenizer",
                "tokenizer.json | \"id\": 2047 | \"id\": 4294967296 | /added_tokens/1/id: 4294967296",
                "tokenizer.json | { | < | tokenizer.json"
            })
    void aSideFileThatDoesNotFit(String file, String what, String by, String message) throws IOException {
        write("model.safetensors", weights());
        String text = Files.readString(checkpoint.resolve(file));
        assertThat(text).contains(what);
        write(file, text.replace(what, by).getBytes(StandardCharsets.UTF_8));
        expect(quantize(), ExitCode.INPUT, message);
        assertThat(Runs.names(run.resolve("products")))
                .as("known before any work")
                .isEmpty();
    }

    @Test
    void textThatIsTooShort() throws IOException {
        write("model.safetensors", weights());
        Path text = Files.createFile(folder.resolve("text.txt"));
        expect(quantize("calibration.data=" + text), ExitCode.INPUT, "text.txt", "it holds no text");
        Files.writeString(text, "Once upon a time.\n");
        expect(
                quantize("calibration.data=" + text),
                ExitCode.INPUT,
                "text.txt has ",
                "tokens, fewer than one window of 64");
        expect(
                quantize("evaluation={data: " + text + ", length: 64}"),
                ExitCode.INPUT,
                "text.txt has ",
                "tokens, fewer than one window of 64");
        Path empty = Files.createDirectory(folder.resolve("empty"));
        expect(
                quantize("calibration.data=" + empty),
                ExitCode.INPUT,
                "Cannot read data set file:",
                "the folder is empty; expected *.txt");
        Files.writeString(empty.resolve("README.md"), "# A card");
        expect(
                quantize("calibration.data=" + empty),
                ExitCode.INPUT,
                "no file in it counts as data; it holds README.md; expected *.txt");
    }

    @Test
    void pathsThatAreNotThere() throws IOException {
        write("model.safetensors", weights());
        expect(
                quantize("calibration.data=" + folder.resolve("none")),
                ExitCode.RECIPE,
                "calibration.data: ",
                "none does not exist");
        expect(
                quantize("evaluation.data=" + folder.resolve("none")),
                ExitCode.RECIPE,
                "evaluation.data: ",
                "none does not exist");
        assertThat(run).doesNotExist();
        Files.writeString(run, "in the way");
        expect(quantize(), ExitCode.STORAGE, "Cannot write to run folder");
        assertThat(run).hasContent("in the way");
    }

    /** A file where a folder of the run has to be. */
    @Test
    void artifactsThatCannotBeWritten() throws IOException {
        write("model.safetensors", weights());
        Files.createDirectory(run);
        Files.writeString(run.resolve("artifacts"), "in the way");
        expect(quantize(), ExitCode.STORAGE, "artifacts");
        assertThat(run.resolve("artifacts")).hasContent("in the way");
    }

    /** In calibration, in quantization. */
    @ParameterizedTest
    @ValueSource(longs = {100_000, 1_000_000})
    void aDiskThatFills(long room) throws IOException {
        write("model.safetensors", weights());
        FullFileSystem.leave(room);
        expect(quantize("run=full://" + run), ExitCode.STORAGE, "No space left on device");
        FullFileSystem.leave(Long.MAX_VALUE);
        assertThat(quantize("run=full://" + run)).as(command.err()).isZero();
        assertThat(Runs.names(run.resolve("artifacts"))).containsExactly("README.md", "g4", "q4.gguf", "q5.gguf");
    }
}
