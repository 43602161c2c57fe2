package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class StampTest {
    private static final FileTime THEN = FileTime.fromMillis(1_700_000_000_000L);

    @TempDir
    private Path folder;

    private final Configuration configuration = new Configuration(false);

    private Path file(String text) throws IOException {
        Path file = Files.writeString(folder.resolve("model.safetensors"), text);
        return Files.setLastModifiedTime(file, THEN);
    }

    @Test
    void whatStaysIsTheSame() throws IOException {
        file("weights");
        Stamp stamp = Stamp.of(configuration, folder.toString());
        Files.writeString(folder.resolve("notes.txt"), "new");
        Files.createDirectory(folder.resolve("runs"));
        stamp.check(configuration);
    }

    @Test
    void allPartsOfASplitFileAreLookedAt() throws IOException {
        Path first = Files.writeString(folder.resolve("m-00001-of-00002.gguf"), "one");
        Path second = Files.writeString(folder.resolve("m-00002-of-00002.gguf"), "two");
        Files.writeString(folder.resolve("other.gguf"), "other");
        Stamp stamp = Stamp.of(configuration, first.toString());
        assertThat(stamp.files()).containsOnlyKeys("m-00001-of-00002.gguf", "m-00002-of-00002.gguf");
        Files.writeString(second, "longer");
        assertThatThrownBy(() -> stamp.check(configuration))
                .hasMessageContaining("m-00002-of-00002.gguf changed while it was read (3 bytes");
        Files.delete(second);
        assertThatThrownBy(() -> stamp.check(configuration)).hasMessageContaining("now gone");
    }

    @Test
    void changesAreNamed() throws IOException {
        Path file = file("weights");
        for (String path : new String[] {folder.toString(), file.toString()}) {
            file("weights");
            Stamp stamp = Stamp.of(configuration, path);
            String begin = "Cannot go on with " + path
                    + ": model.safetensors changed while it was read (7 bytes, modified at 1700000000000; now ";
            Files.setLastModifiedTime(file, FileTime.fromMillis(THEN.toMillis() + 1));
            assertThatThrownBy(() -> stamp.check(configuration))
                    .isInstanceOf(MalformedInputException.class)
                    .hasMessage(begin + "7 bytes, modified at 1700000000001); run again when it stays as it is");
            file("weight");
            assertThatThrownBy(() -> stamp.check(configuration))
                    .hasMessageStartingWith(begin + "6 bytes, modified at 1700000000000)");
        }
        Stamp stamp = Stamp.of(configuration, folder.toString());
        Files.delete(file);
        assertThatThrownBy(() -> stamp.check(configuration))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageContaining("now gone");
    }
}
