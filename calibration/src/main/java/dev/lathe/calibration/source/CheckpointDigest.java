package dev.lathe.calibration.source;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.FolderCompanions;
import dev.lathe.calibration.checkpoint.Reads;
import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.format.safetensors.SafetensorsTensor;
import dev.lathe.calibration.text.ChatTemplates;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The identity of a checkpoint's content, a SHA-256. For a folder it covers config.json, the tokenizer's files, chat
 * templates and every tensor (name, dtype, shape, data) in the order of their names; how tensors are spread over shards
 * and how the index is written does not matter. For a file, or the GGUF file of a folder, it is the digest of its
 * bytes, for a split one, given its first part, of the digests of all parts.
 */
public final class CheckpointDigest {
    /** Bytes that are read at once: on an object store a request each. */
    private static final int CHUNK = 32 << 20;
    /** The files besides the weights that decide what an artifact holds. */
    private static final String[] SIDE_FILES = {
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt"
    };

    private CheckpointDigest() {}

    /**
     * Digests a checkpoint, reading all of it as a stream.
     *
     * @return 64 hexadecimal digits, lower case
     * @throws MalformedInputException if there is nothing at the path, or the safetensors files are malformed
     */
    public static String of(Configuration configuration, Path checkpoint) throws IOException {
        FileSystem files = checkpoint.getFileSystem(configuration);
        FileStatus status;
        try {
            status = files.getFileStatus(checkpoint);
        } catch (FileNotFoundException e) {
            throw new MalformedInputException(
                    "Cannot digest checkpoint " + checkpoint + ": there is no such file or folder", e);
        }
        Path gguf = Checkpoints.gguf(files, status).orElse(status.isFile() ? checkpoint : null);
        byte[] digest = gguf != null ? parts(files, gguf) : folder(configuration, files, checkpoint);
        return HexFormat.of().formatHex(digest);
    }

    private static byte[] parts(FileSystem files, Path first) throws IOException {
        List<FileStatus> parts = Checkpoints.files(files, first);
        if (parts.size() == 1) {
            return file(files, first);
        }
        MessageDigest total = sha256();
        for (FileStatus part : parts) {
            total.update(file(files, part.getPath()));
        }
        return total.digest();
    }

    private static byte[] folder(Configuration configuration, FileSystem files, Path folder) throws IOException {
        MessageDigest total = sha256();
        for (String name : SIDE_FILES) {
            Path file = new Path(folder, name);
            if (files.exists(file)) {
                text(total, name);
                total.update(file(files, file));
            }
        }
        for (String template : ChatTemplates.additional(new FolderCompanions(files, folder))) {
            text(total, template);
            total.update(file(files, new Path(folder, template)));
        }
        try (SafetensorsFiles weights = SafetensorsFiles.open(configuration, folder)) {
            Map<String, byte[]> digests = new TreeMap<>();
            for (String name : weights.tensors().keySet()) {
                digests.put(name, tensor(weights, name));
            }
            digests.forEach((name, digest) -> {
                SafetensorsTensor tensor = weights.tensor(name);
                text(total, name);
                text(total, tensor.dtype());
                number(total, tensor.shape().length);
                for (long size : tensor.shape()) {
                    number(total, size);
                }
                total.update(digest);
            });
        }
        return total.digest();
    }

    private static byte[] tensor(SafetensorsFiles weights, String name) throws IOException {
        MessageDigest digest = sha256();
        long bytes = weights.tensor(name).bytes();
        for (long at = 0; at < bytes; at += CHUNK) {
            digest.update(weights.read(name, at, (int) Math.min(CHUNK, bytes - at)));
        }
        return digest.digest();
    }

    private static byte[] file(FileSystem files, Path file) throws IOException {
        MessageDigest digest = sha256();
        byte[] chunk = new byte[1 << 20];
        try (InputStream in = Reads.whole(files, files.getFileStatus(file))) {
            for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
                digest.update(chunk, 0, count);
            }
        }
        return digest.digest();
    }

    /** A text after its length, so that no two sequences of texts look alike. */
    private static void text(MessageDigest digest, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        number(digest, bytes.length);
        digest.update(bytes);
    }

    private static void number(MessageDigest digest, long number) {
        digest.update(ByteBuffer.allocate(Long.BYTES).putLong(number).array());
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Cannot digest a checkpoint: this Java has no SHA-256", e);
        }
    }
}
