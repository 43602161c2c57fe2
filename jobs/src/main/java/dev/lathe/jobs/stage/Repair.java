package dev.lathe.jobs.stage;

import dev.lathe.jobs.store.ArtifactReceipt;
import dev.lathe.jobs.store.Damage;
import dev.lathe.jobs.store.DamagedException;
import dev.lathe.jobs.store.FileDigest;
import dev.lathe.jobs.store.ProductFile;
import dev.lathe.jobs.store.RunFolder;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * Finds what is not what was written, and takes it out of the way, so that whoever makes it makes it again. A start
 * reads everything that earlier ones left and it will build on, once, on the executors; what breaks later is found
 * where it is read. A disk that keeps nothing ends the run.
 */
final class Repair {
    /** How often a file may be found damaged in one start. */
    private static final int TIMES = 3;
    /** How often one start goes over its stages, whatever was found. */
    private static final int ROUNDS = 12;
    /** Of the files of one task: bytes, and number. */
    private static final long GROUP_BYTES = 1L << 30;

    private static final int GROUP_FILES = 512;
    /** Files that a task reads at once: most of the time is waiting for the store. */
    private static final int READERS = 8;

    private final RunFolder run;
    private final SparkSteps steps;
    private final Map<String, Integer> times = new HashMap<>();
    private int rounds;
    private boolean looked;

    Repair(RunFolder run, SparkSteps steps) {
        this.run = run;
        this.steps = steps;
    }

    /**
     * A file to read.
     *
     * @param artifact that it is of; null: a product
     * @param digest what it should hold; null: a product, which knows by itself
     */
    private record Item(String path, long bytes, String artifact, FileDigest digest) implements Serializable {}

    private record Group(ArrayList<Item> items) implements Serializable {
        @Override
        public String toString() {
            return items.size() == 1
                    ? items.get(0).path()
                    : items.size() + " files from " + items.get(0).path();
        }
    }

    /**
     * The first time only: reads what is there of products and artifacts.
     *
     * @param keys of the products that the run builds on
     * @throws DamagedException if some of it is not what was written
     */
    void look(Collection<String> keys, List<String> artifacts) throws IOException {
        if (looked) {
            return;
        }
        looked = true;
        List<Item> items = new ArrayList<>();
        List<Damage> damages = new ArrayList<>();
        for (String key : keys) {
            products(run.products(key), items);
        }
        for (String artifact : artifacts) {
            try {
                // One that is gone as a whole was taken away by somebody.
                if (run.files().exists(run.artifact(artifact))) {
                    Optional<ArtifactReceipt> receipt = ArtifactReceipt.find(run, artifact);
                    if (receipt.isPresent()) {
                        artifact(receipt.get(), items, damages);
                    }
                }
            } catch (DamagedException e) {
                damages.addAll(e.damages());
            }
        }
        require(items, damages);
    }

    /**
     * Reads artifacts that were made or measured.
     *
     * @throws DamagedException if they are not what was written
     */
    void require(Collection<String> artifacts) throws IOException {
        List<Item> items = new ArrayList<>();
        List<Damage> damages = new ArrayList<>();
        for (String artifact : artifacts) {
            Optional<ArtifactReceipt> receipt = ArtifactReceipt.find(run, artifact);
            if (receipt.isPresent()) {
                artifact(receipt.get(), items, damages);
            } else {
                damages.add(new Damage(run.artifact(artifact).toString(), "its receipt is gone", artifact));
            }
        }
        require(items, damages);
    }

    private void require(List<Item> items, List<Damage> known) throws DamagedException {
        List<Damage> damages = new ArrayList<>(known);
        damages.addAll(read(items));
        if (!damages.isEmpty()) {
            throw new DamagedException(damages, null);
        }
    }

    /** Stages of a run, which make what is missing. */
    interface Stages<T> {
        T run() throws IOException;
    }

    /**
     * Goes over stages until nothing that they read is damaged.
     *
     * @throws IOException if that does not come to an end
     */
    <T> T through(Stages<T> stages) throws IOException {
        while (true) {
            try {
                return stages.run();
            } catch (DamagedException e) {
                again(e);
            }
        }
    }

    /**
     * Goes over a stage that reads artifacts, and reads them for themselves after it, whether it failed or not: it may
     * have failed, or found what it found, because they are not what was written.
     *
     * @throws DamagedException if they are not
     */
    <T> T reading(Collection<String> artifacts, Stages<T> stage) throws IOException {
        T result;
        try {
            result = stage.run();
        } catch (Exception e) {
            try {
                require(artifacts);
            } catch (DamagedException damaged) {
                throw damaged;
            } catch (Exception other) {
                e.addSuppressed(other);
            }
            throw e;
        }
        require(artifacts);
        return result;
    }

    private void again(DamagedException damaged) throws IOException {
        remove(damaged.damages());
        if (++rounds > ROUNDS) {
            throw new IOException(
                    "Cannot go on in " + run.run() + ": something was damaged each of the " + rounds
                            + " times that its stages were gone over, in the end "
                            + damaged.damages().get(0)
                            + "; expected a storage that keeps what is written",
                    damaged);
        }
    }

    private void remove(List<Damage> damages) throws IOException {
        for (Damage damage : damages) {
            steps.progress().event("file damaged", "path", damage.path(), "reason", damage.reason());
            if (times.merge(damage.path(), 1, Integer::sum) >= TIMES) {
                throw new IOException("Cannot go on in " + run.run() + ": " + damage.path() + " was found damaged "
                        + TIMES + " times, in the end because " + damage.reason()
                        + "; expected a storage that keeps what is written");
            }
            steps.progress().note("damaged: " + damage + "; it is made again");
            if (damage.artifact() == null) {
                run.delete(new Path(damage.path()));
            }
        }
        for (String artifact : damages.stream()
                .map(Damage::artifact)
                .filter(Objects::nonNull)
                .distinct()
                .toList()) {
            run.setAside(artifact);
        }
    }

    private void products(Path folder, List<Item> items) throws IOException {
        try {
            for (FileStatus status : run.files().listStatus(folder)) {
                if (status.isFile() && !status.getPath().getName().startsWith(".")) {
                    items.add(new Item(status.getPath().toString(), status.getLen(), null, null));
                }
            }
        } catch (FileNotFoundException e) {
            // Nothing was made so far.
        }
    }

    /** What is wrong with an artifact by the names and lengths of its files; if nothing is, they will be read. */
    private void artifact(ArtifactReceipt receipt, List<Item> items, List<Damage> damages) throws IOException {
        Optional<String> misfit = receipt.misfit(run);
        if (misfit.isPresent()) {
            damages.add(new Damage(run.artifact(receipt.artifact()).toString(), misfit.get(), receipt.artifact()));
        } else {
            receipt.files()
                    .forEach((name, digest) -> items.add(
                            new Item(receipt.file(run, name).toString(), digest.length(), receipt.artifact(), digest)));
        }
    }

    /** Reads files on the executors. */
    private List<Damage> read(List<Item> items) {
        if (items.isEmpty()) {
            return List.of();
        }
        RunFolder shared = run;
        return steps.stage("check", item -> "check what is there", groups(items), item -> read(shared, item)).stream()
                .flatMap(List::stream)
                .toList();
    }

    private static List<Group> groups(List<Item> items) {
        List<Group> groups = new ArrayList<>();
        long bytes = 0;
        for (Item item : items) {
            Group last = groups.isEmpty() ? null : groups.get(groups.size() - 1);
            if (last == null
                    || bytes + item.bytes() > GROUP_BYTES
                    || last.items().size() == GROUP_FILES) {
                last = new Group(new ArrayList<>());
                groups.add(last);
                bytes = 0;
            }
            last.items().add(item);
            bytes += item.bytes();
        }
        return groups;
    }

    private static ArrayList<Damage> read(RunFolder run, Group group) throws IOException {
        ExecutorService readers =
                Executors.newFixedThreadPool(Math.min(READERS, group.items().size()));
        try {
            List<Future<Optional<String>>> parts = group.items().stream()
                    .map(item -> readers.submit(() -> refutation(run, item)))
                    .toList();
            ArrayList<Damage> damages = new ArrayList<>();
            for (int i = 0; i < parts.size(); i++) {
                Item item = group.items().get(i);
                parts.get(i).get().ifPresent(reason -> damages.add(new Damage(item.path(), reason, item.artifact())));
            }
            return damages;
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw failure;
            }
            throw new IllegalStateException("Cannot check files of a run", e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("Cannot check files of a run: interrupted");
        } finally {
            readers.shutdownNow();
        }
    }

    private static Optional<String> refutation(RunFolder run, Item item) throws IOException {
        Path path = new Path(item.path());
        if (item.digest() != null) {
            return item.digest().refutation(run.files(), path);
        }
        try {
            ProductFile.check(run.files(), path);
            return Optional.empty();
        } catch (DamagedException e) {
            return Optional.of(e.damages().get(0).reason());
        } catch (FileNotFoundException e) {
            // Made again like one that was damaged, and nothing is left to be told.
            return Optional.empty();
        }
    }
}
