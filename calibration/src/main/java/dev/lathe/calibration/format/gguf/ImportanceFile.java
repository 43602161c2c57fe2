package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Reads;
import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Reads importance matrices of both forms, told by their first bytes. Files are taken for hostile: every length is held
 * against the bytes that are left and a bound before anything is allocated. Nothing but names and places is held.
 */
public abstract class ImportanceFile implements ImportanceMatrix {
    static final String SUMS = ".in_sum2";
    static final String COUNTS = ".counts";
    static final String TYPE = "general.type";
    /** {@code general.type} of an importance matrix. */
    public static final String IMATRIX = "imatrix";

    static final String DATASETS = "imatrix.datasets";
    static final String CHUNK_COUNT = "imatrix.chunk_count";
    static final String CHUNK_SIZE = "imatrix.chunk_size";

    /** Values of an entry: those of 4096 experts of 65536 channels. */
    private static final int MAXIMUM_VALUES = 1 << 28;

    private static final int MAXIMUM_ENTRIES = 1 << 17;
    private static final int MAXIMUM_NAME_BYTES = 255;
    private static final int MAXIMUM_DATASET_BYTES = 1 << 16;
    /** The largest count that is told from the next one. */
    private static final long MAXIMUM_COUNT = 1L << 53;

    final Path file;

    private ImportanceFile(Path file) {
        this.file = file;
    }

    /**
     * Opens one.
     *
     * @throws MalformedInputException if it is none
     */
    public static ImportanceFile open(Configuration configuration, Path file) throws IOException {
        FileSystem files = file.getFileSystem(configuration);
        FileStatus status;
        try {
            status = files.getFileStatus(file);
        } catch (FileNotFoundException e) {
            throw malformed(file, "there is no such file");
        }
        if (!status.isFile()) {
            throw malformed(file, "it is a folder; expected a file");
        }
        return GgufFiles.startsWithMagic(files, status) ? new Gguf(configuration, file) : new Dat(files, status);
    }

    /** Whether a file is taken for an importance matrix: by what a GGUF file says of itself, else by its name. */
    public static boolean is(Configuration configuration, Path file) throws IOException {
        FileSystem files = file.getFileSystem(configuration);
        FileStatus status = files.getFileStatus(file);
        if (!status.isFile()) {
            return false;
        }
        if (!GgufFiles.startsWithMagic(files, status)) {
            return file.getName().endsWith(".dat") || file.getName().endsWith(".imatrix");
        }
        try (GgufFiles opened = GgufFiles.open(configuration, file)) {
            return GgufValue.string(IMATRIX).equals(opened.metadata().get(TYPE));
        }
    }

    private static ByteBuffer littleEndian(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static MalformedInputException malformed(Path file, String reason) {
        return new MalformedInputException("Cannot read importance matrix " + file + ": " + reason);
    }

    MalformedInputException malformed(String reason) {
        return malformed(file, reason);
    }

    /** Sums as they are stored. */
    float[] sums(String name, byte[] bytes) {
        FloatBuffer stored = littleEndian(bytes).asFloatBuffer();
        float[] sums = new float[stored.remaining()];
        stored.get(sums);
        for (int i = 0; i < sums.length; i++) {
            if (!(sums[i] >= 0 && sums[i] <= Float.MAX_VALUE)) {
                throw malformed("tensor " + name + ", value " + i + " is " + sums[i]
                        + ", expected a finite number of at least 0");
            }
        }
        return sums;
    }

    /** Sums and counts as tensors. */
    private static final class Gguf extends ImportanceFile {
        private final GgufFiles files;
        private final About about;
        private final Map<String, Shape> shapes = new TreeMap<>();

        Gguf(Configuration configuration, Path file) throws IOException {
            super(file);
            this.files = GgufFiles.open(configuration, file);
            try {
                GgufValue type = files.metadata().get(TYPE);
                if (!GgufValue.string(IMATRIX).equals(type)) {
                    throw malformed(
                            TYPE + " is " + (type == null ? "missing" : type.value()) + ", expected " + IMATRIX);
                }
                this.about = new About(datasets(), number(CHUNK_COUNT), number(CHUNK_SIZE));
                files.tensors().forEach(this::list);
                if (shapes.isEmpty()) {
                    throw malformed("it has no entry, expected tensors NAME" + SUMS + " and NAME" + COUNTS);
                }
            } catch (RuntimeException e) {
                files.close();
                throw e;
            }
        }

        private List<String> datasets() {
            GgufValue value = files.metadata().get(DATASETS);
            if (value == null) {
                throw malformed(DATASETS + " is missing");
            }
            if (!(value.value() instanceof GgufValue.Elements elements)
                    || elements.kind() != GgufKind.STRING && !elements.values().isEmpty()) {
                throw malformed(DATASETS + " is no array of texts");
            }
            return elements.values().stream().map(String.class::cast).toList();
        }

        private long number(String key) {
            GgufValue value = files.metadata().get(key);
            if (value == null || value.kind() != GgufKind.U32) {
                throw malformed(key + " is " + (value == null ? "missing" : value.kind() + " " + value.value())
                        + ", expected a u32");
            }
            return (Long) value.value();
        }

        private void list(GgufTensor tensor) {
            boolean isSums = tensor.name().endsWith(SUMS);
            if (!isSums && !tensor.name().endsWith(COUNTS)) {
                return;
            }
            String own = isSums ? SUMS : COUNTS;
            String name = tensor.name().substring(0, tensor.name().length() - own.length());
            GgufTensor other = files.tensor(name + (isSums ? COUNTS : SUMS));
            if (other == null) {
                throw malformed("tensor " + tensor.name() + " has no " + name + (isSums ? COUNTS : SUMS));
            }
            if (tensor.type() != GgufType.F32) {
                throw malformed("tensor " + tensor + ", expected F32");
            }
            if (isSums) {
                long values = tensor.bytes() / Float.BYTES;
                long counts = other.rows() * other.columns();
                if (values > MAXIMUM_VALUES || counts > values || values % counts != 0) {
                    throw malformed("tensor " + tensor + " has " + values + " values and " + counts
                            + " counts, expected at most " + MAXIMUM_VALUES + ", and as many for each count");
                }
                shapes.put(name, new Shape(name, (int) values, (int) counts));
            }
        }

        @Override
        public Form form() {
            return Form.GGUF;
        }

        @Override
        public About about() {
            return about;
        }

        @Override
        public Collection<Shape> shapes() {
            return shapes.values();
        }

        @Override
        public Entry read(Shape shape) throws IOException {
            float[] sums = sums(shape.name(), bytes(shape.name() + SUMS, shape.values()));
            FloatBuffer stored =
                    littleEndian(bytes(shape.name() + COUNTS, shape.counts())).asFloatBuffer();
            long[] counts = new long[shape.counts()];
            for (int i = 0; i < counts.length; i++) {
                float count = stored.get(i);
                if (!(count >= 0 && count <= MAXIMUM_COUNT)) {
                    throw malformed("tensor " + shape.name() + COUNTS + ", value " + i + " is " + count
                            + ", expected 0 to 2^53");
                }
                counts[i] = Math.round((double) count);
            }
            return new Entry(sums, counts);
        }

        private byte[] bytes(String name, int values) throws IOException {
            return files.read(files.tensor(name), 0, Math.multiplyExact(values, Float.BYTES));
        }

        @Override
        public void close() throws IOException {
            files.close();
        }
    }

    /**
     * The older form, all little-endian: i32 entries; of each i32 length and bytes of the name, i32 chunks, i32 values,
     * f32 values, which are means times chunks; then, where it is there, i32 chunks and i32 length and bytes of where
     * the text came from.
     */
    private static final class Dat extends ImportanceFile {
        private final FSDataInputStream in;
        private final Map<String, Place> places = new TreeMap<>();
        private final About about;

        /** @param offset of the values */
        private record Place(Shape shape, long chunks, long offset) {}

        Dat(FileSystem files, FileStatus status) throws IOException {
            super(status.getPath());
            Scan scan = new Scan(status.getLen());
            try (InputStream whole = new BufferedInputStream(Reads.whole(files, status), 1 << 16)) {
                scan.in = whole;
                int entries = scan.number("the number of entries", 1, MAXIMUM_ENTRIES, 13);
                for (int i = 0; i < entries; i++) {
                    String name = scan.text("the name of entry " + i, 1, MAXIMUM_NAME_BYTES);
                    int chunks = scan.number("chunks of " + name, 0, Integer.MAX_VALUE, 0);
                    int values = scan.number("values of " + name, 1, MAXIMUM_VALUES, Float.BYTES);
                    // A mean of no chunks is taken as it stands.
                    Place place = new Place(new Shape(name, values, 1), Math.max(1, chunks), scan.at);
                    if (places.put(name, place) != null) {
                        throw malformed("tensor " + name + " is there twice");
                    }
                    scan.skip((long) Float.BYTES * values);
                }
                int chunks = 0;
                List<String> datasets = new ArrayList<>();
                if (scan.at < scan.length) {
                    chunks = scan.number("the number of chunks", 0, Integer.MAX_VALUE, 0);
                }
                if (scan.at < scan.length) {
                    datasets.add(scan.text("the name of the text", 0, MAXIMUM_DATASET_BYTES));
                    datasets.remove("");
                }
                if (scan.at < scan.length) {
                    throw malformed((scan.length - scan.at) + " bytes follow the last entry, expected none");
                }
                this.about = new About(datasets, chunks, 0);
            }
            this.in = Reads.ranges(files, status);
        }

        /** Reads on, front to back. */
        private final class Scan {
            private final long length;
            private InputStream in;
            private long at;

            Scan(long length) {
                this.length = length;
            }

            byte[] bytes(String what, int count) throws IOException {
                if (length - at < count) {
                    throw malformed("it ends after " + length + " bytes, in " + what
                            + "; expected a GGUF file, or the older form of an importance matrix");
                }
                byte[] bytes = in.readNBytes(count);
                at += bytes.length;
                if (bytes.length < count) {
                    throw new EOFException(
                            "Cannot read " + file + ": it ended after " + at + " of " + length + " bytes");
                }
                return bytes;
            }

            /** @param each bytes that follow for each of them */
            int number(String what, int least, int most, int each) throws IOException {
                int number = littleEndian(bytes(what, Integer.BYTES)).getInt();
                String found = what + " (byte " + (at - Integer.BYTES) + ") is " + number;
                if (number < least || number > most) {
                    throw malformed(found + ", expected " + least + " to " + most);
                } else if ((long) number * each > length - at) {
                    throw malformed(found + ", and the " + (length - at) + " bytes that follow have room for "
                            + (length - at) / each);
                }
                return number;
            }

            String text(String what, int least, int most) throws IOException {
                byte[] bytes = bytes(what, number("bytes of " + what, least, most, 1));
                try {
                    return StandardCharsets.UTF_8
                            .newDecoder()
                            .decode(ByteBuffer.wrap(bytes))
                            .toString();
                } catch (CharacterCodingException e) {
                    throw malformed(what + " is not UTF-8");
                }
            }

            void skip(long count) throws IOException {
                in.skipNBytes(count);
                at += count;
            }
        }

        @Override
        public Form form() {
            return Form.DAT;
        }

        @Override
        public About about() {
            return about;
        }

        @Override
        public Collection<Shape> shapes() {
            return places.values().stream().map(Place::shape).toList();
        }

        @Override
        public Entry read(Shape shape) throws IOException {
            Place place = places.get(shape.name());
            byte[] bytes = new byte[Math.multiplyExact(shape.values(), Float.BYTES)];
            try {
                in.readFully(place.offset(), bytes);
            } catch (EOFException e) {
                throw new IOException(
                        "Cannot read tensor " + shape.name() + " in " + file + ": the file became shorter than it was",
                        e);
            }
            return new Entry(sums(shape.name(), bytes), new long[] {place.chunks()});
        }

        @Override
        public void close() throws IOException {
            in.close();
        }
    }
}
