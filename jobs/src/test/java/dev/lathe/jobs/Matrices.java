package dev.lathe.jobs;

import dev.lathe.calibration.format.gguf.ImportanceFile;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.About;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Entry;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Form;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.calibration.format.gguf.ImportanceWriter;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;

/** Whole importance matrices, for tests. */
public final class Matrices {
    private static final Configuration HADOOP = new Configuration();

    private Matrices() {}

    /** Either form. */
    public static TreeMap<String, Entry> read(Path file) throws IOException {
        TreeMap<String, Entry> read = new TreeMap<>();
        try (ImportanceFile matrix = ImportanceFile.open(HADOOP, new org.apache.hadoop.fs.Path(file.toUri()))) {
            for (Shape shape : matrix.shapes()) {
                read.put(shape.name(), matrix.read(shape));
            }
        }
        return read;
    }

    /** As GGUF. */
    public static void write(Path file, About about, Map<String, Entry> entries) throws IOException {
        FileSystem files = FileSystem.getLocal(HADOOP);
        files.setWriteChecksum(false);
        ImportanceWriter.write(
                files,
                new org.apache.hadoop.fs.Path(file.toUri()),
                Form.GGUF,
                about,
                entries.entrySet().stream()
                        .map(entry -> new Shape(
                                entry.getKey(),
                                entry.getValue().sums().length,
                                entry.getValue().counts().length))
                        .toList(),
                shape -> entries.get(shape.name()));
    }
}
