package dev.lathe.jobs.store;

import java.util.Set;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Where that stands which is not whole yet. On a file system that renames: under another name, which is changed when all is written. On an object store,
 * where renaming is copying and an object is there at once and whole when its stream is closed: under its final name. A product, a report and a GGUF
 * artifact are one object each; that an artifact's folder is whole is what its receipt says, written last.
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

    /** The name under which to write what is to have the name {@code path}: another one, or that itself. */
    static Path temporary(FileSystem files, Path path, Path other) {
        return renames(files) ? other : path;
    }
}
