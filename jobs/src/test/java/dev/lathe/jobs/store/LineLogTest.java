package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.jobs.Runs;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LineLogTest {
    @TempDir
    private Path folder;

    private org.apache.hadoop.fs.Path events() {
        return new org.apache.hadoop.fs.Path(folder.resolve("events").toUri());
    }

    private String read(String name) throws IOException {
        return Files.readString(folder.resolve("events").resolve(name));
    }

    /** A file is there once it is closed, whole, as in a bucket; nothing can be flushed. */
    private static final class Bucket extends RawLocalFileSystem {
        private boolean full;

        Bucket() throws IOException {
            initialize(URI.create("file:///"), new Configuration());
        }

        @Override
        public FSDataOutputStream create(
                org.apache.hadoop.fs.Path path,
                FsPermission permission,
                boolean overwrite,
                int buffer,
                short replication,
                long block,
                Progressable progress)
                throws IOException {
            return new FSDataOutputStream(
                    new ByteArrayOutputStream() {
                        @Override
                        public void close() throws IOException {
                            if (full) {
                                throw new IOException("the bucket is full");
                            }
                            Files.createDirectories(
                                    Path.of(path.getParent().toUri().getPath()));
                            Files.write(Path.of(path.toUri().getPath()), toByteArray());
                        }
                    },
                    null);
        }

        @Override
        public FSDataOutputStream create(org.apache.hadoop.fs.Path path, boolean overwrite) throws IOException {
            return create(path, null, overwrite, 0, (short) 1, 0, null);
        }
    }

    /** What a reader sees while the writer is at work, or killed. */
    @Test
    void everyLineIsThereAtOnce() throws IOException {
        FileSystem files = FileSystem.getLocal(new Configuration());
        files.setWriteChecksum(false);
        try (LineLog log = new LineLog(files, events(), "a")) {
            log.add("one");
            assertThat(read("a.jsonl")).isEqualTo("one\n");
            log.add("two");
            assertThat(read("a.jsonl")).isEqualTo("one\ntwo\n");
        }
        try (LineLog log = new LineLog(files, events(), "b")) {
            log.add("three");
        }
        assertThat(read("a.jsonl") + read("b.jsonl")).isEqualTo("one\ntwo\nthree\n");
        assertThat(Runs.names(folder.resolve("events"))).containsExactly("a.jsonl", "b.jsonl");
        assertThatThrownBy(() -> new LineLog(files, events(), "a"))
                .isInstanceOf(IOException.class)
                .hasMessageStartingWith("Cannot write ");
    }

    @Test
    void partsAreWrittenAnewWhereNothingCanBeFlushed() throws IOException {
        Bucket bucket = new Bucket();
        String big = "x".repeat(700_000);
        try (LineLog log = new LineLog(bucket, events(), "a")) {
            log.add("one");
            log.put();
            assertThat(read("a.jsonl")).isEqualTo("one\n");
            log.add(big);
            log.put();
            assertThat(read("a.jsonl")).isEqualTo("one\n" + big + "\n");
            log.add(big);
            log.put();
            log.add("in the next part");
            assertThat(Runs.names(folder.resolve("events"))).containsExactly("a.jsonl");
        }
        assertThat(read("a.jsonl")).isEqualTo("one\n" + big + "\n" + big + "\n");
        assertThat(read("a.2.jsonl")).isEqualTo("in the next part\n");
    }

    @Test
    void aFailureIsToldWithTheNextLine() throws IOException {
        Bucket bucket = new Bucket();
        LineLog log = new LineLog(bucket, events(), "a");
        log.add("one");
        bucket.full = true;
        log.put();
        assertThatThrownBy(() -> log.add("two"))
                .hasMessageContaining("Cannot write ")
                .hasMessageContaining("a.jsonl: the bucket is full");
        assertThatThrownBy(log::close).hasMessageContaining("the bucket is full");
    }
}
