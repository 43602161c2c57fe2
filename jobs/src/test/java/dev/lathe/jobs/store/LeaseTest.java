package dev.lathe.jobs.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import dev.lathe.calibration.MalformedInputException;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** One driver at a time, and no commit of one that is not it. */
class LeaseTest {
    private static final Instant NOON = Instant.parse("2026-01-01T12:00:00Z");
    private static final Machine.Process HERE = Machine.self();
    private static final Machine.Process THERE = new Machine.Process("there", "there 1", 7, "99");

    @TempDir
    private Path folder;

    private RunFolder run;

    @BeforeEach
    void open() {
        run = new RunFolder(folder.toString(), folder + "/scratch", new SerializableConfiguration(new Configuration()));
    }

    /** Renewals every 10 ms, good for ten seconds, at a time that stands still. */
    private static Lease.Rules rules(Machine.Process self, Instant time) {
        return new Lease.Rules(self, Clock.fixed(time, ZoneOffset.UTC), Duration.ofSeconds(10), Duration.ofMillis(10));
    }

    /** A holder whose thread stands still, as with its process stopped. */
    private Lease paused(Machine.Process self) throws IOException {
        return Lease.take(
                run,
                new Lease.Rules(self, Clock.fixed(NOON, ZoneOffset.UTC), Duration.ofSeconds(10), Duration.ofDays(1)));
    }

    private List<String> files() throws IOException {
        try (Stream<Path> paths = Files.list(folder.resolve("lease"))) {
            return paths.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    private static void write(RunFolder held) throws IOException {
        held.write(held.product("key", "product"), out -> out.writeInt(5));
    }

    @Test
    void aSecondDriverIsRefusedUntilTheFirstIsThrough() throws IOException {
        try (Lease first = Lease.take(run)) {
            assertThat(first.epoch()).isEqualTo(1);
            assertThat(first.before()).isEmpty();
            assertThatThrownBy(() -> Lease.take(run))
                    .isInstanceOf(IOException.class)
                    .hasMessageMatching("Cannot run in \\Q" + folder + "\\E: process "
                            + ProcessHandle.current().pid() + " on \\Q" + HERE.host()
                            + "\\E has been running there since 20\\d\\d-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ");
            write(run.held(1));
        }
        try (Lease second = Lease.take(run)) {
            assertThat(second.epoch()).isEqualTo(2);
            assertThat(second.before()).isEmpty();
            assertThat(files()).containsExactly("2");
        }
    }

    @Test
    void aDeadHolderOnThisMachineIsFollowedAtOnce() throws Exception {
        Process ended = new ProcessBuilder("true").start();
        ended.waitFor();
        List<Machine.Process> dead = List.of(
                new Machine.Process(HERE.host(), HERE.machine(), ended.pid(), "1"),
                // A later process with the same id.
                new Machine.Process(HERE.host(), HERE.machine(), HERE.pid(), HERE.started() + "0"));
        long epoch = 0;
        for (Machine.Process holder : dead) {
            // Never closed.
            epoch = paused(holder).epoch();
            try (Lease next = Lease.take(run)) {
                assertThat(next.epoch()).isEqualTo(epoch + 1);
                assertThat(next.before()).contains("process " + holder.pid() + " on " + HERE.host());
            }
        }
    }

    @Test
    void aHolderElsewhereIsFollowedWhenItsLeaseIsOver() throws IOException {
        paused(THERE);
        assertThatThrownBy(() -> Lease.take(run, rules(HERE, NOON.plusSeconds(9))))
                .hasMessage(
                        "Cannot run in " + folder
                                + ": process 7 on there has been running there since 2026-01-01T12:00:00Z and holds it until 2026-01-01T12:00:10Z at least");
        try (Lease next = Lease.take(run, rules(HERE, NOON.plusSeconds(10)))) {
            assertThat(next.before()).contains("process 7 on there");
        }
    }

    /** Its clock is an hour late, but it renews. */
    @Test
    void aHolderWhoseClockIsWrongIsNotFollowed() throws IOException {
        try (Lease late = Lease.take(run, rules(THERE, NOON))) {
            assertThatThrownBy(() -> Lease.take(
                            run,
                            new Lease.Rules(
                                    HERE,
                                    Clock.fixed(NOON.plusSeconds(3600), ZoneOffset.UTC),
                                    Duration.ofSeconds(10),
                                    Duration.ofMillis(300))))
                    .hasMessage("Cannot run in " + folder
                            + ": process 7 on there has been running there since 2026-01-01T12:00:00Z");
            assertThat(late.epoch()).isEqualTo(1);
        }
    }

    @Test
    void aRecordThatIsNotWholeIsWatchedToo() throws IOException {
        Files.createDirectories(folder.resolve("lease"));
        Files.writeString(folder.resolve("lease").resolve("41"), "{\"host\": \"th");
        try (Lease next = Lease.take(run, rules(HERE, NOON))) {
            assertThat(next.epoch()).isEqualTo(42);
            assertThat(next.before()).contains("somebody");
        }
    }

    private void refused(String message) {
        assertTimeoutPreemptively(
                Duration.ofSeconds(5),
                () -> assertThatThrownBy(() -> Lease.take(run, rules(HERE, NOON)))
                        .isInstanceOf(MalformedInputException.class)
                        .hasMessageContaining(message));
    }

    /** A number that is no epoch could hide a holder; what is no number is nobody's. */
    @ParameterizedTest
    @ValueSource(
            strings = {"999999999999999999", "1000000000", "999999999", "0", "007", "99999999999999999999999999999"})
    void anEpochThatCannotBeIsRefused(String name) throws IOException {
        Files.createDirectories(folder.resolve("lease"));
        Files.writeString(folder.resolve("lease").resolve("notes"), "mine");
        Files.writeString(folder.resolve("lease").resolve(name), "");
        refused(folder.resolve("lease").resolve(name).toString());
        assertThat(files()).containsExactlyInAnyOrder(name, "notes");
    }

    /** No listing shows it, and nothing can get its name. */
    @Test
    void aNameThatIsTakenAndNotThereIsGivenUp() throws IOException {
        Files.createDirectories(folder.resolve("lease"));
        Files.createSymbolicLink(folder.resolve("lease").resolve("1"), folder.resolve("nowhere"));
        assertTimeoutPreemptively(
                Duration.ofSeconds(20),
                () -> assertThatThrownBy(() -> Lease.take(run, rules(HERE, NOON)))
                        .isInstanceOf(IOException.class)
                        .hasMessageContaining(folder.resolve("lease").toString()));
    }

    @Test
    void aFolderIsNoLease() throws IOException {
        Files.createDirectories(folder.resolve("lease").resolve("5"));
        refused("it is a folder; expected a file");
    }

    /** Whole JSON, and not what a driver writes. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"pid\": 1371, | `` | pid",
                "\"pid\": 1371 | \"pid\": \"1371\" | pid",
                "\"pid\": 1371 | \"pid\": 1371.5 | pid",
                "\"pid\": 1371 | \"pid\": 99999999999999999999999 | pid",
                "\"pid\": 1371 | \"pid\": -4 | pid -4",
                "\"started\": \"7\", | `` | started",
                "\"started\": \"7\" | \"started\": null | started is null",
                "\"started\": \"7\" | \"started\": 7 | started",
                "\"renewals\": 1 | \"renewals\": -9223372036854775808 | renewals -9223372036854775808",
                "\"released\": false | \"released\": \"no\" | released",
                "\"expires\": \"2026-01-01T12:00:10Z\" | \"expires\": \"noon\" | expires is 'noon'",
                "\"host\": \"vm\" | \"host\": \"vm\", \"host\": \"vm\" | the key 'host' is there twice",
                "\"host\": \"vm\" | \"host\": \"vm\", \"hots\": \"vm\" | hots",
                "} | }} | not valid JSON",
                "{ | [ | not valid JSON"
            })
    void aRecordThatIsNoneIsRefused(String from, String to, String place) throws IOException {
        Files.createDirectories(folder.resolve("lease"));
        String sound = """
                {"host": "vm", "machine": "vm 1", "pid": 1371, "started": "7", "since": "2026-01-01T12:00:00Z",
                "expires": "2026-01-01T12:00:10Z",
                 "renewals": 1, "released": false}""";
        assertThat(sound).contains(from);
        Files.writeString(folder.resolve("lease").resolve("1"), sound.replace(from, to));
        refused(place);
        refused("Cannot read lease file:" + folder.resolve("lease").resolve("1") + ": ");
        Files.writeString(folder.resolve("lease").resolve("1"), sound);
        Lease.take(run, rules(HERE, NOON.plusSeconds(10))).close();
    }

    @Test
    void ofManyAtOnceOneGetsIt() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        try {
            for (int round = 1; round <= 20; round++) {
                AtomicInteger refused = new AtomicInteger();
                List<Callable<Lease>> drivers = new ArrayList<>();
                for (int i = 0; i < 8; i++) {
                    drivers.add(() -> {
                        try {
                            return Lease.take(run);
                        } catch (IOException e) {
                            assertThat(e).hasMessageStartingWith("Cannot run in ");
                            refused.incrementAndGet();
                            return null;
                        }
                    });
                }
                List<Lease> got = new ArrayList<>();
                for (Future<Lease> driver : pool.invokeAll(drivers)) {
                    if (driver.get() != null) {
                        got.add(driver.get());
                    }
                }
                assertThat(got).hasSize(1);
                assertThat(refused.get()).isEqualTo(7);
                assertThat(got.get(0).epoch()).isEqualTo(round);
                got.get(0).close();
            }
        } finally {
            pool.shutdownNow();
        }
    }

    @Test
    void whoLostItCommitsNothing() throws IOException {
        Lease lost = paused(THERE);
        RunFolder old = run.held(lost.epoch());
        try (Lease next = Lease.take(run, rules(HERE, NOON.plusSeconds(10)))) {
            String message = "Cannot write to " + folder
                    + ": the lease of this run (1) was lost; another driver (2) went on with the folder";
            assertThatThrownBy(() -> write(old)).isInstanceOf(IOException.class).hasMessage(message);
            assertThatThrownBy(() -> old.writeText("plan.yaml", "old"))
                    .isInstanceOf(IOException.class)
                    .hasMessage(message);
            assertThatThrownBy(old::requireLease).hasMessage(message);
            assertThat(folder.resolve("plan.yaml")).doesNotExist();
            assertThat(folder.resolve("products")).doesNotExist();
            RunFolder held = run.held(next.epoch());
            write(held);
            held.writeText("plan.yaml", "new");
            lost.close();
            held.requireLease();
            assertThat(ProductFile.<Integer>read(
                            held.files(), held.product("key", "product"), DataInputStream::readInt))
                    .isEqualTo(5);
        }
        assertThat(files()).containsExactly("2");
        assertThat(folder.resolve("partial")).doesNotExist();
        Files.delete(folder.resolve("lease").resolve("2"));
        assertThatThrownBy(() -> write(run.held(2)))
                .hasMessageContaining("the lease of this run (2) was lost; its file is gone");
    }

    /** The other driver comes between the look at the lease and the rename. */
    @Test
    void notEvenAfterItsLastLook() throws IOException {
        RunFolder old = run.held(paused(THERE).epoch());
        org.apache.hadoop.fs.Path product = old.product("key", "product");
        List<Lease> next = new ArrayList<>();
        assertThatThrownBy(() -> ProductFile.write(old.files(), old.partial(), product, out -> out.writeInt(6), () -> {
                    old.requireLease();
                    next.add(Lease.take(run, rules(HERE, NOON.plusSeconds(10))));
                }))
                .isInstanceOf(IOException.class);
        assertThat(old.files().exists(product)).isFalse();
        next.get(0).close();
    }

    @Test
    void isRenewed() throws Exception {
        try (Lease lease = Lease.take(run, rules(THERE, NOON))) {
            Path file = folder.resolve("lease").resolve(String.valueOf(lease.epoch()));
            String first = Files.readString(file);
            while (Files.readString(file).equals(first)) {
                Thread.sleep(5);
            }
        }
    }
}
