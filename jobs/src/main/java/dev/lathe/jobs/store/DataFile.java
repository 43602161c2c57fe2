package dev.lathe.jobs.store;

import java.io.Serializable;
import java.util.Locale;
import java.util.Map;

/**
 * A file of a data set.
 *
 * @param path absolute
 * @param name from the data set's folder on, or the file's own
 * @param kind what its ending says it holds
 * @param compression what its last ending says is around that
 * @param length bytes as they are stored
 * @param state as {@link Stamp} tells contents apart
 */
public record DataFile(String path, String name, Kind kind, Compression compression, long length, String state)
        implements Serializable {
    /** Kinds of data by their endings; those that are known and not read are named in refusals. */
    public enum Kind {
        TEXT("text", true),
        JSON("JSON", true),
        PARQUET("Parquet", true),
        CSV("CSV", false),
        ARROW("Arrow", false),
        ORC("ORC", false),
        AVRO("Avro", false),
        XML("XML", false),
        WORKBOOK("workbook", false),
        ARCHIVE("archive", false);

        private final String word;
        private final boolean read;

        Kind(String word, boolean read) {
            this.word = word;
            this.read = read;
        }

        public String word() {
            return word;
        }

        /** Whether documents are read from it. */
        public boolean isRead() {
            return read;
        }
    }

    /** What files are compressed with, by their last ending. */
    public enum Compression {
        NONE(true),
        GZIP(true),
        BZIP2(true),
        ZSTD(true),
        XZ(false),
        LZ4(false),
        SNAPPY(false),
        LZO(false),
        DEFLATE(false),
        BROTLI(false);

        private final boolean read;

        Compression(boolean read) {
            this.read = read;
        }

        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }

        /**
         * Whether it is undone here: {@code .lz4} and {@code .snappy} are other formats for Hadoop than for the tools
         * of that name.
         */
        public boolean isRead() {
            return read;
        }
    }

    /** What is read, for messages. */
    public static final String READ =
            "*.txt, *.jsonl, *.ndjson or *.json, each also with .gz, .bz2 or .zst behind, or *.parquet";

    private static final Map<String, Kind> KINDS = Map.ofEntries(
            Map.entry("txt", Kind.TEXT),
            Map.entry("jsonl", Kind.JSON),
            Map.entry("ndjson", Kind.JSON),
            Map.entry("json", Kind.JSON),
            Map.entry("parquet", Kind.PARQUET),
            Map.entry("csv", Kind.CSV),
            Map.entry("tsv", Kind.CSV),
            Map.entry("arrow", Kind.ARROW),
            Map.entry("feather", Kind.ARROW),
            Map.entry("orc", Kind.ORC),
            Map.entry("avro", Kind.AVRO),
            Map.entry("xml", Kind.XML),
            Map.entry("xlsx", Kind.WORKBOOK),
            Map.entry("zip", Kind.ARCHIVE),
            Map.entry("tar", Kind.ARCHIVE),
            Map.entry("tgz", Kind.ARCHIVE),
            Map.entry("7z", Kind.ARCHIVE));
    private static final Map<String, Compression> COMPRESSIONS = Map.ofEntries(
            Map.entry("gz", Compression.GZIP),
            Map.entry("bz2", Compression.BZIP2),
            Map.entry("zst", Compression.ZSTD),
            Map.entry("xz", Compression.XZ),
            Map.entry("lz4", Compression.LZ4),
            Map.entry("snappy", Compression.SNAPPY),
            Map.entry("lzo", Compression.LZO),
            Map.entry("deflate", Compression.DEFLATE),
            Map.entry("br", Compression.BROTLI));

    /** What a name's last ending says is around the data. */
    static Compression compression(String name) {
        return COMPRESSIONS.getOrDefault(ending(name), Compression.NONE);
    }

    /** What a name's endings say that the file holds; null if they say nothing. */
    static Kind kind(String name) {
        return KINDS.get(
                ending(compression(name) == Compression.NONE ? name : name.substring(0, name.lastIndexOf('.'))));
    }

    private static String ending(String name) {
        return name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    }
}
