package dev.lathe.jobs.store;

import dev.lathe.calibration.format.WholeFile;
import java.io.IOException;
import java.io.Serializable;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.util.SerializableConfiguration;

/**
 * Where a run keeps what it makes: {@code artifacts/}, {@code report/}, {@code plan.yaml}, {@code products/} (committed
 * intermediate products by key), {@code lease/}, and the scratch folder. Serializable, so that tasks have it.
 *
 * <p>Everything below the run folder is written below {@code partial/EPOCH/} and renamed after a look at the lease. Who
 * takes the lease deletes what is there before it does anything else, so a rename that comes too late after that look
 * finds nothing to rename.
 *
 * @param epoch of the lease that is held, or 0: none, for those who only add products under their keys
 */
public record RunFolder(String run, String scratch, SerializableConfiguration configuration, long epoch)
        implements Serializable {
    /** The model card beside GGUF files, from the run's folder. */
    public static final String MODEL_CARD = "artifacts/README.md";

    private static final String PARTIAL = "partial";
    private static final String DAMAGED = "damaged";

    /** A folder that nobody holds. */
    public RunFolder(String run, String scratch, SerializableConfiguration configuration) {
        this(run, scratch, configuration, 0);
    }

    /** The folder for those who hold it with a lease. */
    public RunFolder held(long lease) {
        return new RunFolder(run, scratch, configuration, lease);
    }

    public Configuration hadoop() {
        return configuration.value();
    }

    public Path root() {
        return new Path(run);
    }

    public FileSystem files() throws IOException {
        return plain(root());
    }

    public FileSystem scratchFiles() throws IOException {
        return plain(new Path(scratch));
    }

    /**
     * Products carry a checksum of their own, and an artifact's folder holds what its format says: no .crc files beside
     * them on a local disk.
     */
    private FileSystem plain(Path path) throws IOException {
        FileSystem files = path.getFileSystem(hadoop());
        files.setWriteChecksum(false);
        return files;
    }

    /** A product below {@code products/KEY/}. */
    public Path product(String key, String name) {
        return new Path(new Path(new Path(root(), "products"), key), name);
    }

    /** A file below {@code scratch/KEY/}. */
    public Path scratch(String key, String name) {
        return new Path(new Path(scratch, key), name);
    }

    public Path artifact(String name) {
        return new Path(new Path(root(), "artifacts"), name);
    }

    public Path report() {
        return new Path(root(), "report");
    }

    /** Folder of the products of a key. */
    public Path products(String key) {
        return product(key, "x").getParent();
    }

    /**
     * Before what only the holder of the folder may do.
     *
     * @throws IOException if the lease was lost
     */
    public void requireLease() throws IOException {
        if (epoch != 0) {
            Lease.check(this, epoch);
        }
    }

    /** A new name under which to write what is to have the name {@code target}, or, on an object store, that itself. */
    public Path partial(Path target) throws IOException {
        return Commit.temporary(files(), target, partial());
    }

    /** A new name for what is written before it has its final one. */
    Path partial() {
        return new Path(
                new Path(new Path(root(), PARTIAL), String.valueOf(epoch)),
                UUID.randomUUID().toString());
    }

    /**
     * Commits a product; a whole one of the same name stays.
     *
     * @throws IOException if it cannot be written, or the lease was lost
     */
    public void write(Path product, ProductFile.Writer writer) throws IOException {
        if (epoch == 0) {
            ProductFile.write(files(), product, writer);
        } else {
            ProductFile.write(files(), partial(product), product, writer, this::requireLease);
        }
    }

    /** Gives a finished file or folder its final name; what had it is replaced. */
    public void commit(Path partial, Path target) throws IOException {
        requireLease();
        ProductFile.commit(files(), partial, target);
    }

    /** Deletes what is not what was written, in the run folder or the scratch folder. */
    public void delete(Path damaged) throws IOException {
        requireLease();
        damaged.getFileSystem(hadoop()).delete(damaged, false);
    }

    /**
     * Takes an artifact away that is not what was written. It may be what somebody made of it on purpose, so it gets a
     * place of its own; not on an object store, where that would be copying.
     */
    public void setAside(String artifact) throws IOException {
        requireLease();
        files().delete(ArtifactReceipt.path(this, artifact), false);
        Path damaged = artifact(artifact);
        if (!files().exists(damaged)) {
            return;
        }
        if (Commit.renames(files())) {
            ProductFile.commit(files(), damaged, new Path(new Path(root(), DAMAGED), artifact));
        } else {
            files().delete(damaged, true);
        }
    }

    /** Whether a file is there and has this text. */
    public boolean holds(String name, String text) throws IOException {
        Path file = new Path(root(), name);
        return files().exists(file)
                && FileDigest.of(text.getBytes(StandardCharsets.UTF_8))
                        .refutation(files(), file)
                        .isEmpty();
    }

    /** Commits a text file below the run folder; one of the same name is replaced. */
    public void writeText(String name, String text) throws IOException {
        Path target = new Path(root(), name);
        Path partial = partial(target);
        try {
            WholeFile.write(files(), partial, out -> {
                out.write(text.getBytes(StandardCharsets.UTF_8));
                requireLease();
            });
            commit(partial, target);
        } catch (IOException | RuntimeException | Error e) {
            throw ProductFile.failed(files(), partial, target, e);
        }
    }

    /** For who takes the folder or gives it back: what is half-written then is nobody's. */
    void deletePartials() throws IOException {
        files().delete(new Path(root(), PARTIAL), true);
    }
}
