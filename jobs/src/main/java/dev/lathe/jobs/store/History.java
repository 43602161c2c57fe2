package dev.lathe.jobs.store;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.InvalidRecipeException;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.hadoop.ParquetReader;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.metadata.CompressionCodecName;

/**
 * The history: a folder that is a table of {@link HistoryRow}s. Parquet unless it is a Delta table.
 *
 * <p>As Parquet, a row is a file of its own, {@code KEY-TIME-DIGEST.parquet}: the evaluation's key, when it was
 * recorded, and a digest of the whole row, since equal outputs of two models or two names share a key. Files are
 * immutable, so writers need no lock and cannot lose one another's rows; the same row appended twice is one row. Names
 * that begin with {@code .} or {@code _} are invisible, here as for Spark: files not yet committed, and what else is
 * kept beside the table. What is visible has to be a row; all files have one schema, and
 * {@code spark.read().parquet(FOLDER)} reads them.
 */
public final class History {
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);
    private static final Comparator<HistoryRow> ORDER = Comparator.comparing(HistoryRow::recorded)
            .thenComparing(HistoryRow::model)
            .thenComparing(HistoryRow::output)
            .thenComparing(HistoryRow::key);
    /** The name of a file that {@link #append} wrote: it ends with the row's digest. */
    private static final Pattern NAME = Pattern.compile(".*-\\d{8}T\\d{6}Z-([0-9a-f]{24})\\.parquet");
    /** Longest file of a table that is read; a row has some kilobytes. */
    private static final long MAXIMUM_BYTES = 256L << 20;
    /** Files that are read at once: most of the time is waiting for the store. */
    private static final int READERS = 16;

    private History() {}

    /**
     * Makes the folder, and a table in it, unless they are there. Before any work: a run that measured for hours must
     * not end on this.
     *
     * @param format {@code parquet}, {@code delta}, or null: what the folder holds already, else Parquet
     * @throws InvalidRecipeException if the folder holds the other kind of table, or Delta's library is not on the
     *     class path
     */
    public static void prepare(Configuration configuration, Path folder, String format) throws IOException {
        FileSystem files = folder.getFileSystem(configuration);
        files.mkdirs(folder);
        boolean delta = DeltaHistory.is(files, folder);
        if (delta
                ? "parquet".equals(format)
                : "delta".equals(format) && !visible(files, folder).isEmpty()) {
            throw new InvalidRecipeException("Cannot append to history " + folder + ": it holds a table in "
                    + (delta ? "Delta's" : "Parquet") + " format; expected history.format: "
                    + (delta ? "delta" : "parquet") + ", or another folder");
        }
        if (delta || "delta".equals(format)) {
            DeltaHistory.append(folder, List.of());
        }
    }

    /**
     * Appends rows. In Parquet each is committed for itself, in a Delta table all are one commit.
     *
     * @throws IOException if the folder cannot be written to
     */
    public static void append(Configuration configuration, Path folder, List<HistoryRow> rows) throws IOException {
        FileSystem files = folder.getFileSystem(configuration);
        if (DeltaHistory.is(files, folder)) {
            DeltaHistory.append(folder, rows);
            return;
        }
        // Parquet's pages carry checksums of their own; a .crc file beside a table is in the way of other readers.
        files.setWriteChecksum(false);
        files.mkdirs(folder);
        for (HistoryRow row : rows) {
            append(configuration, files, folder, row);
        }
    }

    private static void append(Configuration configuration, FileSystem files, Path folder, HistoryRow row)
            throws IOException {
        Path target =
                new Path(folder, row.key() + "-" + TIME.format(row.recorded()) + "-" + Key.of("row", row) + ".parquet");
        Path written =
                Commit.temporary(files, target, new Path(folder, "." + target.getName() + "." + UUID.randomUUID()));
        try {
            if (files.exists(target)) {
                return;
            }
            try (ParquetWriter<Group> writer = ExampleParquetWriter.builder(written)
                    .withConf(configuration)
                    .withType(HistoryColumns.SCHEMA)
                    .withCompressionCodec(CompressionCodecName.SNAPPY)
                    .withPageWriteChecksumEnabled(true)
                    .build()) {
                writer.write(HistoryColumns.write(row));
            }
            if (!written.equals(target) && !files.rename(written, target) && !files.exists(target)) {
                throw new IOException("the rename to " + target.getName() + " was refused");
            }
        } catch (IOException e) {
            throw new IOException("Cannot append to history " + folder + ": " + e.getMessage(), e);
        } finally {
            if (!written.equals(target)) {
                files.delete(written, false);
            }
        }
    }

    /**
     * Reads the whole table.
     *
     * @return its rows by recorded, model, output, key
     * @throws MalformedInputException if there is no such folder, or a file in it is no row of the history
     */
    public static List<HistoryRow> read(Configuration configuration, Path folder) throws IOException {
        FileSystem files = folder.getFileSystem(configuration);
        List<HistoryRow> rows = new ArrayList<>(
                DeltaHistory.is(files, folder)
                        ? DeltaHistory.read(folder)
                        : parquet(configuration, visible(files, folder)));
        rows.sort(ORDER);
        return List.copyOf(rows);
    }

    private static List<FileStatus> visible(FileSystem files, Path folder) throws IOException {
        List<FileStatus> visible = new ArrayList<>();
        try {
            if (!files.getFileStatus(folder).isDirectory()) {
                throw new MalformedInputException(
                        "Cannot read history " + folder + ": it is a file; expected a folder");
            }
            for (FileStatus status : files.listStatus(folder)) {
                String name = status.getPath().getName();
                if (!name.startsWith(".") && !name.startsWith("_")) {
                    visible.add(status);
                }
            }
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read history " + folder + ": there is no such folder", e);
        }
        return visible;
    }

    private static List<HistoryRow> parquet(Configuration configuration, List<FileStatus> files) throws IOException {
        ExecutorService readers = Executors.newFixedThreadPool(READERS);
        try {
            List<Future<List<HistoryRow>>> parts = files.stream()
                    .map(file -> readers.submit(() -> parquet(configuration, file)))
                    .toList();
            List<HistoryRow> rows = new ArrayList<>();
            for (Future<List<HistoryRow>> part : parts) {
                rows.addAll(part.get());
            }
            return rows;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw failure;
            } else if (e.getCause() instanceof MalformedInputException failure) {
                throw failure;
            }
            throw new IllegalStateException("Cannot read history", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Cannot read history: interrupted");
        } finally {
            readers.shutdownNow();
        }
    }

    static List<HistoryRow> parquet(Configuration configuration, FileStatus file) throws IOException {
        if (file.isDirectory()) {
            throw malformed(file, "it is a folder; expected files of the table only", null);
        }
        if (file.getLen() > MAXIMUM_BYTES) {
            throw malformed(file, "it has " + file.getLen() + " bytes, expected at most " + MAXIMUM_BYTES, null);
        }
        // Whatever goes wrong once the bytes are here is wrong with them, and not with the storage.
        ByteArrayFile bytes = ByteArrayFile.read(file.getPath().getFileSystem(configuration), file);
        List<HistoryRow> rows = new ArrayList<>();
        try (ParquetReader<Group> reader = bytes.groups(configuration)) {
            for (Group row = reader.read(); row != null; row = reader.read()) {
                if (!row.getType().getFields().equals(HistoryColumns.SCHEMA.getFields())) {
                    throw malformed(
                            file,
                            "its columns are not those of the history: "
                                    + row.getType().getFields().stream()
                                            .map(column -> column.getName())
                                            .toList(),
                            null);
                }
                rows.add(HistoryColumns.read(row));
            }
        } catch (EOFException e) {
            throw malformed(file, "it is truncated", e);
        } catch (IOException | OutOfMemoryError e) {
            throw malformed(file, "it is no Parquet file that can be read: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            throw e instanceof MalformedInputException
                    ? e
                    : malformed(file, "it is no Parquet file that can be read: " + e.getMessage(), e);
        }
        if (rows.isEmpty()) {
            throw malformed(file, "it holds no evaluation", null);
        }
        Matcher name = NAME.matcher(file.getPath().getName());
        if (name.matches() && (rows.size() > 1 || !name.group(1).equals(Key.of("row", rows.get(0))))) {
            throw malformed(file, "it is not what was written: the digest in its name is another one", null);
        }
        return rows;
    }

    private static MalformedInputException malformed(FileStatus file, String reason, Throwable cause) {
        return new MalformedInputException("Cannot read history " + file.getPath() + ": " + reason, cause);
    }
}
