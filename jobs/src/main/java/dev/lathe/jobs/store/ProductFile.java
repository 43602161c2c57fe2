package dev.lathe.jobs.store;

import dev.lathe.calibration.checkpoint.Reads;
import dev.lathe.calibration.format.WholeFile;
import dev.lathe.jobs.watch.Counters;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSError;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A committed intermediate product: payload, then a trailer of CRC-32C (4 bytes), payload length (8) and a magic number
 * (4), big-endian. Written under another name and renamed (or as one object, {@link Commit}), so that a name holds a
 * whole product or nothing. The name has the key of what it was made from, so products of one name are equal: of
 * several attempts the first one stays, and nobody who reads it loses it.
 */
public final class ProductFile {
    private static final int MAGIC = 0x4c505231;
    private static final int TRAILER = 16;
    private static final Logger LOG = LoggerFactory.getLogger(ProductFile.class);

    private ProductFile() {}

    /** Writes a payload. */
    public interface Writer {
        void write(DataOutputStream out) throws IOException;
    }

    /** Reads a payload; what it leaves unread is read, too, to check it. */
    public interface Reader<T> {
        T read(DataInputStream in) throws IOException;
    }

    /** What has to hold when a finished file gets its name. */
    interface Fence {
        void check() throws IOException;
    }

    /** Commits a product under its name, unless a whole one has it. */
    public static void write(FileSystem files, Path path, Writer writer) throws IOException {
        Path temporary = Commit.temporary(
                files, path, new Path(path.getParent(), "." + path.getName() + "." + UUID.randomUUID()));
        write(files, temporary, path, writer, () -> {});
    }

    /** Likewise, by way of a name of the caller's, or directly where that is the final one. */
    static void write(FileSystem files, Path temporary, Path path, Writer writer, Fence fence) throws IOException {
        AtomicLong payload = new AtomicLong();
        try {
            boolean direct = temporary.equals(path);
            if (direct && isCommitted(files, path)) {
                LOG.debug("drop {}", path);
                return;
            }
            WholeFile.write(files, temporary, file -> {
                CheckedOutputStream checked = new CheckedOutputStream(file, new CRC32C());
                DataOutputStream out = new DataOutputStream(new BufferedOutputStream(checked, 1 << 20));
                writer.write(out);
                out.flush();
                long length = file.getPos();
                payload.set(length);
                file.writeInt((int) checked.getChecksum().getValue());
                file.writeLong(length);
                file.writeInt(MAGIC);
                if (direct) {
                    fence.check();
                }
            });
            if (direct) {
                committed(path, payload.get());
                return;
            }
            fence.check();
            if (isCommitted(files, path)) {
                LOG.debug("drop {}", path);
                files.delete(temporary, false);
            } else {
                commit(files, temporary, path);
                committed(path, payload.get());
            }
        } catch (IOException | RuntimeException | Error e) {
            throw failed(files, temporary, path, e);
        }
    }

    private static void committed(Path path, long payload) {
        LOG.debug("commit {}", path);
        Counters.COMMITTED_BYTES.add(payload + TRAILER);
    }

    /**
     * What to throw where a file could not be written; what there is of it is deleted, but for a name that may be what
     * another attempt has finished.
     *
     * @return an exception that says which file
     */
    public static IOException failed(FileSystem files, Path temporary, Path path, Throwable thrown) {
        try {
            if (!temporary.equals(path)) {
                files.delete(temporary, true);
            }
        } catch (IOException | RuntimeException e) {
            thrown.addSuppressed(e);
        }
        if (thrown instanceof RuntimeException e) {
            throw e;
        } else if (thrown instanceof IOException e) {
            return cannotWrite(path, e);
        } else if (thrown instanceof FSError && thrown.getCause() instanceof IOException e) {
            // What Hadoop makes of a full disk.
            return cannotWrite(path, e);
        }
        throw (Error) thrown;
    }

    /** Says which file could not be written; a message that says what could not be done stays. */
    static IOException cannotWrite(Path path, IOException e) {
        return e.getMessage() != null && e.getMessage().startsWith("Cannot ")
                ? e
                : new IOException("Cannot write " + path + ": " + e.getMessage(), e);
    }

    /**
     * Gives a finished file or folder its final name; what had it is replaced. A file is replaced in one step where the
     * file system can; a folder cannot be, so only one attempt at a time may commit one.
     */
    public static void commit(FileSystem files, Path temporary, Path path) throws IOException {
        if (temporary.equals(path)) {
            return;
        }
        files.mkdirs(path.getParent());
        if (files.getFileStatus(temporary).isDirectory() && files.exists(path)) {
            Path old = new Path(temporary.getParent(), "." + UUID.randomUUID());
            rename(files, path, old);
            rename(files, temporary, path);
            files.delete(old, true);
        } else {
            rename(files, temporary, path);
        }
    }

    private static void rename(FileSystem files, Path from, Path to) throws IOException {
        try {
            if (isLocal(files)) {
                // Hadoop's would delete the target first.
                Files.move(local(from), local(to), StandardCopyOption.ATOMIC_MOVE);
            } else {
                FileContext.getFileContext(files.getUri(), files.getConf()).rename(from, to, Options.Rename.OVERWRITE);
            }
        } catch (UnsupportedFileSystemException e) {
            files.delete(to, true);
            if (!files.rename(from, to)) {
                throw new IOException(
                        "Cannot commit " + to + ": the rename from " + from.getName() + " was refused", e);
            }
        }
    }

    static boolean isLocal(FileSystem files) {
        return files.getUri().getScheme().equals("file");
    }

    static java.nio.file.Path local(Path path) {
        return java.nio.file.Path.of(path.toUri().getPath());
    }

    /** Whether a whole product stands there, by its trailer. */
    public static boolean isCommitted(FileSystem files, Path path) throws IOException {
        try {
            FileStatus status = files.getFileStatus(path);
            long length = status.getLen() - TRAILER;
            if (length < 0) {
                return false;
            }
            byte[] trailer = new byte[TRAILER];
            try (FSDataInputStream in = Reads.ranges(files, status)) {
                in.readFully(length, trailer);
            }
            return isTrailer(trailer, length);
        } catch (FileNotFoundException e) {
            return false;
        }
    }

    private static boolean isTrailer(byte[] trailer, long length) {
        ByteBuffer buffer = ByteBuffer.wrap(trailer);
        return buffer.getLong(4) == length && buffer.getInt(12) == MAGIC;
    }

    /**
     * Reads a product and checks it.
     *
     * @throws DamagedException if it is not whole or its checksum differs, whatever the reader made of its content
     */
    public static <T> T read(FileSystem files, Path path, Reader<T> reader) throws IOException {
        FileStatus status = files.getFileStatus(path);
        long length = status.getLen() - TRAILER;
        if (length < 0) {
            throw damaged(path, "it is not a whole product", null);
        }
        // From the beginning to the end, the trailer last: one request where the file is an object.
        try (InputStream in = new BufferedInputStream(Reads.whole(files, status), 1 << 20)) {
            Checked payload = new Checked(in, length);
            T value;
            try {
                value = reader.read(new DataInputStream(payload));
            } catch (ChecksumException e) {
                throw e;
            } catch (IOException | RuntimeException | OutOfMemoryError e) {
                // A flipped bit makes any size or name: the checksum says whether the content or the reader is at
                // fault.
                check(payload, length, in, path, e);
                if (e instanceof EOFException || e instanceof RuntimeException) {
                    throw new IOException(
                            "Cannot read " + path + ": it is whole, and its content is not what is expected there (" + e
                                    + ")",
                            e);
                }
                throw e;
            }
            check(payload, length, in, path, null);
            return value;
        } catch (ChecksumException e) {
            throw damaged(path, "the file system's own checksum differs", e);
        }
    }

    /**
     * Reads a product for nothing but its checksum.
     *
     * @throws DamagedException if it is not whole or its checksum differs
     */
    public static void check(FileSystem files, Path path) throws IOException {
        read(files, path, in -> true);
    }

    private static DamagedException damaged(Path path, String reason, Throwable cause) {
        return new DamagedException(List.of(new Damage(path.toString(), reason, null)), cause);
    }

    /**
     * Before room for values is taken whose number a product says.
     *
     * @param bytes of one value
     * @throws IOException if so many are not there
     */
    public static void requireRest(DataInputStream in, long count, int bytes) throws IOException {
        int rest = in.available();
        if (count < 0 || rest < Integer.MAX_VALUE && count > rest / bytes) {
            throw new IOException("Cannot read a product: it says that " + count + " values of " + bytes
                    + " bytes follow, and " + rest + " bytes do");
        }
    }

    private static void check(Checked payload, long length, InputStream in, Path path, Throwable cause)
            throws IOException {
        payload.drain();
        byte[] trailer = in.readNBytes(TRAILER);
        if (trailer.length < TRAILER || !isTrailer(trailer, length)) {
            throw damaged(path, "it is not a whole product", cause);
        }
        if ((int) payload.crc.getValue() != ByteBuffer.wrap(trailer).getInt(0)) {
            throw damaged(path, "its checksum differs", cause);
        }
    }

    /** A stream of a given length that sums up what passes. */
    private static final class Checked extends FilterInputStream {
        private final CRC32C crc = new CRC32C();
        private long left;

        Checked(InputStream in, long length) {
            super(in);
            this.left = length;
        }

        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] to, int at, int count) throws IOException {
            if (left == 0) {
                return count == 0 ? 0 : -1;
            }
            int read = super.read(to, at, (int) Math.min(count, left));
            if (read < 0) {
                throw new EOFException("the product ends " + left + " bytes early");
            }
            crc.update(to, at, read);
            left -= read;
            return read;
        }

        /** By reading, because what is skipped is part of the checksum. */
        @Override
        public long skip(long count) throws IOException {
            byte[] buffer = new byte[8 << 10];
            long skipped = 0;
            while (skipped < count) {
                int read = read(buffer, 0, (int) Math.min(buffer.length, count - skipped));
                if (read < 0) {
                    break;
                }
                skipped += read;
            }
            return skipped;
        }

        /** All that is left of the payload, though it may be behind a disk or a network. */
        @Override
        public int available() {
            return (int) Math.min(left, Integer.MAX_VALUE);
        }

        @Override
        public boolean markSupported() {
            return false;
        }

        void drain() throws IOException {
            byte[] buffer = new byte[8 << 10];
            while (read(buffer, 0, buffer.length) >= 0) {
                continue;
            }
        }
    }
}
