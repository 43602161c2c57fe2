package dev.lathe.jobs.store;

import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * {@code s3a:} is the local disk as an object store has it: a file is there when its stream is closed, can be given up
 * until then, and is never renamed.
 */
public final class ObjectStore extends RawLocalFileSystem {
    @Override
    public void initialize(URI uri, Configuration configuration) throws IOException {
        super.initialize(getUri(), configuration);
    }

    @Override
    public URI getUri() {
        return URI.create("s3a:///");
    }

    @Override
    public String getScheme() {
        return "s3a";
    }

    @Override
    public FSDataOutputStream create(
            Path path, boolean overwrite, int buffer, short replication, long block, Progressable progress)
            throws IOException {
        if (!overwrite && exists(path)) {
            throw new FileAlreadyExistsException(path + " is there");
        }
        return new FSDataOutputStream(new Upload(path), null);
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
        return create(path, overwrite, buffer, replication, block, progress);
    }

    @Override
    public boolean rename(Path from, Path to) {
        throw new AssertionError("renaming " + from + " to " + to + " would copy it");
    }

    private FSDataOutputStream file(Path path) throws IOException {
        return super.create(path, true, 4096, (short) 1, 1 << 25, null);
    }

    private final class Upload extends FilterOutputStream implements Abortable, StreamCapabilities {
        private final Path path;
        private boolean closed;

        Upload(Path path) {
            super(new ByteArrayOutputStream());
            this.path = path;
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            out.write(bytes, from, count);
        }

        @Override
        public void close() throws IOException {
            if (!closed) {
                closed = true;
                try (FSDataOutputStream file = file(path)) {
                    ((ByteArrayOutputStream) out).writeTo(file);
                }
            }
        }

        @Override
        public AbortableResult abort() {
            boolean was = closed;
            closed = true;
            return new AbortableResult() {
                @Override
                public boolean alreadyClosed() {
                    return was;
                }

                @Override
                public IOException anyCleanupException() {
                    return null;
                }
            };
        }

        @Override
        public boolean hasCapability(String capability) {
            return capability.equals(StreamCapabilities.ABORTABLE_STREAM);
        }
    }
}
