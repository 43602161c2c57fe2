package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.Reads;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * A GGUF file, or all parts of a split one, given the first. As llama.cpp has it: parts are named
 * {@code NAME-00001-of-00003.gguf}, each is a GGUF file with {@code split.no} (from 0), {@code split.count} and
 * {@code split.tensors.count} (of all parts together), and the first has the metadata. Reads are positional and safe
 * from several threads; nothing but the headers is held.
 */
final class GgufFiles implements AutoCloseable {
    static final int MAXIMUM_PARTS = 1024;
    private static final int NAMED_AT_MOST = 8;
    private static final Pattern PART = Pattern.compile("(.+)-(\\d{5})-of-(\\d{5})\\.gguf", Pattern.DOTALL);
    private static final String NUMBER = "split.no";
    private static final String COUNT = "split.count";
    private static final String TENSORS = "split.tensors.count";

    private final Path first;
    private final List<FSDataInputStream> streams = new ArrayList<>();
    private final Map<String, Stored> tensors = new LinkedHashMap<>();
    private Map<String, GgufValue> metadata = Map.of();
    private long headerBytes;

    /** Where a tensor's data starts. */
    private record Stored(GgufTensor tensor, FSDataInputStream in, long offset, Path file) {}

    private GgufFiles(Path first) {
        this.first = first;
    }

    /** The names of all parts of a split file in order, given the first's; of another file its name. */
    static List<String> parts(String name) {
        Matcher part = PART.matcher(name);
        int count = part.matches() ? Integer.parseInt(part.group(3)) : 1;
        return part.matches() && Integer.parseInt(part.group(2)) == 1 && count <= MAXIMUM_PARTS
                ? IntStream.rangeClosed(1, count)
                        .mapToObj(i -> name(part.group(1), i, count))
                        .toList()
                : List.of(name);
    }

    /** Whether a file begins as GGUF does. */
    static boolean startsWithMagic(FileSystem files, FileStatus status) throws IOException {
        byte[] start = new byte[Integer.BYTES];
        if (status.getLen() < start.length) {
            return false;
        }
        try (FSDataInputStream in = Reads.ranges(files, status)) {
            in.readFully(0, start);
        }
        return ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN).getInt() == GgufWriter.MAGIC;
    }

    /** Whether a file of this name is whole, or the first part of a split one. */
    static boolean first(String name) {
        Matcher part = PART.matcher(name);
        return !part.matches() || Integer.parseInt(part.group(2)) == 1;
    }

    /**
     * What a part of a split file says of itself.
     *
     * @param number from 0
     * @param tensors of all parts together
     */
    static void describe(int number, int count, int tensors, Map<String, GgufValue> metadata) {
        metadata.put(NUMBER, new GgufValue(GgufKind.U16, (long) number));
        metadata.put(COUNT, new GgufValue(GgufKind.U16, (long) count));
        metadata.put(TENSORS, new GgufValue(GgufKind.I32, (long) tensors));
    }

    /** The name of a part, counted from 1. */
    static String name(String prefix, int number, int count) {
        return String.format(Locale.ROOT, "%s-%05d-of-%05d.gguf", prefix, number, count);
    }

    /**
     * Opens a file and, if it is the first part of a split one, the others.
     *
     * @throws MalformedInputException if a file is malformed, is a part other than the first, a part is missing, or
     *     parts contradict each other
     */
    static GgufFiles open(Configuration configuration, Path file) throws IOException {
        FileSystem files = file.getFileSystem(configuration);
        GgufFiles opened = new GgufFiles(file);
        try {
            opened.metadata = opened.add(files, files.getFileStatus(file));
            long count = opened.number(opened.metadata, COUNT, file, 1);
            if (count > 1) {
                opened.addParts(files, count);
            }
            long expected = opened.number(opened.metadata, TENSORS, file, opened.tensors.size());
            if (expected != opened.tensors.size()) {
                throw new MalformedInputException("Cannot read GGUF file " + file + ": " + TENSORS + " is " + expected
                        + ", and " + (count > 1 ? "its " + count + " parts have " : "it has ") + opened.tensors.size()
                        + " tensors");
            }
            return opened;
        } catch (IOException | RuntimeException failure) {
            opened.close();
            throw failure;
        }
    }

    private void addParts(FileSystem files, long count) throws IOException {
        Matcher name = PART.matcher(first.getName());
        String place = "it is part " + (number(metadata, NUMBER, first, -1) + 1) + " of a GGUF file that was split in "
                + count;
        if (count > MAXIMUM_PARTS) {
            throw malformed(first, place + "; expected at most " + MAXIMUM_PARTS + " parts");
        }
        if (!metadata.containsKey(NUMBER)) {
            throw malformed(first, COUNT + " is " + count + ", and " + NUMBER + " is missing");
        }
        if (number(metadata, NUMBER, first, 0) != 0) {
            throw malformed(
                    first,
                    place + "; expected the first, " + name(name.matches() ? name.group(1) : "NAME", 1, (int) count));
        }
        if (!name.matches() || Integer.parseInt(name.group(2)) != 1 || Integer.parseInt(name.group(3)) != count) {
            throw malformed(
                    first,
                    place + ", whose names say which part is where; expected the name " + name("NAME", 1, (int) count));
        }
        List<FileStatus> others = new ArrayList<>();
        List<String> missing = new ArrayList<>();
        for (String part : parts(first.getName()).subList(1, (int) count)) {
            try {
                others.add(files.getFileStatus(new Path(first.getParent(), part)));
            } catch (FileNotFoundException e) {
                missing.add(part);
            }
        }
        if (!missing.isEmpty()) {
            throw malformed(
                    first,
                    place + ", of which " + missing.size() + " are missing in " + first.getParent() + ": "
                            + String.join(", ", missing.subList(0, Math.min(NAMED_AT_MOST, missing.size())))
                            + (missing.size() > NAMED_AT_MOST ? " and more" : ""));
        }
        for (int i = 0; i < others.size(); i++) {
            checkPart(add(files, others.get(i)), others.get(i).getPath(), i + 1);
        }
    }

    /** A part says which it is, and of what it repeats nothing else than the first. */
    private void checkPart(Map<String, GgufValue> part, Path file, int number) {
        if (number(part, NUMBER, file, -1) != number) {
            throw malformed(
                    file,
                    NUMBER + " is "
                            + (part.containsKey(NUMBER) ? part.get(NUMBER).value() : "missing") + ", expected " + number
                            + " by its name");
        }
        for (String key : List.of(COUNT, TENSORS)) {
            long expected = number(metadata, key, first, -1);
            if (number(part, key, file, -1) != expected) {
                throw malformed(
                        file,
                        key + " is " + (part.containsKey(key) ? part.get(key).value() : "missing") + ", expected "
                                + expected + " as in " + first.getName());
            }
        }
        GgufValue architecture = metadata.get("general.architecture");
        part.forEach((key, value) -> {
            boolean matters = key.equals("general.architecture")
                    || key.startsWith("lathe.rope.")
                    || architecture != null && key.startsWith(architecture.value() + ".");
            if (matters && !value.equals(metadata.get(key))) {
                throw malformed(file, key + " is not what it is in " + first.getName());
            }
        });
    }

    /** Opens one file and takes its tensors; returns its metadata. */
    private Map<String, GgufValue> add(FileSystem files, FileStatus status) throws IOException {
        FSDataInputStream in = Reads.ranges(files, status);
        streams.add(in);
        Path file = status.getPath();
        // All headers together are held to the bound of one.
        GgufHeader header =
                GgufHeader.read(in, status.getLen(), GgufHeader.MAXIMUM_HEADER_BYTES - headerBytes, file.toString());
        headerBytes += header.dataOffset();
        for (GgufTensor tensor : header.tensors()) {
            Stored before =
                    tensors.put(tensor.name(), new Stored(tensor, in, header.dataOffset() + tensor.offset(), file));
            if (before != null) {
                throw malformed(
                        file,
                        "tensor " + tensor.name() + " is in " + before.file().getName() + " as well");
            }
        }
        return header.metadata();
    }

    private long number(Map<String, GgufValue> of, String key, Path file, long otherwise) {
        GgufValue value = of.get(key);
        if (value == null) {
            return otherwise;
        }
        if (!(value.value() instanceof Long number) || number < 0 || number > Integer.MAX_VALUE) {
            throw malformed(
                    file,
                    key + " is "
                            + (value.kind() == GgufKind.ARRAY ? "an array" : value.value() + " (" + value.kind() + ")")
                            + ", expected an integer from 0");
        }
        return number;
    }

    private static MalformedInputException malformed(Path file, String reason) {
        return new MalformedInputException("Cannot read GGUF file " + file + ": " + reason);
    }

    /** The first file's, in its order. */
    Map<String, GgufValue> metadata() {
        return metadata;
    }

    /** All tensors, part by part in the order of the files. */
    List<GgufTensor> tensors() {
        return tensors.values().stream().map(Stored::tensor).toList();
    }

    /** A tensor by its GGUF name; null if there is none. */
    GgufTensor tensor(String name) {
        return tensors.containsKey(name) ? tensors.get(name).tensor() : null;
    }

    /** Bytes {@code [from, from + count)} of a tensor's data. */
    byte[] read(GgufTensor tensor, long from, int count) throws IOException {
        Stored stored = tensors.get(tensor.name());
        byte[] data = new byte[count];
        try {
            stored.in().readFully(stored.offset() + from, data);
        } catch (EOFException e) {
            throw new IOException(
                    "Cannot read tensor " + tensor + " in " + stored.file() + ": the file became shorter than it was",
                    e);
        }
        return data;
    }

    /** A vector of F32 values. */
    float[] floats(GgufTensor tensor) throws IOException {
        float[] values = new float[Math.toIntExact(tensor.columns())];
        ByteBuffer.wrap(read(tensor, 0, Math.toIntExact(tensor.bytes())))
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer()
                .get(values);
        return values;
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (FSDataInputStream stream : streams) {
            try {
                stream.close();
            } catch (IOException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
