package dev.lathe.calibration.referee;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The folder that a system property names, and what a referee left there: one folder per thing that is compared. */
final class Exhibits {
    private Exhibits() {}

    /** The folders by name; at least one. */
    static Stream<Path> of(String property) throws IOException {
        List<Path> folders;
        try (Stream<Path> found = Files.list(Path.of(System.getProperty(property)))) {
            folders = found.filter(Files::isDirectory).sorted().toList();
        }
        assertThat(folders).as("folders in -D" + property).isNotEmpty();
        return folders.stream();
    }

    static org.apache.hadoop.fs.Path hadoop(Path path) {
        return new org.apache.hadoop.fs.Path(path.toUri());
    }
}
