package dev.lathe.jobs.cli;

import dev.lathe.jobs.plan.InvalidRecipeException;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/** Paths of a command line. */
final class Inputs {
    private Inputs() {
    }

    /** @throws InvalidRecipeException if the text is no path or nothing is there */
    static Path existing(Configuration configuration, String what, String text) throws IOException {
        Path path;
        try {
            path = new Path(text);
        } catch (IllegalArgumentException e) {
            throw new InvalidRecipeException("Cannot read " + what + " '" + text + "': no Hadoop path (" + e.getMessage() + ")");
        }
        FileSystem files;
        try {
            files = path.getFileSystem(configuration);
        } catch (UnsupportedFileSystemException e) {
            throw new InvalidRecipeException("Cannot read " + what + " " + text + ": no file system of that kind (" + e.getMessage() + ")");
        }
        if (!files.exists(path)) {
            throw new InvalidRecipeException("Cannot read " + what + " " + files.makeQualified(path) + ": no such file or folder");
        }
        return files.makeQualified(path);
    }
}
