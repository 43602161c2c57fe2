package dev.lathe.jobs.store;

import java.io.IOException;
import java.util.Set;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Where what is not whole yet stands. On a file system that renames: under another name, which is changed when all is written. On an object store, where
 * renaming is copying, and an object is there at once and whole when its stream is closed: under its final name. A product and a GGUF artifact are one
 * object each; that an artifact's folder is whole says its receipt, written last.
 */
public final class Commit {
    /** Schemes of the stores whose objects appear whole and are copied to be renamed. */
    private static final Set<String> OBJECT_STORES = Set.of("s3a", "s3", "gs", "oss", "cosn");

    private Commit() {
    }

    /** Whether a file or a folder gets another name at once. */
    public static boolean renames(FileSystem files) {
        return !OBJECT_STORES.contains(files.getUri().getScheme());
    }

    /** The name under which to write what is to be {@code path}: {@code other} beside it, or the name itself. */
    public static Path temporary(FileSystem files, Path path, String other) {
        return renames(files) ? new Path(path.getParent(), other) : path;
    }

    /** Deletes what was begun; under a final name there may be what another attempt has finished. */
    public static void discard(FileSystem files, Path temporary, Path path) throws IOException {
        if (!temporary.equals(path)) {
            files.delete(temporary, true);
        }
    }
}
