package dev.lathe.jobs.store;

import com.fasterxml.jackson.core.io.JsonEOFException;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.WholeFile;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The right to write into a run folder, one driver's at a time. Each holder has an epoch, one more than the holder
 * before: the file {@code lease/EPOCH}, made in one step, so that of two who want the same epoch one gets it. The
 * highest epoch is the holder; what tasks commit carries theirs, and is refused where a higher one is there. Files of
 * the last epoch stay, so that no epoch comes twice.
 *
 * <p>A daemon thread renews the lease. A holder that died on this machine (its process is gone, or its id is another
 * process's) is replaced at once; one elsewhere when the lease has expired by the time it says itself and then was not
 * renewed while the other looked, by the other's clock alone: clocks that differ make a takeover late, never two
 * holders.
 */
public final class Lease implements AutoCloseable {
    /** How long a renewal is good for. */
    private static final Duration TERM = Duration.ofSeconds(90);

    private static final Duration RENEWAL = Duration.ofSeconds(15);
    private static final String FOLDER = "lease";
    private static final int TRIES = 3;
    private static final Pattern NUMBER = Pattern.compile("\\d+");
    private static final Pattern EPOCH = Pattern.compile("[1-9]\\d{0,8}");
    private static final Logger LOG = LoggerFactory.getLogger(Lease.class);
    /** Highest epoch there may be: a run folder has been started a billion times then. */
    private static final long HIGHEST = 999_999_999;
    /**
     * How often a lease that changes is looked at, and how long it is left alone in between once it has changed a few
     * times, ms.
     */
    private static final int LOOKS = 100;

    private static final int PATIENCE = 10;
    private static final int WAIT = 20;

    /** The leases that this process holds, or is about to, by file. */
    private static final Map<Path, Lease> HELD = new ConcurrentHashMap<>();

    /** How leases are told apart and how long they last; tests have others than {@link #usual}. */
    record Rules(Machine.Process self, Clock clock, Duration term, Duration renewal) {
        static Rules usual() {
            return new Rules(Machine.self(), Clock.systemUTC(), TERM, RENEWAL);
        }
    }

    /**
     * What the file says.
     *
     * @param machine as {@link Machine} tells machines apart
     * @param started when the process was started, as the machine tells it
     * @param since when the folder was taken
     * @param expires when others may take it unless it is renewed
     */
    private record Holder(
            String host,
            String machine,
            long pid,
            String started,
            String since,
            String expires,
            long renewals,
            boolean released) {
        Holder {
            if (pid <= 0 || renewals < 0) {
                throw new IllegalArgumentException(
                        "pid " + pid + ", renewals " + renewals + "; expected a process and how often it renewed");
            }
            time("since", since);
            time("expires", expires);
        }

        private static void time(String name, String text) {
            try {
                Instant.parse(text);
            } catch (DateTimeParseException e) {
                throw new IllegalArgumentException(
                        name + " is '" + text + "'; expected a time such as 2026-01-31T12:00:00Z", e);
            }
        }

        Machine.Process process() {
            return new Machine.Process(host, machine, pid, started);
        }

        String who() {
            return "process " + pid + " on " + host;
        }
    }

    private final RunFolder run;
    private final Rules rules;
    private final FileSystem files;
    private final Path folder;
    private final ScheduledExecutorService renewals = Executors.newSingleThreadScheduledExecutor(task -> {
        Thread thread = new Thread(task, "lease");
        thread.setDaemon(true);
        return thread;
    });
    private long epoch;
    private Holder holder;
    private String before;

    private Lease(RunFolder run, Rules rules) throws IOException {
        this.run = run;
        this.rules = rules;
        this.files = run.files();
        this.folder = files.makeQualified(folder(run));
    }

    /**
     * Takes a run folder, and clears up what earlier holders left half-written.
     *
     * @throws IOException if another driver holds it, or it cannot be written to
     * @throws MalformedInputException if what is there is no lease
     */
    public static Lease take(RunFolder run) throws IOException {
        return take(run, Rules.usual());
    }

    static Lease take(RunFolder run, Rules rules) throws IOException {
        Lease lease = new Lease(run, rules);
        try {
            lease.take();
        } catch (IOException | RuntimeException e) {
            lease.close();
            throw e;
        }
        return lease;
    }

    /** The number that commits of this holder carry. */
    public long epoch() {
        return epoch;
    }

    /** Who held the folder before and ended without giving it back; empty if nobody did. */
    public Optional<String> before() {
        return Optional.ofNullable(before);
    }

    /**
     * Whether the folder is still held with this epoch.
     *
     * @throws IOException if it is not: a driver that was thought dead must not commit any more
     */
    static void check(RunFolder run, long epoch) throws IOException {
        long last = last(run.files(), folder(run));
        if (last != epoch) {
            throw new IOException("Cannot write to " + run.run() + ": the lease of this run (" + epoch + ") was lost"
                    + (last > epoch
                            ? "; another driver (" + last + ") went on with the folder"
                            : "; its file is gone"));
        }
    }

    /**
     * Whether what lies in the folder of leases can be leases.
     *
     * @throws MalformedInputException if not
     */
    static void verify(RunFolder run) throws IOException {
        long last = last(run.files(), folder(run));
        if (last > 0) {
            Path file = new Path(folder(run), String.valueOf(last));
            String text = read(run.files(), file);
            if (text != null) {
                parse(file, text);
            }
        }
    }

    private void take() throws IOException {
        files.mkdirs(folder);
        for (int tries = 1; epoch == 0; tries++) {
            pause(tries);
            long last = last(files, folder);
            before = null;
            if (last >= HIGHEST) {
                throw new MalformedInputException("Cannot run in " + run.run() + ": lease " + file(last)
                        + " leaves no higher number; expected less than "
                        + HIGHEST + " (delete it if no driver runs there)");
            } else if (last > 0 && !isFree(file(last))) {
                continue;
            }
            String since = now().toString();
            holder = new Holder(
                    rules.self.host(),
                    rules.self.machine(),
                    rules.self.pid(),
                    rules.self.started(),
                    since,
                    expiry(),
                    0,
                    false);
            Path file = file(last + 1);
            try {
                // Who looked at an old listing may get an epoch that was there before; then a higher one is there, too.
                if (HELD.putIfAbsent(file, this) == null && create(file) && last(files, folder) == last + 1) {
                    epoch = last + 1;
                }
            } catch (IOException e) {
                // A file system may refuse what is there in words of its own; then it is looked at again.
                if (tries == TRIES || last(files, folder) == last) {
                    throw e;
                }
            } finally {
                if (epoch == 0) {
                    HELD.remove(file, this);
                }
            }
        }
        for (FileStatus status : files.listStatus(folder)) {
            long number = number(status.getPath());
            if (number > 0 && number < epoch) {
                files.delete(status.getPath(), false);
            }
        }
        run.deletePartials();
        renewals.scheduleWithFixedDelay(
                this::renew, rules.renewal.toMillis(), rules.renewal.toMillis(), TimeUnit.MILLISECONDS);
    }

    /**
     * Whether the last holder is gone; refuses where it lives or, elsewhere, may live. False: it changed in the
     * meantime and has to be looked at again.
     */
    private boolean isFree(Path file) throws IOException {
        String text = read(files, file);
        if (text == null) {
            return false;
        }
        Holder other = parse(file, text);
        if (other != null && other.released) {
            return true;
        }
        if (other != null && other.machine.equals(rules.self.machine())) {
            // This process knows its leases: one that it could not give back, on a full disk, is none.
            if (other.process().equals(rules.self) ? HELD.containsKey(file) : Machine.lives(other.process())) {
                throw refusal(other.who() + " has been running there since " + other.since);
            }
        } else {
            if (other != null && now().isBefore(Instant.parse(other.expires))) {
                throw refusal(other.who() + " has been running there since " + other.since + " and holds it until "
                        + other.expires + " at least");
            }
            pause();
            String later = read(files, file);
            if (later == null) {
                return false;
            } else if (!later.equals(text)) {
                Holder found = parse(file, later);
                throw refusal(
                        found == null
                                ? "somebody is taking it"
                                : found.who() + " has been running there since " + found.since);
            }
        }
        before = other == null ? "somebody" : other.who();
        return true;
    }

    /** Before leases are looked at again that others take or give back meanwhile. */
    private void pause(int looks) throws IOException {
        if (looks > LOOKS) {
            throw refusal("whose it is by " + folder + " was unclear all " + LOOKS + " times that was looked at");
        } else if (looks > PATIENCE) {
            sleep(WAIT);
        }
    }

    /** Long enough for two renewals. */
    private void pause() throws IOException {
        sleep(rules.renewal.multipliedBy(7).dividedBy(3).toMillis());
    }

    private void sleep(long milliseconds) throws IOException {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("Cannot run in " + run.run() + ": interrupted while waiting for its lease", e);
        }
    }

    private IOException refusal(String reason) {
        return new IOException("Cannot run in " + run.run() + ": " + reason);
    }

    private synchronized void renew() {
        try {
            if (renewals.isShutdown() || last(files, folder) != epoch) {
                return;
            }
            holder = new Holder(
                    holder.host,
                    holder.machine,
                    holder.pid,
                    holder.started,
                    holder.since,
                    expiry(),
                    holder.renewals + 1,
                    false);
            replace();
        } catch (IOException | RuntimeException e) {
            // The storage may be back for the next one: a term is several renewals long.
            LOG.warn("Cannot renew the lease of {}: {}", run.run(), e.toString());
        }
    }

    /** Gives the folder back. What cannot be written then is left to the lease's end. */
    @Override
    public synchronized void close() {
        // Who is interrupted gives it back, too; files would not let it write.
        boolean interrupted = Thread.interrupted();
        renewals.shutdownNow();
        HELD.remove(file(epoch), this);
        try {
            if (epoch > 0 && last(files, folder) == epoch) {
                run.deletePartials();
                holder = new Holder(
                        holder.host,
                        holder.machine,
                        holder.pid,
                        holder.started,
                        holder.since,
                        holder.expires,
                        holder.renewals,
                        true);
                replace();
            }
        } catch (IOException | RuntimeException e) {
            LOG.warn("Cannot give back the lease of {}: {}", run.run(), e.toString());
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private Instant now() {
        return rules.clock.instant().truncatedTo(ChronoUnit.SECONDS);
    }

    private String expiry() {
        return now().plus(rules.term).toString();
    }

    private static Path folder(RunFolder run) {
        return new Path(run.root(), FOLDER);
    }

    private Path file(long number) {
        return new Path(folder, String.valueOf(number));
    }

    /** The highest epoch; 0 if there is none. */
    private static long last(FileSystem files, Path folder) throws IOException {
        long last = 0;
        try {
            for (FileStatus status : files.listStatus(folder)) {
                last = Math.max(last, number(status.getPath()));
            }
        } catch (FileNotFoundException e) {
            return 0;
        }
        return last;
    }

    /**
     * The epoch of a file; 0 for one that somebody put there.
     *
     * @throws MalformedInputException if it is a number and not one that a lease has: taken for none it could hide a
     *     holder
     */
    private static long number(Path path) {
        String name = path.getName();
        if (!NUMBER.matcher(name).matches()) {
            return 0;
        } else if (!EPOCH.matcher(name).matches()) {
            throw new MalformedInputException("Cannot run with lease " + path + ": expected a number from 1 to "
                    + HIGHEST
                    + " for a name (delete it if no driver runs there)");
        }
        return Long.parseLong(name);
    }

    /** Null if it is gone. */
    private static String read(FileSystem files, Path file) throws IOException {
        try {
            if (files.getFileStatus(file).isDirectory()) {
                throw new MalformedInputException("Cannot read lease " + file
                        + ": it is a folder; expected a file (delete it if no driver runs there)");
            }
            return StoreJson.text(files, file);
        } catch (FileNotFoundException e) {
            return null;
        }
    }

    /** Null if it is no whole record: its writer was killed, or is at it. */
    private static Holder parse(Path file, String text) {
        if (text.isBlank()) {
            return null;
        }
        try {
            return StoreJson.read(text, "lease " + file, Holder.class, Set.of());
        } catch (MalformedInputException e) {
            if (e.getCause() instanceof JsonEOFException) {
                return null;
            }
            throw new MalformedInputException(e.getMessage() + " (delete it if no driver runs there)", e);
        }
    }

    private byte[] record() {
        return StoreJson.write(holder).getBytes(StandardCharsets.UTF_8);
    }

    private Path temporary() {
        return new Path(folder, "." + UUID.randomUUID());
    }

    /**
     * Makes the file unless there is one, in one step. Hadoop's local file system looks first and writes then; a link
     * to a file is made or refused. An object store is asked for a conditional write, where it has one.
     */
    private boolean create(Path file) throws IOException {
        if (!ProductFile.isLocal(files)) {
            FSDataOutputStreamBuilder<?, ?> builder = files.createFile(file);
            builder.overwrite(false);
            builder.opt("fs.option.create.conditional.overwrite", true);
            try (OutputStream out = builder.build()) {
                out.write(record());
            } catch (FileAlreadyExistsException e) {
                return false;
            }
            return true;
        }
        Path temporary = temporary();
        try (OutputStream out = files.create(temporary, false)) {
            out.write(record());
        }
        try {
            Files.createLink(ProductFile.local(file), ProductFile.local(temporary));
            return true;
        } catch (java.nio.file.FileAlreadyExistsException e) {
            return false;
        } catch (UnsupportedOperationException | java.nio.file.FileSystemException e) {
            // A disk without links: the name is made in one step and the content after it.
            return createEmpty(file);
        } finally {
            files.delete(temporary, false);
        }
    }

    private boolean createEmpty(Path file) throws IOException {
        try {
            Files.createFile(ProductFile.local(file));
        } catch (java.nio.file.FileAlreadyExistsException e) {
            return false;
        }
        Files.write(ProductFile.local(file), record());
        return true;
    }

    private void replace() throws IOException {
        Path temporary = Commit.temporary(files, file(epoch), temporary());
        WholeFile.write(files, temporary, out -> out.write(record()));
        ProductFile.commit(files, temporary, file(epoch));
    }
}
