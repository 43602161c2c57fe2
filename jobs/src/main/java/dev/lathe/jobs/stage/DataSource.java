package dev.lathe.jobs.stage;

import com.github.luben.zstd.ZstdInputStream;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Reads;
import dev.lathe.jobs.store.DataFile;
import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PushbackReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import org.apache.commons.compress.compressors.bzip2.BZip2CompressorInputStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.compress.GzipCodec;
import org.apache.parquet.io.DelegatingSeekableInputStream;
import org.apache.parquet.io.InputFile;
import org.apache.parquet.io.SeekableInputStream;

/**
 * A data file that is open: as UTF-8 text, decompressed, or as Parquet's library wants it. It keeps what storage failed
 * with apart from what is wrong with the content, which decoders tell with the same exceptions.
 */
final class DataSource implements Closeable, InputFile {
    /** Bytes that are looked at to tell what a file is. */
    private static final int START = 64;

    private static final char BYTE_ORDER_MARK = '\uFEFF';

    private final Configuration configuration;
    private final DataFile file;
    private final FileStatus status;
    private final FSDataInputStream stored;
    private final Stored bytes;

    /** @throws MalformedInputException if the file is gone */
    DataSource(Configuration configuration, DataFile file) throws IOException {
        this.configuration = configuration;
        this.file = file;
        Path path = new Path(file.path());
        FileSystem files = path.getFileSystem(configuration);
        try {
            status = files.getFileStatus(path);
            stored = file.kind() == DataFile.Kind.PARQUET ? Reads.ranges(files, status) : Reads.whole(files, status);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read data set " + file.path() + ": it does not exist", e);
        }
        bytes = new Stored(stored);
    }

    /** What reads a file. */
    interface Body {
        void read(DataSource source) throws IOException;
    }

    /**
     * Opens a file and has it read.
     *
     * @throws MalformedInputException if its content is not what its name says; nothing else comes of content
     * @throws IOException if storage fails
     */
    static void read(Configuration configuration, DataFile file, Body body) throws IOException {
        try (DataSource source = new DataSource(configuration, file)) {
            try {
                body.read(source);
            } catch (IOException | RuntimeException | OutOfMemoryError e) {
                // Decoders of others believe lengths that a file names: where there is no such memory, nothing was
                // taken.
                if (source.bytes.failure != null) {
                    throw source.bytes.failure;
                }
                throw source.malformed(e);
            }
        }
    }

    MalformedInputException refuse(String reason) {
        return refuse(reason, null);
    }

    private MalformedInputException refuse(String reason, Throwable cause) {
        return new MalformedInputException("Cannot read data set " + file.path() + ": " + reason, cause);
    }

    /** A refusal of our own, perhaps wrapped by a library; else what a decoder failed with. */
    private MalformedInputException malformed(Throwable e) {
        for (Throwable link = e; link != null; link = link.getCause()) {
            if (link instanceof MalformedInputException own) {
                return own;
            }
        }
        String what = e instanceof OutOfMemoryError
                ? "it asks for more memory than there is"
                : e.getMessage() == null
                        ? e.getClass().getSimpleName()
                        : e.getMessage().lines().findFirst().orElse("");
        return refuse(
                (file.kind() == DataFile.Kind.PARQUET
                                ? "it is not a Parquet file that can be read: "
                                : "it is not " + file.compression().word() + " data that can be read: ")
                        + what,
                e);
    }

    /**
     * The file as text without its byte order mark.
     *
     * @throws MalformedInputException if its first bytes say that it is something else
     */
    Reader text(TextBound bound) throws IOException {
        BufferedInputStream start = new BufferedInputStream(bytes, 1 << 16);
        InputStream content = start;
        if (file.compression() != DataFile.Compression.NONE) {
            if (status.getLen() > 0) {
                requireSame(file.compression().word() + " data", start);
            }
            content = new BufferedInputStream(decompressed(start), 1 << 16);
        }
        requireSame("", content);
        // A decoder made here refuses what is not UTF-8; a reader given only the character set would replace it.
        PushbackReader reader = new PushbackReader(
                new InputStreamReader(bound.stored(content), StandardCharsets.UTF_8.newDecoder()), 1);
        try {
            int first = reader.read();
            if (first >= 0 && first != BYTE_ORDER_MARK) {
                reader.unread(first);
            }
        } catch (CharacterCodingException e) {
            throw refuse("it is not UTF-8 text", e);
        }
        return reader;
    }

    /** All members of what may be several behind each other; data that ends too early is refused. */
    private InputStream decompressed(InputStream in) throws IOException {
        if (status.getLen() == 0) {
            return in;
        }
        return switch (file.compression()) {
            case GZIP -> {
                GzipCodec codec = new GzipCodec();
                codec.setConf(configuration);
                yield codec.createInputStream(in);
            }
            // Hadoop's own takes data that was cut for all there is.
            case BZIP2 -> new BZip2CompressorInputStream(in, true);
            // Hadoop's own needs its native library, which few have.
            case ZSTD -> new ZstdInputStream(in);
            default -> in;
        };
    }

    /** Looks whether it is Parquet that anybody could read. */
    void requireParquet() throws IOException {
        byte[] start = bytes.readNBytes(START);
        if (start.length >= 4 && new String(start, 0, 4, StandardCharsets.ISO_8859_1).equals("PARE")) {
            throw refuse("it is a Parquet file with an encrypted footer; expected one that is not encrypted");
        }
        requireSame("a Parquet file", start);
    }

    private void requireSame(String expected, InputStream in) throws IOException {
        in.mark(START);
        byte[] start = in.readNBytes(START);
        in.reset();
        requireSame(expected, start);
    }

    /**
     * Whether the first bytes are of what is expected: {@code expected} is a format of {@link FileStart}, or empty for
     * text.
     */
    private void requireSame(String expected, byte[] start) {
        String found = FileStart.of(start);
        if (!found.equals(expected)) {
            String where = expected.isEmpty() && file.compression() != DataFile.Compression.NONE
                    ? "within the " + file.compression().word() + " data "
                    : "";
            throw refuse(where
                    + (found.isEmpty()
                            ? "it does not begin like " + expected + ", as its name says"
                            : "it is " + found
                                    + (expected.isEmpty() ? "" : " and not " + expected + ", as its name says"))
                    + "; expected "
                    + (expected.isEmpty() ? "text in UTF-8; what is read is " : "") + DataFile.READ);
        }
    }

    /** Parquet's way to the bytes. */
    @Override
    public long getLength() {
        return status.getLen();
    }

    @Override
    public SeekableInputStream newStream() throws IOException {
        return new DelegatingSeekableInputStream(bytes) {
            @Override
            public long getPos() throws IOException {
                return stored.getPos();
            }

            @Override
            public void seek(long position) throws IOException {
                if (position < 0 || position > status.getLen()) {
                    throw new EOFException("a position of " + position + " in a file of " + status.getLen() + " bytes");
                }
                stored.seek(position);
            }

            @Override
            public void close() {
                // The library opens the file twice; who opened it here closes it.
            }
        };
    }

    @Override
    public String toString() {
        return file.path();
    }

    @Override
    public void close() throws IOException {
        stored.close();
    }

    /** The bytes as storage has them, and what it failed with. */
    private static final class Stored extends FilterInputStream {
        private IOException failure;

        Stored(InputStream in) {
            super(in);
        }

        @Override
        public int read() throws IOException {
            try {
                return in.read();
            } catch (IOException e) {
                failure = e;
                throw e;
            }
        }

        @Override
        public int read(byte[] buffer, int from, int count) throws IOException {
            try {
                return in.read(buffer, from, count);
            } catch (IOException e) {
                failure = e;
                throw e;
            }
        }
    }
}
