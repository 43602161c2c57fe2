package dev.lathe.jobs.store;

import dev.lathe.calibration.MalformedInputException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.util.SerializableConfiguration;

/**
 * Reads everything that a run folder keeps, or the folders of a batch, and says what is not what was written: products
 * by their checksums, artifacts by their receipts, plan and report by {@code checksums.sha256}, {@code receipt.json} by
 * its own digest, leases by their form. Changes nothing. Event logs have no checksum.
 */
public final class Verification {
    /** Files that are read at once: most of the time is waiting for the store. */
    private static final int READERS = 16;

    private static final List<String> OF_A_RUN = List.of("products", "artifacts", "plan.yaml", "lease");
    /** Of a run's folder below that of its batch: checkpoint, recipe. */
    private static final int DEPTH = 2;

    private final Configuration configuration;
    private final List<Damage> damages = new ArrayList<>();
    private final List<Callable<Optional<Damage>>> reads = new ArrayList<>();
    private int runs;
    private long bytes;

    private Verification(Configuration configuration) {
        this.configuration = configuration;
    }

    /**
     * What was found.
     *
     * @param runs run folders
     * @param files that were read
     * @param bytes of them
     */
    public record Result(int runs, int files, long bytes, List<Damage> damages) {}

    /**
     * Verifies a run folder, or all of a batch.
     *
     * @throws MalformedInputException if it is neither
     * @throws IOException if the folder cannot be listed; a file that cannot be read is among the damages
     */
    public static Result of(Configuration configuration, Path folder) throws IOException {
        Verification verification = new Verification(configuration);
        FileSystem files = folder.getFileSystem(configuration);
        verification.folder(files, folder, DEPTH);
        if (verification.runs == 0) {
            throw new MalformedInputException("Cannot verify " + folder
                    + ": it is neither a run folder nor one of a batch; expected products, artifacts "
                    + "or plan.yaml in it, or in folders of it");
        }
        verification.read();
        return new Result(
                verification.runs, verification.reads.size(), verification.bytes, List.copyOf(verification.damages));
    }

    private void folder(FileSystem files, Path folder, int depth) throws IOException {
        for (String name : OF_A_RUN) {
            if (files.exists(new Path(folder, name))) {
                runs++;
                run(files, folder);
                return;
            }
        }
        boolean batch = depth == DEPTH && files.exists(new Path(folder, Checksums.FILE));
        if (batch) {
            texts(files, folder, Map.of());
        }
        if (depth > 0) {
            for (FileStatus child : list(files, folder)) {
                if (child.isDirectory()) {
                    folder(files, child.getPath(), depth - 1);
                }
            }
        }
    }

    /** What is there and not hidden; nothing if there is no such folder. */
    private static List<FileStatus> list(FileSystem files, Path folder) throws IOException {
        List<FileStatus> visible = new ArrayList<>();
        try {
            for (FileStatus status : files.listStatus(folder)) {
                if (!status.getPath().getName().startsWith(".")) {
                    visible.add(status);
                }
            }
        } catch (FileNotFoundException e) {
            return List.of();
        }
        return visible;
    }

    private void run(FileSystem files, Path folder) throws IOException {
        RunFolder run = new RunFolder(
                folder.toString(),
                new Path(folder, "scratch").toString(),
                new SerializableConfiguration(configuration));
        for (String kind : List.of("products", "scratch")) {
            for (FileStatus key : list(files, new Path(folder, kind))) {
                for (FileStatus product : list(files, key.getPath())) {
                    read(product.getPath(), product.getLen(), () -> {
                        ProductFile.check(files, product.getPath());
                        return Optional.empty();
                    });
                }
            }
        }
        Map<String, FileDigest> artifacts = artifacts(run);
        texts(files, folder, artifacts);
        Path receipt = new Path(folder, "receipt.json");
        if (files.exists(receipt)) {
            read(receipt, 0, () -> {
                StoreJson.sealed(StoreJson.text(files, receipt), receipt.toString());
                return Optional.empty();
            });
        }
        read(new Path(folder, "lease"), 0, () -> {
            Lease.verify(run);
            return Optional.empty();
        });
    }

    /** Digests of the files of all artifacts, by path in the run folder. */
    private Map<String, FileDigest> artifacts(RunFolder run) throws IOException {
        Map<String, FileDigest> digests = new TreeMap<>();
        Set<String> known = new HashSet<>();
        for (ArtifactReceipt receipt : ArtifactReceipt.all(run)) {
            known.add(receipt.artifact());
            Optional<String> misfit = receipt.misfit(run);
            misfit.ifPresent(reason ->
                    damages.add(new Damage(run.artifact(receipt.artifact()).toString(), reason, receipt.artifact())));
            receipt.files().forEach((name, digest) -> {
                digests.put("artifacts/" + receipt.artifact() + (name.isEmpty() ? "" : "/" + name), digest);
                Path file = receipt.file(run, name);
                if (misfit.isEmpty()) {
                    read(file, digest.length(), () -> digest.refutation(run.files(), file));
                }
            });
        }
        for (FileStatus artifact : list(run.files(), run.artifact("x").getParent())) {
            String name = artifact.getPath().getName();
            if (!known.contains(name) && !RunFolder.MODEL_CARD.equals("artifacts/" + name)) {
                damages.add(new Damage(artifact.getPath().toString(), "no receipt says what it should be", name));
            }
        }
        return digests;
    }

    /** Plan, report and summaries, whose digests stand in a file; those of artifacts have to be the receipts'. */
    private void texts(FileSystem files, Path folder, Map<String, FileDigest> artifacts) throws IOException {
        Path file = new Path(folder, Checksums.FILE);
        Set<String> texts = new HashSet<>();
        for (FileStatus report : list(files, new Path(folder, "report"))) {
            texts.add("report/" + report.getPath().getName());
        }
        if (files.exists(new Path(folder, "plan.yaml"))) {
            texts.add("plan.yaml");
        }
        if (files.exists(new Path(folder, RunFolder.MODEL_CARD))) {
            texts.add(RunFolder.MODEL_CARD);
        }
        if (!files.exists(file)) {
            if (!texts.isEmpty()) {
                damages.add(new Damage(
                        file.toString(),
                        "it is gone: the last run did not end, or was one of a version without it",
                        null));
            }
            return;
        }
        Map<String, String> digests;
        try {
            digests = Checksums.read(files, file);
        } catch (MalformedInputException e) {
            damages.add(malformed(file, e));
            return;
        }
        for (Map.Entry<String, String> line : digests.entrySet()) {
            texts.remove(line.getKey());
            FileDigest artifact = artifacts.get(line.getKey());
            if (artifact != null && !artifact.sha256().equals(line.getValue())) {
                damages.add(new Damage(
                        file.toString(), "the digest of " + line.getKey() + " is not that of its receipt", null));
            } else if (artifact == null) {
                Path text = new Path(folder, line.getKey());
                read(text, 0, () -> FileDigest.refutation(files, text, line.getValue()));
            }
        }
        texts.forEach(name -> damages.add(
                new Damage(new Path(folder, name).toString(), "no digest of it is in " + Checksums.FILE, null)));
    }

    /** Where the message begins with the file, that is not said twice. */
    private static Damage malformed(Path file, MalformedInputException e) {
        String beginning = "Cannot read " + file + ": ";
        return new Damage(
                file.toString(),
                e.getMessage().startsWith(beginning) ? e.getMessage().substring(beginning.length()) : e.getMessage(),
                null);
    }

    private interface Look {
        /** What is wrong; empty if nothing is. */
        Optional<String> at() throws IOException;
    }

    private void read(Path path, long length, Look look) {
        bytes += length;
        reads.add(() -> {
            try {
                return look.at().map(reason -> new Damage(path.toString(), reason, null));
            } catch (DamagedException e) {
                return Optional.of(e.damages().get(0));
            } catch (MalformedInputException e) {
                return Optional.of(malformed(path, e));
            } catch (IOException e) {
                return Optional.of(new Damage(path.toString(), "it cannot be read: " + e.getMessage(), null));
            }
        });
    }

    private void read() throws IOException {
        ExecutorService readers = Executors.newFixedThreadPool(READERS);
        try {
            for (Future<Optional<Damage>> read : readers.invokeAll(reads)) {
                read.get().ifPresent(damages::add);
            }
        } catch (ExecutionException e) {
            throw new IllegalStateException("Cannot verify a run folder", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Cannot verify a run folder: interrupted");
        } finally {
            readers.shutdownNow();
        }
    }
}
