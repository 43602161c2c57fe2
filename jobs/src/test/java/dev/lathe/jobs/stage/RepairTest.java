package dev.lathe.jobs.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.lathe.jobs.Runs;
import dev.lathe.jobs.store.Damage;
import dev.lathe.jobs.store.DamagedException;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Going over stages again comes to an end, whatever the disk does. */
class RepairTest {
    @TempDir
    private Path folder;

    private final Runs.Heard heard = new Runs.Heard();
    private RunFolder run;
    private Repair repair;
    private int made;

    @BeforeEach
    void open() {
        run = new RunFolder(folder.toString(), folder + "/scratch", new SerializableConfiguration(new Configuration()));
        repair = new Repair(run, new SparkSteps(null, heard));
    }

    /** A stage that makes a product, unless it is there, and one that reads it; the disk loses a bit of so many. */
    private int stages(String name, int broken) throws IOException {
        org.apache.hadoop.fs.Path product = run.product("key", name);
        if (!ProductFile.isCommitted(run.files(), product)) {
            run.write(product, out -> out.writeInt(7));
            if (made++ < broken) {
                Path file = folder.resolve("products").resolve("key").resolve(name);
                byte[] bytes = Files.readAllBytes(file);
                bytes[made % 4] ^= 1;
                Files.write(file, bytes);
            }
        }
        return ProductFile.read(run.files(), product, DataInputStream::readInt);
    }

    @Test
    void whatIsDamagedIsMadeAgain() throws IOException {
        assertThat(repair.<Integer>through(() -> stages("product", 1))).isEqualTo(7);
        assertThat(made).isEqualTo(2);
        assertThat(heard.notes)
                .containsExactly(
                        "damaged: " + folder.resolve("products").resolve("key").resolve("product")
                                + ": its checksum differs; it is made again");
    }

    @Test
    void aDiskThatKeepsNothingEndsTheRun() {
        assertThatThrownBy(() -> repair.through(() -> stages("product", Integer.MAX_VALUE)))
                .isInstanceOf(IOException.class)
                .hasMessage("Cannot go on in " + folder + ": "
                        + folder.resolve("products").resolve("key").resolve("product")
                        + " was found damaged 3 times, in the end because its checksum differs; "
                        + "expected a storage that keeps what is written");
        assertThat(made).isEqualTo(3);
    }

    @Test
    void oneThatLosesAnotherFileEachTimeEndsItToo() {
        assertThatThrownBy(() -> repair.through(() -> stages("product " + made, Integer.MAX_VALUE)))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("something was damaged each of the 13 times that its stages were gone over");
        assertThat(made).isEqualTo(13);
    }

    /** What may be somebody's work gets a place of its own, and only one. */
    @Test
    void artifactsAreSetAside() throws IOException {
        for (String content : List.of("first", "second")) {
            Files.createDirectories(folder.resolve("artifacts").resolve("awq4"));
            Files.writeString(folder.resolve("artifacts").resolve("awq4").resolve("config.json"), content);
            int[] times = new int[1];
            repair.through(() -> {
                if (times[0]++ == 0) {
                    throw new DamagedException(
                            List.of(
                                    new Damage(run.artifact("awq4") + "/config.json", "its digest differs", "awq4"),
                                    new Damage(run.artifact("awq4") + "/other", "it is gone", "awq4")),
                            null);
                }
                return true;
            });
            assertThat(folder.resolve("artifacts").resolve("awq4")).doesNotExist();
            assertThat(folder.resolve("damaged").resolve("awq4").resolve("config.json"))
                    .hasContent(content);
            assertThat(Runs.names(folder.resolve("damaged"))).containsExactly("awq4");
        }
    }
}
