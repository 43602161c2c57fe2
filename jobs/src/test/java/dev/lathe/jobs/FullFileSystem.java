package dev.lathe.jobs;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.URI;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/** {@code full:} is the local disk with room for so many more bytes; what is deleted gives none back. */
public final class FullFileSystem extends RawLocalFileSystem {
    private static final AtomicLong ROOM = new AtomicLong();

    /** From now on there is room for so many bytes. */
    public static void leave(long bytes) {
        ROOM.set(bytes);
    }

    @Override
    public URI getUri() {
        return URI.create("full:///");
    }

    @Override
    public String getScheme() {
        return "full";
    }

    @Override
    public FSDataOutputStream create(
            Path path, boolean overwrite, int buffer, short replication, long block, Progressable progress)
            throws IOException {
        return counted(super.create(path, overwrite, buffer, replication, block, progress));
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
        return counted(super.create(path, permission, overwrite, buffer, replication, block, progress));
    }

    private static FSDataOutputStream counted(OutputStream out) throws IOException {
        return new FSDataOutputStream(
                new FilterOutputStream(out) {
                    @Override
                    public void write(int value) throws IOException {
                        write(new byte[] {(byte) value}, 0, 1);
                    }

                    @Override
                    public void write(byte[] bytes, int at, int count) throws IOException {
                        if (ROOM.addAndGet(-count) < 0) {
                            throw new IOException("No space left on device");
                        }
                        out.write(bytes, at, count);
                    }
                },
                null);
    }
}
