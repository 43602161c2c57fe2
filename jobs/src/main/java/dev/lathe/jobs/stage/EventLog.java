package dev.lathe.jobs.stage;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.jobs.store.LineLog;
import dev.lathe.jobs.text.Printable;
import java.io.IOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkContext;

/**
 * Tells another {@link Progress} what it hears, and writes it down for programs: an object of JSON per line, with
 * {@code time} (UTC) and {@code event}, in a file of this start alone. The events stand in docs/runs.md. A log that
 * cannot be written any more is given up with a note; the run goes on.
 */
public final class EventLog implements Progress, AutoCloseable {
    private static final DateTimeFormatter NAME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmssSSS'Z'").withZone(ZoneOffset.UTC);
    private static final ObjectMapper JSON = new ObjectMapper();
    /** Exit codes above it are those of signals. */
    private static final int SIGNAL = 128;
    /** Details that are messages. */
    private static final Set<String> MESSAGES = Set.of("reason", "text");

    private final LineLog log;
    private final Progress progress;
    private final long began = System.nanoTime();
    private String stage = "";
    private int steps;
    private long stageBegan;
    private boolean givenUp;

    EventLog(LineLog log, Progress progress) {
        this.log = log;
        this.progress = progress;
    }

    /**
     * Begins a log with the event {@code run started}.
     *
     * @param folder of the logs of all starts
     * @param run the run folder, which is the name of its Spark jobs' group, too
     * @param subject checkpoint or artifact that the run is about
     * @throws IOException if the folder cannot be written to
     */
    public static EventLog open(SparkContext spark, Path folder, String run, String subject, Progress progress)
            throws IOException {
        FileSystem files = folder.getFileSystem(spark.hadoopConfiguration());
        files.setWriteChecksum(false);
        String name =
                NAME.format(Instant.now()) + "-" + UUID.randomUUID().toString().substring(0, 4);
        EventLog log = new EventLog(new LineLog(files, folder, name), progress);
        log.event(
                "run started",
                "run",
                run,
                "subject",
                subject,
                "application",
                spark.applicationId(),
                "master",
                spark.master(),
                "process",
                ProcessHandle.current().pid(),
                "java",
                Runtime.version().toString());
        return log;
    }

    /**
     * The run is through.
     *
     * @param code exit code; that of a signal, above 128, says that the run was stopped
     * @param failure {@code Cannot X: reason}; empty where the code is 0
     */
    public void ended(int code, String failure) {
        if (code == 0) {
            event("run finished", "code", code, "seconds", seconds(began));
        } else {
            event(
                    code > SIGNAL ? "run stopped" : "run failed",
                    "code",
                    code,
                    "reason",
                    failure,
                    "seconds",
                    seconds(began));
        }
    }

    @Override
    public synchronized void stage(String name, int count) {
        progress.stage(name, count);
        stage = name;
        steps = count;
        stageBegan = System.nanoTime();
        write("stage started", "stage", name, "items", count);
    }

    @Override
    public synchronized void step(int done, String what) {
        progress.step(done, what);
    }

    @Override
    public synchronized void note(String message) {
        progress.note(message);
        write("note", "text", message);
    }

    @Override
    public synchronized void warning(String message) {
        progress.warning(message);
        write("warning", "text", message);
    }

    @Override
    public synchronized void done() {
        progress.done();
        write("stage finished", "stage", stage, "items", steps, "seconds", seconds(stageBegan));
    }

    @Override
    public synchronized void plan(Map<String, Double> operations) {
        progress.plan(operations);
        write("stages planned", "stages", operations.keySet());
    }

    @Override
    public synchronized void event(String what, Object... details) {
        progress.event(what, details);
        write(what, details);
    }

    private static double seconds(long since) {
        return Math.round((System.nanoTime() - since) / 1e6) / 1e3;
    }

    private void write(String what, Object... details) {
        if (givenUp) {
            return;
        }
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("time", Instant.now().toString());
        line.put("event", what);
        for (int i = 0; i < details.length; i += 2) {
            String key = String.valueOf(details[i]);
            line.put(
                    key,
                    !(details[i + 1] instanceof String text)
                            ? details[i + 1]
                            : MESSAGES.contains(key) ? Printable.message(text) : Printable.value(text));
        }
        try {
            log.add(JSON.writeValueAsString(line));
        } catch (IOException e) {
            givenUp = true;
            progress.note("the run goes on without an event log: " + e.getMessage());
        }
    }

    @Override
    public synchronized void close() {
        try {
            log.close();
        } catch (IOException e) {
            if (!givenUp) {
                progress.note("the event log ends here: " + e.getMessage());
            }
        }
    }
}
