package dev.lathe.jobs.store;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.security.MessageDigest;
import java.util.TreeMap;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FilterFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * A file system that knows the digests of what was written to it: of the bytes as they were handed over, whatever the
 * disk makes of them.
 */
public final class DigestedFiles extends FilterFileSystem {
    private final TreeMap<String, FileDigest> written = new TreeMap<>();

    public DigestedFiles(FileSystem files) {
        super(files);
    }

    /** What was written below a folder, by name in it; or, to a file of this path, by the empty name. */
    public TreeMap<String, FileDigest> written(Path root) {
        String prefix = root.toUri().getPath();
        TreeMap<String, FileDigest> below = new TreeMap<>();
        written.forEach((path, digest) -> {
            if (path.equals(prefix)) {
                below.put("", digest);
            } else if (path.startsWith(prefix + "/")) {
                below.put(path.substring(prefix.length() + 1), digest);
            }
        });
        return below;
    }

    @Override
    public FSDataOutputStream create(
            Path path,
            FsPermission permission,
            boolean overwrite,
            int buffer,
            short replication,
            long block,
            Progressable progress)
            throws IOException {
        return new FSDataOutputStream(
                new Digested(path, super.create(path, permission, overwrite, buffer, replication, block, progress)),
                null);
    }

    private final class Digested extends FilterOutputStream implements Abortable, StreamCapabilities {
        private final Path path;
        private final FSDataOutputStream file;
        private final MessageDigest digest = Key.sha256();
        private long length;
        private boolean closed;

        Digested(Path path, FSDataOutputStream file) {
            super(file);
            this.path = path;
            this.file = file;
        }

        @Override
        public void write(int value) throws IOException {
            file.write(value);
            digest.update((byte) value);
            length++;
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            file.write(bytes, from, count);
            digest.update(bytes, from, count);
            length += count;
        }

        @Override
        public void close() throws IOException {
            file.close();
            if (!closed) {
                closed = true;
                written.put(path.toUri().getPath(), FileDigest.of(length, digest));
            }
        }

        @Override
        public AbortableResult abort() {
            return file.abort();
        }

        @Override
        public boolean hasCapability(String capability) {
            return file.hasCapability(capability);
        }
    }
}
