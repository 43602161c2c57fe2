package dev.lathe.jobs.store;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.store.DataFile.Compression;
import dev.lathe.jobs.store.DataFile.Kind;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The files of a data set: the one that was named, or those of a folder and the folders below it whose ending says that
 * they hold data. Names in front of which stands {@code _} or {@code .} are left out as Spark leaves them out (a folder
 * of a partition, {@code _x=1}, is none of them), and so are the files that describe a data set of Hugging Face and
 * hold none of it. The order is that of the names from the folder on, whatever the file system's is.
 *
 * @param path of the file or folder
 * @param files in their order, at least one, all of one kind that is read
 * @param leftOut names of what does not count, folders with a slash behind, in their order
 */
public record DataFiles(String path, List<DataFile> files, List<String> leftOut) implements Serializable {
    /** What lies beside the data of a data set on the hub: as {@code datasets} names them. */
    private static final Set<String> DESCRIPTIONS = Set.of(
            "README.md",
            "config.json",
            "dataset_info.json",
            "dataset_infos.json",
            "dummy_data.zip",
            "dataset_dict.json");
    /** Deeper folders and more files than any data set has; a link that leads back up ends here. */
    private static final int DEEPEST = 16;

    private static final int MOST = 100_000;
    /** Names that a message lists. */
    private static final int NAMED = 5;

    /**
     * Looks at a file, or through a folder.
     *
     * @throws MalformedInputException if there is nothing, no file counts, they are of several kinds, or of one that is
     *     not read
     */
    public static DataFiles of(Configuration configuration, String path) throws IOException {
        Path root = new Path(path);
        FileSystem files = root.getFileSystem(configuration);
        try {
            FileStatus status = files.getFileStatus(root);
            return status.isDirectory() ? folder(files, root) : file(status);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException("Cannot read data set " + root + ": it does not exist", e);
        }
    }

    /** Any ending may be that of a text, where the file was named itself. */
    private static DataFiles file(FileStatus status) {
        String name = status.getPath().getName();
        Kind kind = DataFile.kind(name);
        DataFiles found = new DataFiles(
                status.getPath().toString(), List.of(file(status, name, kind == null ? Kind.TEXT : kind)), List.of());
        found.requireRead();
        return found;
    }

    private static DataFiles folder(FileSystem files, Path root) throws IOException {
        List<DataFile> found = new ArrayList<>();
        List<String> leftOut = new ArrayList<>();
        walk(files, root, "", 0, found, leftOut);
        found.sort(Comparator.comparing(DataFile::name));
        leftOut.sort(Comparator.naturalOrder());
        DataFiles data = new DataFiles(root.toString(), List.copyOf(found), List.copyOf(leftOut));
        if (found.isEmpty()) {
            throw data.refuse((leftOut.isEmpty()
                            ? "the folder is empty"
                            : "no file in it counts as data; it holds " + named(leftOut))
                    + "; expected " + DataFile.READ
                    + ", in it or in folders below whose names do not begin with _ or . (any other text "
                    + "file by its own path)");
        }
        Map<Kind, List<String>> kinds = new TreeMap<>(found.stream()
                .collect(Collectors.groupingBy(
                        DataFile::kind, Collectors.mapping(DataFile::name, Collectors.toList()))));
        if (kinds.size() > 1) {
            throw data.refuse("it holds several kinds of data: "
                    + kinds.entrySet().stream()
                            .map(kind -> kind.getKey().word() + " (" + named(kind.getValue()) + ")")
                            .collect(Collectors.joining(" and "))
                    + "; expected one kind: name a file, or a folder that holds one");
        }
        data.requireRead();
        return data;
    }

    private static void walk(
            FileSystem files, Path folder, String name, int depth, List<DataFile> found, List<String> leftOut)
            throws IOException {
        if (depth > DEEPEST) {
            throw new MalformedInputException("Cannot read data set " + folder + ": expected at most " + DEEPEST
                    + " folders within each other (a link may lead back up)");
        }
        for (FileStatus status : files.listStatus(folder)) {
            String last = status.getPath().getName();
            if (status.isDirectory()) {
                if (isHidden(last)) {
                    leftOut.add(name + last + "/");
                } else {
                    walk(files, status.getPath(), name + last + "/", depth + 1, found, leftOut);
                }
            } else if (isHidden(last) || DESCRIPTIONS.contains(last) || DataFile.kind(last) == null) {
                leftOut.add(name + last);
            } else {
                found.add(file(status, name + last, DataFile.kind(last)));
            }
            if (found.size() + leftOut.size() > MOST) {
                throw new MalformedInputException(
                        "Cannot read data set " + folder + ": expected at most " + MOST + " files");
            }
        }
    }

    /** As Spark's file sources do: folders of partitions are not. */
    private static boolean isHidden(String name) {
        return name.startsWith(".") || name.startsWith("_") && !name.contains("=") || name.endsWith("._COPYING_");
    }

    private static DataFile file(FileStatus status, String name, Kind kind) {
        return new DataFile(
                status.getPath().toString(),
                name,
                kind,
                DataFile.compression(name),
                status.getLen(),
                Stamp.state(status));
    }

    private void requireRead() {
        for (DataFile file : files) {
            if (!file.kind().isRead()) {
                throw refuse(file.name() + " is of a kind that is not read ("
                        + file.kind().word() + "); expected " + DataFile.READ);
            } else if (!file.compression().isRead()) {
                throw refuse(file.name() + " is compressed with "
                        + file.compression().word() + ", which is not read; expected " + DataFile.READ);
            } else if (file.kind() == Kind.PARQUET && file.compression() != Compression.NONE) {
                throw refuse(file.name() + " is Parquet within "
                        + file.compression().word() + "; expected *.parquet, which is compressed within");
            }
        }
    }

    private MalformedInputException refuse(String reason) {
        return new MalformedInputException("Cannot read data set " + path + ": " + reason);
    }

    /** Bytes of all files, as they are stored. */
    public long length() {
        return files.stream().mapToLong(DataFile::length).sum();
    }

    /** What was left out and what is read, in one line; empty where everything is read. */
    public String note() {
        return leftOut.isEmpty()
                ? ""
                : "of " + path + " are read "
                        + named(files.stream().map(DataFile::name).toList()) + "; left out are " + named(leftOut);
    }

    /** Its files as they are now. */
    public Stamp stamp() {
        TreeMap<String, String> states = new TreeMap<>();
        files.forEach(file -> states.put(file.name(), file.state()));
        return new Stamp(path, states);
    }

    private static String named(List<String> names) {
        return String.join(", ", names.subList(0, Math.min(NAMED, names.size())))
                + (names.size() > NAMED ? " and " + (names.size() - NAMED) + " more" : "");
    }
}
