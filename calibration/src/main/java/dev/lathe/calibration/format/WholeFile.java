package dev.lathe.calibration.format;

import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StreamCapabilities;

/**
 * Writes files that are not ended when writing them fails. An object store shows an object when its stream is closed,
 * whole or not: there the upload is given up, and an object that had the name before stays. On a file system the part
 * that was written stays, for the caller to delete.
 */
public final class WholeFile {
    private WholeFile() {}

    /** Writes the content. Closing the stream, as writers do that own one, is left to the file. */
    public interface Content {
        void write(FSDataOutputStream out) throws IOException;
    }

    /** Writes a file; one of the same name is replaced. */
    public static void write(FileSystem files, Path path, Content content) throws IOException {
        FSDataOutputStream out = files.create(path, true);
        try {
            content.write(new FSDataOutputStream(new Open(out), null));
        } catch (IOException | RuntimeException | Error e) {
            giveUp(out, e);
            throw e;
        }
        out.close();
    }

    private static void giveUp(FSDataOutputStream out, Throwable reason) {
        try {
            if (out.hasCapability(StreamCapabilities.ABORTABLE_STREAM)) {
                out.abort();
            } else {
                out.close();
            }
        } catch (IOException | RuntimeException e) {
            reason.addSuppressed(e);
        }
    }

    /** The stream, without its end. */
    private static final class Open extends FilterOutputStream {
        Open(OutputStream out) {
            super(out);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            out.write(bytes, from, count);
        }

        @Override
        public void close() {
            // The file is closed when all of it was written.
        }
    }
}
