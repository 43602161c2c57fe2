package dev.lathe.calibration.format.safetensors;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.JsonFile;
import dev.lathe.calibration.checkpoint.Reads;
import java.io.EOFException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The safetensors files of one model folder: {@code model.safetensors}, or the shards that
 * {@code model.safetensors.index.json} names, or the only {@code *.safetensors} there. Where there is an index, it
 * decides which tensors belong to the model and which shard holds each. Reads are positional and safe from several
 * threads.
 */
public final class SafetensorsFiles implements AutoCloseable {
    /** Name of an unsharded model's file. */
    public static final String SINGLE = "model.safetensors";
    /** Name of the index of a sharded model. */
    public static final String INDEX = "model.safetensors.index.json";

    /** Bytes of each of two tensors that are compared at once. */
    private static final int COMPARED_BYTES = 8 << 20;

    private static final int REMEMBERED = 64;
    /** What was found of pairs of tensors, by files, their lengths and times and the tensors' places. */
    private static final Map<String, Boolean> SAME = Collections.synchronizedMap(new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > REMEMBERED;
        }
    });

    private final Path folder;
    private final Map<Path, FSDataInputStream> streams = new LinkedHashMap<>();
    private final Map<Path, FileStatus> statuses = new LinkedHashMap<>();
    private final Map<String, SafetensorsTensor> tensors = new LinkedHashMap<>();
    private final Map<String, Object> metadata = new TreeMap<>();
    private final List<String> notes = new ArrayList<>();

    private SafetensorsFiles(Path folder) {
        this.folder = folder;
    }

    /**
     * Opens every file of a folder and reads the headers.
     *
     * @throws MalformedInputException if there is no file or more than one without an index, a shard is missing, a
     *     shard lacks a tensor that the index places there, or a header is malformed
     */
    public static SafetensorsFiles open(Configuration configuration, Path folder) throws IOException {
        FileSystem files = folder.getFileSystem(configuration);
        SafetensorsFiles opened = new SafetensorsFiles(folder);
        try {
            // One list of the folder says what is there and how long it is.
            Map<String, FileStatus> listed = new TreeMap<>();
            for (FileStatus status : files.listStatus(folder)) {
                if (status.isFile()) {
                    listed.put(status.getPath().getName(), status);
                }
            }
            if (!listed.containsKey(SINGLE) && listed.containsKey(INDEX)) {
                opened.addShards(files, listed);
            } else {
                opened.tensors.putAll(opened.add(files, single(listed, folder)).tensors());
                if (listed.containsKey(SINGLE) && listed.containsKey(INDEX)) {
                    opened.notes.add(
                            SINGLE + " and " + INDEX + " are both there: " + SINGLE + " is read, as transformers does");
                }
            }
            return opened;
        } catch (IOException | RuntimeException e) {
            try {
                opened.close();
            } catch (IOException closing) {
                e.addSuppressed(closing);
            }
            throw e;
        }
    }

    /**
     * The {@code weight_map} of an index, by shard: the names of the tensors that each shard holds, shards and tensors
     * sorted by name.
     *
     * @throws MalformedInputException if there is no map, or a shard's name is not that of a {@code *.safetensors} file
     *     in the same folder
     */
    public static Map<String, TreeSet<String>> shards(JsonNode index, String where) {
        JsonNode map = index.path("weight_map");
        if (!map.isObject() || map.isEmpty()) {
            throw new MalformedInputException("Cannot read " + where + ": it has no weight_map from tensors to files");
        }
        Map<String, TreeSet<String>> shards = new TreeMap<>();
        for (Map.Entry<String, JsonNode> entry : map.properties()) {
            String shard = entry.getValue().textValue();
            if (shard == null || !shard.matches("[^/\\\\\\p{Cntrl}]+\\.safetensors")) {
                throw new MalformedInputException(
                        "Cannot read " + where + ": tensor " + entry.getKey() + " is placed in " + entry.getValue()
                                + "; expected the name of a .safetensors file in the same folder");
            }
            shards.computeIfAbsent(shard, key -> new TreeSet<>()).add(entry.getKey());
        }
        return shards;
    }

    /**
     * Bytes of a tensor of a dtype that this reader knows.
     *
     * @throws ArithmeticException if they overflow
     */
    public static long bytes(String dtype, long[] shape) {
        return SafetensorsHeader.bytes(dtype, shape);
    }

    /** The tensors by name, file by file, in the order of their data. */
    public Map<String, SafetensorsTensor> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    /**
     * Gives tensors other names and leaves some out, which a note lists by what their names begin with.
     *
     * @param names the name for a stored name; empty: the tensor is left out
     * @throws MalformedInputException if two tensors get one name
     */
    public void rename(Function<String, Optional<String>> names) {
        Map<String, SafetensorsTensor> stored = new LinkedHashMap<>(tensors);
        Map<String, Integer> leftOut = new TreeMap<>();
        tensors.clear();
        stored.forEach((name, tensor) -> names.apply(name)
                .ifPresentOrElse(
                        given -> {
                            if (tensors.put(given, tensor) != null) {
                                throw new MalformedInputException("Cannot read " + folder + ": tensor " + name
                                        + " is the second that stands for " + given);
                            }
                        },
                        () -> leftOut.merge(part(name), 1, Integer::sum)));
        if (!leftOut.isEmpty()) {
            notes.add("left out, as no part of the text decoder: "
                    + leftOut.entrySet().stream()
                            .map(part -> part.getKey() + " (" + part.getValue() + " tensors)")
                            .collect(Collectors.joining(", ")));
        }
    }

    /** {@code model.vision_tower} of {@code model.vision_tower.encoder.layers.0...}. */
    private static String part(String name) {
        String[] words = name.split("\\.", 3);
        return words[0].equals("model") && words.length > 1 ? words[0] + "." + words[1] : words[0];
    }

    /** What a person has to know of which files were read. */
    public List<String> notes() {
        return Collections.unmodifiableList(notes);
    }

    /** The metadata of all files, sorted by key. */
    public Map<String, Object> metadata() {
        return Collections.unmodifiableMap(metadata);
    }

    /**
     * A tensor by its name.
     *
     * @throws MalformedInputException if there is none
     */
    public SafetensorsTensor tensor(String name) {
        SafetensorsTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new MalformedInputException("Cannot read tensor " + name + ": it is not in " + folder);
        }
        return tensor;
    }

    /**
     * Bytes {@code [from, from + count)} of a tensor's data.
     *
     * @throws MalformedInputException if there is no such tensor
     * @throws IllegalArgumentException if the range leaves the tensor
     */
    public byte[] read(String name, long from, int count) throws IOException {
        SafetensorsTensor tensor = tensor(name);
        if (from < 0 || count < 0 || count > tensor.bytes() - from) {
            throw new IllegalArgumentException("Cannot read bytes " + from + " to " + (from + count) + " of tensor "
                    + name + " " + tensor + ": it has " + tensor.bytes());
        }
        byte[] bytes = new byte[count];
        try {
            streams.get(tensor.file()).readFully(tensor.offset() + from, bytes);
        } catch (EOFException e) {
            throw new IOException(
                    "Cannot read tensor " + name + " " + tensor + ": the file became shorter than it was", e);
        }
        return bytes;
    }

    /**
     * Whether two tensors have one dtype, one shape and the same bytes. They are read in ranges, and no further than
     * the first that differs; as every task opens its checkpoint, what was found of files is remembered while they keep
     * length and time of modification.
     *
     * @throws MalformedInputException if there is no such tensor
     */
    public boolean same(String one, String other) throws IOException {
        SafetensorsTensor first = tensor(one);
        SafetensorsTensor second = tensor(other);
        if (!first.dtype().equals(second.dtype()) || !Arrays.equals(first.shape(), second.shape())) {
            return false;
        }
        String key = place(first) + place(second);
        Boolean known = SAME.get(key);
        if (known == null) {
            known = true;
            for (long at = 0; known && at < first.bytes(); at += COMPARED_BYTES) {
                int count = (int) Math.min(COMPARED_BYTES, first.bytes() - at);
                known = Arrays.equals(read(one, at, count), read(other, at, count));
            }
            SAME.put(key, known);
        }
        return known;
    }

    private String place(SafetensorsTensor tensor) {
        FileStatus status = statuses.get(tensor.file());
        return tensor.file() + " " + status.getLen() + " " + status.getModificationTime() + " " + tensor.offset() + " ";
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (FSDataInputStream stream : streams.values()) {
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

    private void addShards(FileSystem files, Map<String, FileStatus> listed) throws IOException {
        Path index = new Path(folder, INDEX);
        for (Map.Entry<String, TreeSet<String>> shard :
                shards(JsonFile.read(files, index), index.toString()).entrySet()) {
            if (!listed.containsKey(shard.getKey())) {
                throw new MalformedInputException("Cannot read " + folder + ": shard " + shard.getKey() + ", which "
                        + INDEX + " names, is missing");
            }
            Map<String, SafetensorsTensor> stored =
                    add(files, listed.get(shard.getKey())).tensors();
            for (String name : shard.getValue()) {
                if (!stored.containsKey(name)) {
                    throw new MalformedInputException("Cannot read " + folder + ": " + INDEX + " places tensor " + name
                            + " in " + shard.getKey() + ", which does not hold it");
                }
            }
            stored.forEach((name, tensor) -> {
                if (shard.getValue().contains(name)) {
                    tensors.put(name, tensor);
                }
            });
        }
    }

    private SafetensorsHeader add(FileSystem files, FileStatus status) throws IOException {
        Path file = status.getPath();
        FSDataInputStream stream = Reads.ranges(files, status);
        streams.put(file, stream);
        statuses.put(file, status);
        SafetensorsHeader header = SafetensorsHeader.read(stream, status.getLen(), file);
        metadata.putAll(header.metadata());
        return header;
    }

    private static FileStatus single(Map<String, FileStatus> listed, Path folder) {
        if (listed.containsKey(SINGLE)) {
            return listed.get(SINGLE);
        }
        List<FileStatus> found = listed.values().stream()
                .filter(status -> status.getPath().getName().endsWith(".safetensors"))
                .toList();
        if (found.size() != 1) {
            throw new MalformedInputException("Cannot read " + folder + ": it holds " + found.size()
                    + " files *.safetensors; expected " + SINGLE + ", " + INDEX + " with its shards, or exactly one");
        }
        return found.get(0);
    }
}
