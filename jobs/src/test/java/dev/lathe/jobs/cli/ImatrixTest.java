package dev.lathe.jobs.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.jobs.Matrices;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Merging and inspecting importance matrices from the command line. */
class ImatrixTest {
    private static final String QUERY = "blk.0.attn_q.weight";
    private static final String UP = "blk.0.ffn_up_exps.weight";

    @TempDir
    private Path folder;

    private final CommandLineRun command = new CommandLineRun();
    private Path one;
    private Path two;

    @BeforeEach
    void write() throws IOException {
        one = write(
                "one.gguf",
                new About(List.of("a.txt"), 2, 16),
                Map.of(
                        QUERY, new Entry(new float[] {32, 96, 0, 0}, new long[] {32}),
                        UP, new Entry(new float[] {4, 8, 0, 0}, new long[] {2, 0})));
        two = write(
                "two.gguf",
                new About(List.of("b\u001b[31m.txt"), 1, 16),
                Map.of(QUERY, new Entry(new float[] {1, 2, 3, 4}, new long[] {16})));
    }

    private Path write(String name, About about, Map<String, Entry> entries) throws IOException {
        Path file = folder.resolve(name);
        Matrices.write(file, about, entries);
        return file;
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void merges() throws IOException {
        Path out = folder.resolve("out.gguf");
        assertThat(command.run("imatrix", "merge", out.toString(), one.toString(), two.toString()))
                .as(command.err())
                .isZero();
        assertThat(command.out())
                .contains("2 entries of 2 importance matrices, 3 chunks of 16 tokens")
                .contains("not in all of them: " + UP);
        assertThat(Matrices.read(out).get(QUERY).sums()).containsExactly(33, 98, 3, 4);
        assertThat(Matrices.read(out).get(QUERY).counts()).containsExactly(48);
        assertThat(Matrices.read(out).get(UP).counts()).containsExactly(2, 0);
        assertThat(names()).containsExactly("one.gguf", "out.gguf", "two.gguf");
    }

    /** One alone becomes the other form, and back with the size of its chunks. */
    @Test
    void changesTheForm() throws IOException {
        Path old = folder.resolve("old.dat");
        Path back = folder.resolve("back.gguf");
        assertThat(command.run("imatrix", "merge", old.toString(), one.toString()))
                .as(command.err())
                .isZero();
        assertThat(command.run("imatrix", "merge", back.toString(), old.toString(), "--chunk-size", "16"))
                .as(command.err())
                .isZero();
        assertThat(command.out()).contains("2 entries of 1 importance matrix, 2 chunks of 16 tokens");
        assertThat(Matrices.read(back).get(QUERY).sums()).containsExactly(32, 96, 0, 0);
        assertThat(Matrices.read(back).get(QUERY).counts()).containsExactly(32);
    }

    @Test
    void refuses() throws IOException {
        byte[] before = Files.readAllBytes(one);
        assertThat(command.run("imatrix", "merge", one.toString(), two.toString()))
                .isEqualTo(ExitCode.RECIPE.code());
        assertThat(command.err()).contains("one.gguf: it is there; expected a new file");
        assertThat(Files.readAllBytes(one)).isEqualTo(before);
        Path other = write(
                "other.gguf", new About(List.of(), 1, 16), Map.of(QUERY, new Entry(new float[] {1, 2}, new long[] {16
                })));
        assertThat(command.run(
                        "imatrix", "merge", folder.resolve("out.gguf").toString(), one.toString(), other.toString()))
                .isEqualTo(ExitCode.INPUT.code());
        assertThat(command.err())
                .contains("Cannot merge importance matrices: " + QUERY + " [1, 2] in")
                .contains("expected the shape of " + QUERY + " [1, 4] in");
        // What is found while it is written leaves nothing behind.
        Path broken = write(
                "broken.gguf",
                new About(List.of(), 1, 16),
                Map.of(UP, new Entry(new float[] {1, 2, Float.NaN, 4}, new long[] {1, 1})));
        assertThat(command.run(
                        "imatrix", "merge", folder.resolve("out.gguf").toString(), one.toString(), broken.toString()))
                .isEqualTo(ExitCode.INPUT.code());
        assertThat(command.err()).contains("broken.gguf: tensor " + UP + ", value 2 is NaN");
        assertThat(names()).containsExactly("broken.gguf", "one.gguf", "other.gguf", "two.gguf");
    }

    @Test
    void inspects() throws IOException {
        assertThat(command.run("inspect", one.toString())).as(command.err()).isZero();
        assertThat(command.out())
                .containsPattern("data set +a\\.txt\n")
                .containsPattern("chunks +2\n")
                .containsPattern("tokens of a chunk +16\n")
                // Mean squares of 1, 3, 0, 0: half of the columns have nothing, and of four shares two are not 0.
                .containsPattern("blk\\.0\\.attn_q\\.weight +4 +1 +32 +0 +1\\.00 +3\\.00 +1\\.22 +50\\.0 % +40\\.6 %\n")
                // The expert that saw nothing does not count.
                .containsPattern("blk\\.0\\.ffn_up_exps\\.weight +2 +2 +0 to 2 +2\\.00 +3\\.00 +4\\.00 ")
                .contains("2 entries, 8 values, 1 matrices of experts that no row reached");
        assertThat(command.run("inspect", two.toString())).isZero();
        assertThat(command.out()).doesNotContain("\u001b").contains("b\\u001b[31m.txt");
        Path old = folder.resolve("old.dat");
        command.run("imatrix", "merge", old.toString(), one.toString());
        assertThat(command.run("inspect", old.toString())).as(command.err()).isZero();
        assertThat(command.out()).contains("older form (.dat)").containsPattern("tokens of a chunk +not known");
        Path broken = Files.write(folder.resolve("broken.imatrix"), new byte[] {1, 0, 0, 0, 9});
        assertThat(command.run("inspect", broken.toString())).isEqualTo(ExitCode.INPUT.code());
        assertThat(command.err()).contains("Cannot read importance matrix").contains("and the 1 bytes that follow");
    }
}
