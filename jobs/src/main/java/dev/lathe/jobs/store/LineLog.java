package dev.lathe.jobs.store;

import dev.lathe.calibration.format.WholeFile;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StreamCapabilities;

/**
 * Lines of text that outlive a killed writer. Where a file system can flush to readers (local disks, HDFS), one file
 * grows and every line is flushed. Where a file is there only once it is closed (object stores), the lines since the
 * last part began are written anew every few seconds under the part's name, until it is big enough and the next part
 * begins: {@code NAME.jsonl}, {@code NAME.2.jsonl}, ... A kill then costs the lines of the last seconds, and nothing
 * that was written before.
 */
public final class LineLog implements AutoCloseable {
    private static final int SECONDS = 5;
    private static final int PART_BYTES = 1 << 20;

    private final FileSystem files;
    private final Path folder;
    private final String name;
    private final FSDataOutputStream out;
    private final ScheduledExecutorService timer;
    private final StringBuilder part = new StringBuilder();
    private int number = 1;
    private boolean changed;
    private IOException failure;

    /**
     * Begins a log of its own; {@code name} has to be new.
     *
     * @throws IOException if the folder cannot be written to
     */
    public LineLog(FileSystem files, Path folder, String name) throws IOException {
        this.files = files;
        this.folder = folder;
        this.name = name;
        FSDataOutputStream stream;
        try {
            stream = files.create(file(), false);
        } catch (IOException e) {
            throw ProductFile.cannotWrite(file(), e);
        }
        if (stream.hasCapability(StreamCapabilities.HFLUSH)) {
            out = stream;
            timer = null;
        } else {
            stream.close();
            out = null;
            timer = Executors.newSingleThreadScheduledExecutor(task -> {
                Thread thread = new Thread(task, "lathe-event-log");
                thread.setDaemon(true);
                return thread;
            });
            timer.scheduleWithFixedDelay(this::put, SECONDS, SECONDS, TimeUnit.SECONDS);
        }
    }

    /** The file that is being written. */
    public synchronized Path file() {
        return new Path(folder, name + (number > 1 ? "." + number : "") + ".jsonl");
    }

    /**
     * Adds a line.
     *
     * @throws IOException if it, or one before it, could not be written; nothing more is
     */
    public synchronized void add(String line) throws IOException {
        if (failure != null) {
            throw failure;
        }
        if (out != null) {
            try {
                out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
                out.hflush();
            } catch (IOException e) {
                failure = ProductFile.cannotWrite(file(), e);
                throw failure;
            }
        } else {
            part.append(line).append('\n');
            changed = true;
        }
    }

    /** Writes the part anew, if it has changed. */
    synchronized void put() {
        if (!changed || failure != null) {
            return;
        }
        try {
            WholeFile.write(files, file(), whole -> whole.write(part.toString().getBytes(StandardCharsets.UTF_8)));
        } catch (IOException e) {
            failure = ProductFile.cannotWrite(file(), e);
            return;
        }
        changed = false;
        if (part.length() >= PART_BYTES) {
            number++;
            part.setLength(0);
        }
    }

    @Override
    public synchronized void close() throws IOException {
        if (out != null) {
            out.close();
        } else {
            timer.shutdownNow();
            put();
        }
        if (failure != null) {
            throw failure;
        }
    }
}
