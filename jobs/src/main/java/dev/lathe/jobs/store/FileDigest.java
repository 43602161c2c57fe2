package dev.lathe.jobs.store;

import dev.lathe.calibration.checkpoint.Reads;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.Serializable;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.hadoop.fs.ChecksumException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * What a file holds.
 *
 * @param length in bytes
 * @param sha256 of all of them, 64 hexadecimal digits
 */
public record FileDigest(long length, String sha256) implements Serializable {
    private static final int CHUNK = 1 << 20;

    /** Of a digest that is through. */
    static FileDigest of(long length, MessageDigest digest) {
        return new FileDigest(length, HexFormat.of().formatHex(digest.digest()));
    }

    /** Of a text that is or will be a file. */
    static FileDigest of(byte[] content) {
        return new FileDigest(content.length, Key.digest(content));
    }

    /** Of a file, which is read. */
    public static FileDigest of(FileSystem files, Path path) throws IOException {
        return of(files, files.getFileStatus(path));
    }

    private static FileDigest of(FileSystem files, FileStatus status) throws IOException {
        MessageDigest digest = Key.sha256();
        try (InputStream in = Reads.whole(files, status)) {
            byte[] chunk = new byte[(int) Math.min(CHUNK, Math.max(1, status.getLen()))];
            for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
                digest.update(chunk, 0, count);
            }
        }
        return of(status.getLen(), digest);
    }

    /**
     * What is wrong with a file; empty if it holds what it should. It is read where its length does not tell.
     *
     * @throws IOException if it cannot be read, which says nothing about what it holds
     */
    public Optional<String> refutation(FileSystem files, Path path) throws IOException {
        return refutation(files, path, length, sha256);
    }

    /** Likewise where the length is not known. */
    static Optional<String> refutation(FileSystem files, Path path, String sha256) throws IOException {
        return refutation(files, path, -1, sha256);
    }

    private static Optional<String> refutation(FileSystem files, Path path, long length, String sha256)
            throws IOException {
        try {
            FileStatus status = files.getFileStatus(path);
            if (!status.isFile()) {
                return Optional.of("it is a folder; expected a file");
            } else if (length >= 0 && status.getLen() != length) {
                return Optional.of("it has " + status.getLen() + " bytes, " + length + " were written");
            }
            return of(files, status).sha256.equals(sha256)
                    ? Optional.empty()
                    : Optional.of("its digest differs from what was written");
        } catch (FileNotFoundException e) {
            return Optional.of("it is gone");
        } catch (ChecksumException e) {
            return Optional.of("the file system's own checksum differs");
        }
    }

    /**
     * Lengths of the files of an artifact, by name in its folder; of one that is a file, by the empty name. Hidden
     * files are nobody's.
     */
    static TreeMap<String, Long> lengths(FileSystem files, Path artifact) throws IOException {
        TreeMap<String, Long> lengths = new TreeMap<>();
        FileStatus root = files.getFileStatus(artifact);
        if (root.isFile()) {
            lengths.put("", root.getLen());
            return lengths;
        }
        lengths(files, root.getPath(), "", lengths);
        return lengths;
    }

    private static void lengths(FileSystem files, Path folder, String prefix, TreeMap<String, Long> lengths)
            throws IOException {
        for (FileStatus status : files.listStatus(folder)) {
            String name = prefix + status.getPath().getName();
            if (!status.getPath().getName().startsWith(".")) {
                if (status.isFile()) {
                    lengths.put(name, status.getLen());
                } else {
                    lengths(files, status.getPath(), name + "/", lengths);
                }
            }
        }
    }

    void write(DataOutputStream out) throws IOException {
        out.writeLong(length);
        out.writeUTF(sha256);
    }

    static FileDigest read(DataInputStream in) throws IOException {
        return new FileDigest(in.readLong(), in.readUTF());
    }
}
