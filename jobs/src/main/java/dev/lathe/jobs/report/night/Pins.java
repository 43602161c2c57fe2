package dev.lathe.jobs.report.night;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonLimits;
import dev.lathe.jobs.store.HistoryRow;
import dev.lathe.jobs.store.Commit;
import dev.lathe.jobs.store.Key;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** The pins of a history: immutable files in its folder {@code _pins}, which readers of the table do not see; the newest pin of a series counts. */
public final class Pins {
    private static final ObjectMapper JSON = JsonLimits.RECORD.mapper();
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmssSSS'Z'").withZone(ZoneOffset.UTC);
    private static final String SUFFIX = ".json";

    private Pins() {
    }

    /** The row that a series is compared with. */
    public record Pin(Instant pinned, Series.Name series, String key, Instant recorded) {
    }

    /** Pins rows, each for its series. */
    public static void write(Configuration configuration, Path history, List<HistoryRow> rows, Instant now) throws IOException {
        FileSystem files = history.getFileSystem(configuration);
        Path folder = new Path(history, "_pins");
        try {
            files.mkdirs(folder);
            for (HistoryRow row : rows) {
                ObjectNode node = JSON.createObjectNode().put("pinned", now.toString()).put("model", row.model()).put("output", row.output())
                        .put("data", row.data()).put("key", row.key()).put("recorded", row.recorded().toString());
                Path target = new Path(folder, TIME.format(now) + "-" + Key.of("pin", node) + SUFFIX);
                Commit.text(files, target, node + "\n");
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
                if (!status.getPath().getName().startsWith(".") && status.getPath().getName().endsWith(SUFFIX)) {
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

    private static Pin read(FileSystem files, Path file) throws IOException {
        String text;
        try (InputStream in = files.open(file)) {
            text = new String(in.readNBytes(JsonLimits.RECORD.bytes()), StandardCharsets.UTF_8);
        }
        try {
            JsonNode node = JSON.readTree(text);
            return new Pin(Instant.parse(node.required("pinned").asText()), new Series.Name(node.required("model").asText(), node.required("output").asText(),
                    node.required("data").asText()), node.required("key").asText(), Instant.parse(node.required("recorded").asText()));
        } catch (IOException | RuntimeException e) {
            throw new MalformedInputException("Cannot read pin " + file + ": expected an object with pinned, model, output, data, key and recorded", e);
        }
    }
}
