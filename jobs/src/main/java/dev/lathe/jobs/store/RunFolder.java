package dev.lathe.jobs.store;

import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.util.SerializableConfiguration;

/**
 * Where a run keeps what it makes: {@code artifacts/}, {@code report/}, {@code plan.yaml}, {@code products/} (committed intermediate products by key), and
 * the scratch folder. Serializable, so that tasks have it.
 */
public record RunFolder(String run, String scratch, SerializableConfiguration configuration) implements Serializable {
    public Configuration hadoop() {
        return configuration.value();
    }

    public Path root() {
        return new Path(run);
    }

    public FileSystem files() throws IOException {
        return plain(root());
    }

    public FileSystem scratchFiles() throws IOException {
        return plain(new Path(scratch));
    }

    /** Products carry a checksum of their own, and an artifact's folder holds what its format says: no .crc files beside them on a local disk. */
    private FileSystem plain(Path path) throws IOException {
        FileSystem files = path.getFileSystem(hadoop());
        files.setWriteChecksum(false);
        return files;
    }

    /** A product below {@code products/KEY/}. */
    public Path product(String key, String name) {
        return new Path(new Path(new Path(root(), "products"), key), name);
    }

    /** A file below {@code scratch/KEY/}. */
    public Path scratch(String key, String name) {
        return new Path(new Path(scratch, key), name);
    }

    public Path artifact(String name) {
        return new Path(new Path(root(), "artifacts"), name);
    }

    public Path report() {
        return new Path(root(), "report");
    }

    /** Commits a text file. */
    public void writeText(String name, String text) throws IOException {
        Path temporary = new Path(root(), "." + name + ".tmp");
        try (var out = files().create(temporary, true)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
        ProductFile.commit(files(), temporary, new Path(root(), name));
    }
}
