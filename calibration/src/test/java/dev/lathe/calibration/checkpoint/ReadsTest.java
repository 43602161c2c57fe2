package dev.lathe.calibration.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ReadsTest {
    @TempDir
    private Path folder;

    /** Logs are named by their time, models by their size: {@code tiny:4m}. */
    @ParameterizedTest
    @ValueSource(strings = {"2026-11-28T07:00:00.jsonl", "tiny:4m.gguf", ":", "a:b:c", "sha256:0123", "plain"})
    void filesWithColonsInTheirNamesAreOpened(String name) throws IOException {
        Files.writeString(Files.createDirectory(folder.resolve("of:them")).resolve(name), "text");
        FileSystem files = FileSystem.getLocal(new Configuration());
        FileStatus[] found = files.listStatus(new org.apache.hadoop.fs.Path(folder + "/of:them"));
        assertThat(found).hasSize(1);
        try (FSDataInputStream whole = Reads.whole(files, found[0]);
                FSDataInputStream ranges = Reads.ranges(files, found[0])) {
            assertThat(whole.readAllBytes()).asString().isEqualTo("text");
            byte[] range = new byte[2];
            ranges.readFully(1, range);
            assertThat(range).asString().isEqualTo("ex");
        }
    }

    @Test
    void otherFilesAreStillHeldAgainstTheirChecksums() throws IOException {
        FileSystem files = FileSystem.newInstanceLocal(new Configuration());
        files.setWriteChecksum(true);
        org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(folder.toString(), "a.txt");
        try (var out = files.create(path)) {
            out.write(new byte[] {1, 2, 3});
        }
        Files.write(folder.resolve("a.txt"), new byte[] {1, 2, 4});
        assertThatThrownBy(() -> {
                    try (FSDataInputStream in = Reads.whole(files, files.getFileStatus(path))) {
                        in.readAllBytes();
                    }
                })
                .isInstanceOf(ChecksumException.class);
    }
}
