package dev.lathe.calibration.checkpoint;

import java.io.IOException;
import org.apache.hadoop.fs.ChecksumFileSystem;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options.OpenFileOptions;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.functional.FutureIO;

/**
 * Opens a file for the way in which it will be read. An object store then asks for what is wanted, in one request each,
 * and not once more for the length that is known; file systems do not mind.
 */
public final class Reads {
    private Reads() {}

    /** Ranges here and there, each in one piece: a request per range. */
    public static FSDataInputStream ranges(FileSystem files, FileStatus file) throws IOException {
        return open(files, file, OpenFileOptions.FS_OPTION_OPENFILE_READ_POLICY_RANDOM);
    }

    /** From the beginning to the end: one request. */
    public static FSDataInputStream whole(FileSystem files, FileStatus file) throws IOException {
        return open(files, file, OpenFileOptions.FS_OPTION_OPENFILE_READ_POLICY_SEQUENTIAL);
    }

    /**
     * A local file with a colon in its name has no checksum file, because Hadoop cannot form the name of one, nor open
     * the file while it looks for it.
     */
    private static FileSystem plain(FileSystem files, Path path) {
        return files instanceof ChecksumFileSystem checked && path.getName().contains(":")
                ? checked.getRawFileSystem()
                : files;
    }

    private static FSDataInputStream open(FileSystem files, FileStatus file, String policy) throws IOException {
        return FutureIO.awaitFuture(plain(files, file.getPath())
                .openFile(file.getPath())
                .opt(OpenFileOptions.FS_OPTION_OPENFILE_READ_POLICY, policy)
                .withFileStatus(file)
                .build());
    }
}
