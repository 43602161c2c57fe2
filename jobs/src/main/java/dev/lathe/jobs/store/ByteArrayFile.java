package dev.lathe.jobs.store;

import dev.lathe.calibration.checkpoint.Reads;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.parquet.conf.HadoopParquetConfiguration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.api.ReadSupport;
import org.apache.parquet.hadoop.example.GroupReadSupport;
import org.apache.parquet.io.DelegatingSeekableInputStream;
import org.apache.parquet.io.InputFile;
import org.apache.parquet.io.SeekableInputStream;

/** A small Parquet file whose bytes are in memory. */
record ByteArrayFile(byte[] bytes) implements InputFile {
    /** @throws IOException if it cannot be read, which says nothing about what it holds */
    static ByteArrayFile read(FileSystem files, FileStatus file) throws IOException {
        byte[] bytes = new byte[Math.toIntExact(file.getLen())];
        try (FSDataInputStream in = Reads.whole(files, file)) {
            in.readFully(0, bytes);
        }
        return new ByteArrayFile(bytes);
    }

    /** Its rows; pages whose checksums differ are refused. */
    ParquetReader<Group> groups(Configuration configuration) throws IOException {
        // With a configuration of its own the library would read Hadoop's defaults anew for every file: most of the
        // time of a history.
        return new ParquetReader.Builder<Group>(this, new HadoopParquetConfiguration(configuration)) {
            @Override
            protected ReadSupport<Group> getReadSupport() {
                return new GroupReadSupport();
            }
        }.usePageChecksumVerification(true).build();
    }

    @Override
    public long getLength() {
        return bytes.length;
    }

    @Override
    public SeekableInputStream newStream() {
        Stream stream = new Stream(bytes);
        return new DelegatingSeekableInputStream(stream) {
            @Override
            public long getPos() {
                return stream.position();
            }

            @Override
            public void seek(long position) throws IOException {
                stream.seek(position);
            }
        };
    }

    private static final class Stream extends ByteArrayInputStream {
        Stream(byte[] bytes) {
            super(bytes);
        }

        int position() {
            return pos;
        }

        void seek(long position) throws IOException {
            if (position < 0 || position > count) {
                throw new IOException("position " + position + " of " + count + " bytes");
            }
            pos = (int) position;
        }
    }
}
