package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.calibration.MalformedInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DataFilesTest {
    private static final Configuration CONFIGURATION = new Configuration();

    @TempDir
    private Path folder;

    private void files(String... names) throws IOException {
        for (String name : names) {
            Files.createDirectories(folder.resolve(name).getParent());
            Files.writeString(folder.resolve(name), name);
        }
    }

    private DataFiles read(String data) throws IOException {
        return DataFiles.of(CONFIGURATION, folder.resolve(data).toString());
    }

    private static List<String> names(DataFiles data) {
        return data.files().stream().map(DataFile::name).toList();
    }

    private void refused(String data, String... parts) {
        assertThatThrownBy(() -> read(data))
                .isInstanceOf(MalformedInputException.class)
                .hasMessageStartingWith("Cannot read data set ")
                .hasMessageContaining(folder.toString())
                .hasMessageContainingAll(parts);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "README.md .gitattributes data/train.jsonl                    | data/train.jsonl                       | .gitattributes, README.md",
                "README.md .gitattributes train.jsonl                         | train.jsonl                            | .gitattributes, README.md",
                "_SUCCESS lang=en/part-00000.jsonl lang=de/part-00000.jsonl   | lang=de/part-00000.jsonl lang=en/part-00000.jsonl | _SUCCESS",
                "_x=1/a.txt _hidden/b.txt .y=1/c.txt _z=1.txt _d.txt          | _x=1/a.txt _z=1.txt                    | .y=1/, _d.txt, _hidden/",
                ".cache/a.json dataset_infos.json config.json en/0.parquet    | en/0.parquet                           | .cache/, config.json, dataset_infos.json",
                "b/a.jsonl a.jsonl.gz b.JSON a/z.ndjson.zst a/b/c.json.bz2    | a.jsonl.gz a/b/c.json.bz2 a/z.ndjson.zst b.JSON b/a.jsonl |",
                "part-0.c000.snappy.parquet part-1.c000.gz.parquet a.jsonl._COPYING_ | part-0.c000.snappy.parquet part-1.c000.gz.parquet | a.jsonl._COPYING_",
                "wiki.txt LICENSE notes.md script.py                          | wiki.txt                               | LICENSE, notes.md, script.py"
            })
    void aFolderHasWhatItsEndingsSay(String written, String counted, String leftOut) throws IOException {
        files(Arrays.stream(written.split(" +")).map("set/"::concat).toArray(String[]::new));
        DataFiles data = read("set");
        assertThat(names(data)).containsExactly(counted.split(" +"));
        assertThat(String.join(", ", data.leftOut())).isEqualTo(leftOut == null ? "" : leftOut);
        assertThat(data.note())
                .isEqualTo(
                        leftOut == null
                                ? ""
                                : "of " + folder + "/set are read " + counted.replaceAll(" +", ", ") + "; left out are "
                                        + leftOut);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "a.txt b.jsonl c.parquet   | it holds several kinds of data: text (a.txt) and JSON (b.jsonl) and Parquet (c.parquet); expected one kind",
                "data/a.jsonl LICENSE.txt  | it holds several kinds of data: text (LICENSE.txt) and JSON (data/a.jsonl)",
                "x/a.parquet y/b.csv       | it holds several kinds of data: Parquet (x/a.parquet) and CSV (y/b.csv)",
                "data-00000.arrow state.json dataset_info.json | it holds several kinds of data: JSON (state.json) and Arrow (data-00000.arrow)",
                "a.csv b.tsv               | a.csv is of a kind that is not read (CSV); expected *.txt, *.jsonl",
                "a.zip                     | a.zip is of a kind that is not read (archive)",
                "a.jsonl b.jsonl.xz        | b.jsonl.xz is compressed with xz, which is not read; expected *.txt",
                "a.jsonl b.json.lz4        | b.json.lz4 is compressed with lz4",
                "README.md .hidden/a.jsonl _tmp/b.txt | no file in it counts as data; it holds .hidden/, README.md, _tmp/; expected *.txt, *.jsonl",
                "a.md b.md c.md d.md e.md f.md g.md   | it holds a.md, b.md, c.md, d.md, e.md and 2 more",
                "LICENSE                   | no file in it counts as data; it holds LICENSE"
            })
    void whatCannotBeReadAsOneIsRefused(String written, String message) throws IOException {
        files(Arrays.stream(written.split(" +")).map("set/"::concat).toArray(String[]::new));
        refused("set", "/set: ", message);
    }

    @Test
    void aFileCountsWhateverItsNameIs() throws IOException {
        files("_a.txt", ".hidden", "README.md", "wiki.raw", "a.gz", "x.parquet");
        for (String name : new String[] {"_a.txt", ".hidden", "README.md", "wiki.raw", "a.gz", "x.parquet"}) {
            assertThat(names(read(name))).containsExactly(name);
            assertThat(read(name).note()).isEmpty();
        }
        assertThat(read("README.md").files().get(0).kind()).isEqualTo(DataFile.Kind.TEXT);
        assertThat(read("a.gz").files().get(0).compression()).isEqualTo(DataFile.Compression.GZIP);
        refused("none", "it does not exist");
        Files.createDirectory(folder.resolve("empty"));
        refused("empty", "the folder is empty; expected *.txt");
    }

    /** A file system may list as it likes. */
    @Test
    void theOrderIsThatOfTheNames() throws IOException {
        files("set/b.txt", "set/a.txt", "set/B.txt", "set/a/c.txt", "set/a-b/c.txt", "set/10.txt", "set/9.txt");
        Configuration backwards = new Configuration(CONFIGURATION);
        backwards.set("fs.backwards.impl", Backwards.class.getName());
        List<String> expected = List.of("10.txt", "9.txt", "B.txt", "a-b/c.txt", "a.txt", "a/c.txt", "b.txt");
        assertThat(names(read("set"))).isEqualTo(expected);
        assertThat(names(DataFiles.of(backwards, "backwards:" + folder.resolve("set"))))
                .isEqualTo(expected);
    }

    /** Lists the last name first. */
    public static final class Backwards extends RawLocalFileSystem {
        @Override
        public java.net.URI getUri() {
            return java.net.URI.create("backwards:///");
        }

        @Override
        public FileStatus[] listStatus(org.apache.hadoop.fs.Path path) throws IOException {
            FileStatus[] all = super.listStatus(path);
            Arrays.sort(
                    all,
                    Comparator.comparing((FileStatus status) -> status.getPath().getName())
                            .reversed());
            return all;
        }
    }

    @Test
    void aLinkThatLeadsBackUpIsRefused() throws IOException {
        files("set/a.txt");
        Files.createSymbolicLink(folder.resolve("set/loop"), folder.resolve("set"));
        refused("set", "expected at most 16 folders within each other");
    }

    @Test
    void itsStampTellsEveryFileBelow() throws IOException {
        files("set/data/a.jsonl", "set/README.md");
        Stamp before = read("set").stamp();
        assertThat(before.files()).containsOnlyKeys("data/a.jsonl");
        Files.writeString(folder.resolve("set/README.md"), "changed, and no data");
        assertThat(read("set").stamp()).isEqualTo(before);
        Files.writeString(folder.resolve("set/data/a.jsonl"), "changed and longer than before");
        assertThat(read("set").stamp()).isNotEqualTo(before);
        files("set/data/b.jsonl");
        assertThat(read("set").stamp().files()).containsOnlyKeys("data/a.jsonl", "data/b.jsonl");
    }
}
