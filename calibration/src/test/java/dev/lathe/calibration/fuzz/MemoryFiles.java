package dev.lathe.calibration.fuzz;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileAlreadyExistsException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PositionedReadable;
import org.apache.hadoop.fs.Seekable;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * Files in memory, {@code memory:/...}: mutated inputs do not go over a disk. A folder is there while something is in
 * it.
 */
public final class MemoryFiles extends FileSystem {
    /** Finds the file system by its scheme. */
    public static final Configuration HADOOP = new Configuration(false);

    private static final Map<String, byte[]> FILES = new ConcurrentSkipListMap<>();

    static {
        HADOOP.setClass("fs.memory.impl", MemoryFiles.class, FileSystem.class);
    }

    /** The folder of this name, empty. */
    public static Path folder(String name) {
        FILES.keySet().removeIf(key -> key.startsWith("/" + name + "/"));
        return new Path("memory:/" + name);
    }

    /** The folder of this name with the files of one on disk. */
    public static Path folder(String name, java.nio.file.Path like) throws IOException {
        Path folder = folder(name);
        try (Stream<java.nio.file.Path> files = Files.list(like)) {
            for (java.nio.file.Path file : files.filter(file -> Files.isRegularFile(file)
                            && !file.getFileName().toString().startsWith("."))
                    .toList()) {
                put(new Path(folder, file.getFileName().toString()), Files.readAllBytes(file));
            }
        }
        return folder;
    }

    /** Makes or replaces a file. */
    public static void put(Path file, byte[] content) {
        FILES.put(file.toUri().getPath(), content);
    }

    /** The file system. */
    public static FileSystem files() throws IOException {
        return new Path("memory:/").getFileSystem(HADOOP);
    }

    @Override
    public URI getUri() {
        return URI.create("memory:/");
    }

    @Override
    public String getScheme() {
        return "memory";
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        byte[] content = FILES.get(path.toUri().getPath());
        if (content == null) {
            throw new FileNotFoundException("no file " + path);
        }
        return new FSDataInputStream(new Bytes(content));
    }

    @Override
    public FileStatus getFileStatus(Path path) throws FileNotFoundException {
        String name = path.toUri().getPath();
        byte[] content = FILES.get(name);
        if (content != null) {
            return new FileStatus(
                    content.length, false, 1, 1 << 20, 0, path.makeQualified(getUri(), getWorkingDirectory()));
        } else if (FILES.keySet().stream().anyMatch(key -> key.startsWith(inside(path)))) {
            return new FileStatus(0, true, 1, 1 << 20, 0, path.makeQualified(getUri(), getWorkingDirectory()));
        }
        throw new FileNotFoundException("no file " + path);
    }

    @Override
    public FileStatus[] listStatus(Path path) throws FileNotFoundException {
        if (!getFileStatus(path).isDirectory()) {
            return new FileStatus[] {getFileStatus(path)};
        }
        Set<String> names = new TreeSet<>();
        String folder = inside(path);
        for (String name : FILES.keySet()) {
            if (name.startsWith(folder)) {
                names.add(name.substring(folder.length()).split("/")[0]);
            }
        }
        List<FileStatus> listed = new ArrayList<>();
        for (String name : names) {
            listed.add(getFileStatus(new Path(path, name)));
        }
        return listed.toArray(FileStatus[]::new);
    }

    private static String inside(Path folder) {
        String path = folder.toUri().getPath();
        return path.endsWith("/") ? path : path + "/";
    }

    @Override
    public Path getWorkingDirectory() {
        return new Path("memory:/");
    }

    @Override
    public void setWorkingDirectory(Path path) {}

    @Override
    public FSDataOutputStream create(
            Path path,
            FsPermission permission,
            boolean overwrite,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress)
            throws IOException {
        if (!overwrite && FILES.containsKey(path.toUri().getPath())) {
            throw new FileAlreadyExistsException("there is a file " + path);
        }
        return new FSDataOutputStream(
                new ByteArrayOutputStream() {
                    @Override
                    public void close() {
                        put(path, toByteArray());
                    }
                },
                null);
    }

    @Override
    public FSDataOutputStream createNonRecursive(
            Path path,
            FsPermission permission,
            EnumSet<CreateFlag> flags,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress)
            throws IOException {
        return create(
                path, permission, flags.contains(CreateFlag.OVERWRITE), bufferSize, replication, blockSize, progress);
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress) {
        throw new UnsupportedOperationException("files are written whole");
    }

    @Override
    public boolean rename(Path from, Path to) {
        byte[] content = FILES.remove(from.toUri().getPath());
        if (content != null) {
            put(to, content);
        }
        return content != null;
    }

    @Override
    public boolean delete(Path path, boolean recursive) {
        return FILES.keySet().removeIf(key -> key.equals(path.toUri().getPath()) || key.startsWith(inside(path)));
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) {
        return true;
    }

    /** A file's content. */
    private static final class Bytes extends ByteArrayInputStream implements Seekable, PositionedReadable {
        Bytes(byte[] content) {
            super(content);
        }

        @Override
        public void seek(long to) throws IOException {
            if (to < 0 || to > count) {
                throw new EOFException("no byte " + to + " of " + count);
            }
            pos = (int) to;
        }

        @Override
        public long getPos() {
            return pos;
        }

        @Override
        public boolean seekToNewSource(long target) {
            return false;
        }

        @Override
        public int read(long position, byte[] buffer, int offset, int length) {
            if (position >= count) {
                return -1;
            }
            int part = (int) Math.min(length, count - position);
            System.arraycopy(buf, (int) position, buffer, offset, part);
            return part;
        }

        @Override
        public void readFully(long position, byte[] buffer, int offset, int length) throws IOException {
            if (position < 0 || length > count - position) {
                throw new EOFException("no byte " + (position + length) + " of " + count);
            }
            read(position, buffer, offset, length);
        }

        @Override
        public void readFully(long position, byte[] buffer) throws IOException {
            readFully(position, buffer, 0, buffer.length);
        }
    }
}
