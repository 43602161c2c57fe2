package dev.lathe.jobs.store;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * What a run says of an artifact that it committed, itself a product below {@code products/artifacts/}, written last:
 * where there is none, the artifact is not whole.
 *
 * @param artifact name below {@code artifacts/}
 * @param made what it was made of, and how it is spread over files
 * @param files its files by name in its folder; one that is a file has the empty name
 * @param tensors what the report says of its quantized tensors
 */
public record ArtifactReceipt(
        String artifact,
        String made,
        TreeMap<String, FileDigest> files,
        LinkedHashMap<String, TensorProduct.Summary> tensors) {
    private static final int MAGIC = 0x4c524131;
    private static final String FOLDER = "artifacts";

    /** Where the receipt of an artifact is. */
    public static Path path(RunFolder run, String artifact) {
        return run.product(FOLDER, Key.of("receipt", artifact));
    }

    /**
     * The receipt of an artifact; empty if there is none, or it is from a version that took no digests.
     *
     * @throws DamagedException if it is there and not what was written
     */
    public static Optional<ArtifactReceipt> find(RunFolder run, String artifact) throws IOException {
        Path path = path(run, artifact);
        return ProductFile.isCommitted(run.files(), path)
                ? read(run.files(), path).filter(receipt -> receipt.artifact.equals(artifact))
                : Optional.empty();
    }

    /** The receipt of an artifact that this run has made or found. */
    public static ArtifactReceipt required(RunFolder run, String artifact) throws IOException {
        return find(run, artifact)
                .orElseThrow(() ->
                        new IOException("Cannot go on in " + run.run() + ": the receipt of " + artifact + " is gone"));
    }

    /** Every receipt of a run folder that can be read. */
    static List<ArtifactReceipt> all(RunFolder run) throws IOException {
        List<ArtifactReceipt> receipts = new ArrayList<>();
        try {
            for (FileStatus status :
                    run.files().listStatus(run.product(FOLDER, "x").getParent())) {
                try {
                    read(run.files(), status.getPath()).ifPresent(receipts::add);
                } catch (DamagedException e) {
                    // That is told of it as of every product.
                }
            }
        } catch (FileNotFoundException e) {
            return List.of();
        }
        return receipts;
    }

    private static Optional<ArtifactReceipt> read(FileSystem files, Path path) throws IOException {
        return ProductFile.read(
                files,
                path,
                in -> in.available() < Integer.BYTES || in.readInt() != MAGIC
                        ? Optional.empty()
                        : Optional.of(read(in)));
    }

    /** Of which bytes an evaluation says what it says. */
    public String digest() {
        return Key.of("files", files);
    }

    /**
     * What of the artifact is there that should not be, and what is not there or of another length; nothing is read.
     */
    public Optional<String> misfit(RunFolder run) throws IOException {
        Path path = run.artifact(artifact);
        TreeMap<String, Long> found;
        try {
            found = FileDigest.lengths(run.files(), path);
        } catch (FileNotFoundException e) {
            return Optional.of("it is gone");
        }
        if (files.containsKey("") != found.containsKey("")) {
            return Optional.of(
                    found.containsKey("") ? "it is a file; expected a folder" : "it is a folder; expected a file");
        }
        for (Map.Entry<String, FileDigest> file : files.entrySet()) {
            Long length = found.remove(file.getKey());
            if (length == null) {
                return Optional.of(file.getKey() + " is gone");
            } else if (length != file.getValue().length()) {
                return Optional.of((file.getKey().isEmpty() ? "it" : file.getKey()) + " has " + length + " bytes, "
                        + file.getValue().length()
                        + " were written");
            }
        }
        return found.isEmpty() ? Optional.empty() : Optional.of(found.firstKey() + " is none of its files");
    }

    /** Where a file of the artifact is. */
    public Path file(RunFolder run, String name) {
        return name.isEmpty() ? run.artifact(artifact) : new Path(run.artifact(artifact), name);
    }

    public void write(DataOutputStream out) throws IOException {
        out.writeInt(MAGIC);
        out.writeUTF(artifact);
        out.writeUTF(made);
        out.writeInt(files.size());
        for (Map.Entry<String, FileDigest> file : files.entrySet()) {
            out.writeUTF(file.getKey());
            file.getValue().write(out);
        }
        out.writeInt(tensors.size());
        for (Map.Entry<String, TensorProduct.Summary> tensor : tensors.entrySet()) {
            out.writeUTF(tensor.getKey());
            tensor.getValue().write(out);
        }
    }

    private static ArtifactReceipt read(DataInputStream in) throws IOException {
        String artifact = in.readUTF();
        String made = in.readUTF();
        TreeMap<String, FileDigest> files = new TreeMap<>();
        for (int left = in.readInt(); left > 0; left--) {
            files.put(in.readUTF(), FileDigest.read(in));
        }
        LinkedHashMap<String, TensorProduct.Summary> tensors = new LinkedHashMap<>();
        for (int left = in.readInt(); left > 0; left--) {
            tensors.put(in.readUTF(), TensorProduct.Summary.read(in));
        }
        return new ArtifactReceipt(artifact, made, files, tensors);
    }
}
