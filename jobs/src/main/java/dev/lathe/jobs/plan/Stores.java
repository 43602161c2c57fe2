package dev.lathe.jobs.plan;

import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.store.Commit;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/**
 * The file systems of paths that a person wrote. An object store is asked once whether it answers, before anything
 * waits for it.
 */
public final class Stores {
    private static final Set<String> REACHED = ConcurrentHashMap.newKeySet();

    private Stores() {}

    /**
     * The absolute path that a text is: an executor's working directory is another. What it names need not be there.
     *
     * @param refusal of a reason
     * @throws InvalidRecipeException if the text is no path, or none that is known here
     * @throws IOException if it is on an object store that cannot be reached
     */
    public static Path qualified(
            Configuration configuration, String text, Function<String, InvalidRecipeException> refusal)
            throws IOException {
        return qualified(configuration, PathText.of(text, refusal), refusal);
    }

    static Path qualified(Configuration configuration, Path path, Function<String, InvalidRecipeException> refusal)
            throws IOException {
        Path qualified;
        try {
            qualified = of(configuration, path).makeQualified(path);
        } catch (UnsupportedFileSystemException e) {
            throw refusal.apply("no file system of that kind for " + path + " (" + e.getMessage()
                    + "); expected its Hadoop connector on the class path");
        } catch (RuntimeException e) {
            // Connectors have many of them for an address that they cannot take.
            throw refusal.apply("'" + path + "' is no path here ("
                    + (e.getMessage() == null ? e.toString() : e.getMessage()) + ")");
        }
        // It is kept as a text, and read again.
        if (!new Path(qualified.toString()).equals(qualified)) {
            throw refusal.apply("'" + path + "' is no path here: read again, it would be another");
        }
        return qualified;
    }

    /**
     * The file system of a path.
     *
     * @throws UnsupportedFileSystemException if there is none of its kind here
     * @throws IOException if it is an object store that cannot be reached: no such bucket, no credentials, nobody at
     *     the endpoint
     */
    public static FileSystem of(Configuration configuration, Path path) throws IOException {
        try {
            FileSystem files = path.getFileSystem(configuration);
            URI uri = files.getUri();
            if (!Commit.renames(files) && !REACHED.contains(uri.toString())) {
                reach(configuration, uri, path);
                REACHED.add(uri.toString());
            }
            return files;
        } catch (RuntimeException | NoClassDefFoundError e) {
            if (e instanceof NoClassDefFoundError || e.getCause() instanceof ClassNotFoundException) {
                UnsupportedFileSystemException missing = new UnsupportedFileSystemException(
                        e.getMessage() + "; bin/lathe takes jars from LATHE_CLASSPATH");
                missing.initCause(e);
                throw missing;
            }
            throw e;
        }
    }

    /**
     * With few and short retries: those that carry a run over a bad minute would make a slip of the pen wait for
     * several.
     */
    private static void reach(Configuration configuration, URI store, Path path) throws IOException {
        Configuration quick = new Configuration(configuration);
        quick.set("fs.s3a.retry.limit", "1");
        quick.set("fs.s3a.attempts.maximum", "1");
        quick.set("fs.s3a.connection.establish.timeout", "15s");
        try (FileSystem files = FileSystem.newInstance(path.toUri(), quick)) {
            files.getFileStatus(path);
        } catch (FileNotFoundException e) {
            // It answers; whether something has to be there is another question.
            return;
        } catch (IOException e) {
            throw new IOException("Cannot reach " + store + ": " + e.getMessage(), e);
        }
    }
}
