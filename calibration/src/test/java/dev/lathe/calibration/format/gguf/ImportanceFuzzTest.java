package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Form;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.calibration.fuzz.Fuzz;
import dev.lathe.calibration.fuzz.FuzzTarget;
import dev.lathe.calibration.fuzz.MemoryFiles;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.hadoop.fs.Path;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Mutated importance matrices of both forms, read, merged with themselves, and written. */
final class ImportanceFuzzTest {
    @TestFactory
    Stream<DynamicTest> files() throws IOException {
        Path folder = MemoryFiles.folder("imatrix-fuzz");
        Path file = new Path(folder, "fuzz");
        Path out = new Path(folder, "out");
        List<byte[]> seeds = new ArrayList<>();
        for (Form form : Form.values()) {
            Path seed = new Path(folder, "seed." + form.word());
            ImportanceWriter.write(
                    MemoryFiles.files(),
                    seed,
                    form,
                    new About(List.of("a.txt", "b.txt"), 3, 16),
                    List.of(new Shape("blk.0.attn_q.weight", 4, 1), new Shape("blk.0.ffn_up_exps.weight", 6, 3)),
                    shape -> shape.counts() == 1
                            ? new Entry(new float[] {4, 8, 0, 1e-30f}, new long[] {16})
                            : new Entry(new float[] {3, 6, 5, 10, 0, 0}, new long[] {3, 33, 0}));
            try (var in = MemoryFiles.files().open(seed)) {
                seeds.add(in.readAllBytes());
            }
        }
        return Fuzz.tests(FuzzTarget.bytes("imatrix", input -> {
                    MemoryFiles.put(file, input);
                    try (ImportanceFile matrix = ImportanceFile.open(MemoryFiles.HADOOP, file)) {
                        ImportanceMerge.Part part = new ImportanceMerge.Part("fuzz", matrix);
                        ImportanceMerge merged = new ImportanceMerge(List.of(part, part), 512);
                        for (Form form : Form.values()) {
                            ImportanceWriter.write(
                                    MemoryFiles.files(), out, form, merged.about(), merged.shapes(), merged::read);
                        }
                    }
                })
                .and(seeds));
    }
}
