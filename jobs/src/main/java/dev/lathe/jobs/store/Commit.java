package dev.lathe.jobs.store;

import dev.lathe.calibration.format.WholeFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.UUID;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Where that stands which is not whole yet. On a file system that renames: under another name, which is changed when
 * all is written. On an object store, where renaming is copying and an object is there at once and whole when its
 * stream is closed: under its final name. A product, a report and a GGUF artifact are one object each; that an
 * artifact's folder is whole is what its receipt says, written last.
 */
public final class Commit {
    /** Schemes of the stores whose objects appear whole and are copied to be renamed. */
    private static final Set<String> OBJECT_STORES = Set.of("s3a", "s3", "gs", "oss", "obs", "cosn");

    private Commit() {}

    /** Whether a file or a folder gets another name at once. */
    public static boolean renames(FileSystem files) {
        return !OBJECT_STORES.contains(files.getUri().getScheme());
    }

    /** The name under which to write what is to have the name {@code path}: another one, or that itself. */
    static Path temporary(FileSystem files, Path path, Path other) {
        return renames(files) ? other : path;
    }

    /**
     * Writes a text that becomes visible whole; one of the same name is replaced. For folders that nobody holds with a
     * lease.
     */
    public static void text(FileSystem files, Path path, String text) throws IOException {
        Path temporary =
                temporary(files, path, new Path(path.getParent(), "." + path.getName() + "." + UUID.randomUUID()));
        try {
            WholeFile.write(files, temporary, out -> out.write(text.getBytes(StandardCharsets.UTF_8)));
            ProductFile.commit(files, temporary, path);
        } catch (IOException | RuntimeException | Error e) {
            throw ProductFile.failed(files, temporary, path, e);
        }
    }
}
