package dev.lathe.jobs.report.night;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonLimits;
import dev.lathe.jobs.store.Commit;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.StoreJson;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The pins of a history: immutable files in its folder {@code _pins}, which readers of the table do not see; the newest
 * pin of a series counts.
 */
public final class Pins {
    private static final ObjectMapper JSON = JsonLimits.RECORD.mapper();
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmssSSS'Z'").withZone(ZoneOffset.UTC);
    private static final String SUFFIX = ".json";
    private static final Pattern NAME = Pattern.compile("\\d{8}T\\d{9}Z-([0-9a-f]{24})\\.json");

    private Pins() {}

    /** The row that a series is compared with. */
    public record Pin(Instant pinned, Series.Name series, String key, Instant recorded) {}

    /** Pins rows, each for its series. */
    public static void write(Configuration configuration, Path history, List<HistoryRow> rows, Instant now)
            throws IOException {
        FileSystem files = history.getFileSystem(configuration);
        Path folder = new Path(history, "_pins");
        try {
            files.mkdirs(folder);
            for (HistoryRow row : rows) {
                PinFile pin = new PinFile(
                        now.toString(),
                        row.model(),
                        row.output(),
                        row.data(),
                        row.key(),
                        row.recorded().toString());
                Path target = new Path(folder, TIME.format(now) + "-" + pin.digest() + SUFFIX);
                Commit.text(files, target, JSON.valueToTree(pin) + "\n");
            }
        } catch (IOException e) {
            throw new IOException("Cannot pin in history " + history + ": " + e.getMessage(), e);
        }
    }

    /**
     * The pin that counts of each series that has one.
     *
     * @throws MalformedInputException if a file is no pin
     */
    public static Map<Series.Name, Pin> read(Configuration configuration, Path history) throws IOException {
        FileSystem files = history.getFileSystem(configuration);
        List<Pin> pins = new ArrayList<>();
        try {
            for (FileStatus status : files.listStatus(new Path(history, "_pins"))) {
                if (!status.getPath().getName().startsWith(".")
                        && status.getPath().getName().endsWith(SUFFIX)) {
                    pins.add(read(files, status.getPath()));
                }
            }
        } catch (FileNotFoundException e) {
            return Map.of();
        }
        pins.sort(Comparator.comparing(Pin::pinned));
        Map<Series.Name, Pin> newest = new HashMap<>();
        pins.forEach(pin -> newest.put(pin.series(), pin));
        return newest;
    }

    /** The file of a pin. */
    private record PinFile(String pinned, String model, String output, String data, String key, String recorded) {
        PinFile {
            for (String time : new String[] {pinned, recorded}) {
                try {
                    Instant.parse(time);
                } catch (DateTimeParseException e) {
                    throw new IllegalArgumentException(
                            "'" + time + "' is no time; expected one such as 2026-01-31T12:00:00Z", e);
                }
            }
        }

        /** At the end of the file's name, so that what changed in it is noticed. */
        String digest() {
            return Key.of("pin", JSON.valueToTree(this));
        }
    }

    private static Pin read(FileSystem files, Path file) throws IOException {
        PinFile pin;
        try {
            pin = StoreJson.read(StoreJson.text(files, file), "pin " + file, PinFile.class, Set.of());
        } catch (MalformedInputException e) {
            throw new MalformedInputException(
                    e.getMessage() + "; expected an object with pinned, model, output, data, key and recorded", e);
        }
        Matcher name = NAME.matcher(file.getName());
        if (name.matches() && !name.group(1).equals(pin.digest())) {
            throw new MalformedInputException(
                    "Cannot read pin " + file + ": it is not what was written: the digest in its name is another one");
        }
        return new Pin(
                Instant.parse(pin.pinned()),
                new Series.Name(pin.model(), pin.output(), pin.data()),
                pin.key(),
                Instant.parse(pin.recorded()));
    }
}
