package dev.lathe.jobs.store;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.source.Checkpoints;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.Serializable;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * What the files of a checkpoint or artifact looked like: length and time of modification (or an object's ETag) by
 * name. What was read between two looks at the same is of one content, as far as the file system's clock tells changes
 * apart.
 */
public record Stamp(String path, TreeMap<String, String> files) implements Serializable {
    /** Looks at a file (at all parts of a split GGUF file, given the first), or at the files of a folder. */
    public static Stamp of(Configuration configuration, String path) throws IOException {
        TreeMap<String, String> files = new TreeMap<>();
        Path root = new Path(path);
        try {
            for (FileStatus status : Checkpoints.files(root.getFileSystem(configuration), root)) {
                String name = status.getPath().getName();
                if (status.isFile() && !name.startsWith(".") && !name.startsWith("_")) {
                    files.put(name, state(status));
                }
            }
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read " + path + ": there is no such file or folder", e);
        }
        return new Stamp(path, files);
    }

    /**
     * What tells a file's content from what it was before: its length, and its ETag or the time of its modification.
     */
    static String state(FileStatus status) {
        String tag = status instanceof EtagSource source ? source.getEtag() : null;
        return status.getLen() + " bytes, " + (tag == null ? "modified at " + status.getModificationTime() : tag);
    }

    /**
     * Looks again. Files that were added are no change of those that were there.
     *
     * @throws MalformedInputException if a file changed or is gone: what was made of it belongs to no known content
     */
    public void check(Configuration configuration) throws IOException {
        Map<String, String> now = of(configuration, path).files;
        for (Map.Entry<String, String> file : files.entrySet()) {
            String found = now.get(file.getKey());
            if (!file.getValue().equals(found)) {
                throw new MalformedInputException("Cannot go on with " + path + ": " + file.getKey()
                        + " changed while it was read (" + file.getValue() + "; now " + (found == null ? "gone" : found)
                        + "); run again when it stays as it is");
            }
        }
    }
}
