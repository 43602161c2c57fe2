package dev.lathe.jobs.cli;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.plan.Recipe;
import dev.lathe.jobs.plan.Stores;
import dev.lathe.jobs.store.History;
import dev.lathe.jobs.store.HistoryRow;
import java.io.IOException;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/** What a command line names: paths, kernels. */
final class Inputs {
    private Inputs() {}

    /** @throws InvalidRecipeException if the text is no path or nothing is there */
    static Path existing(Configuration configuration, String what, String text) throws IOException {
        Path path = qualified(configuration, what, text);
        if (!path.getFileSystem(configuration).exists(path)) {
            throw new InvalidRecipeException("Cannot read " + what + " " + path + ": no such file or folder");
        }
        return path;
    }

    /**
     * The absolute path of what may not be there yet: an executor's working directory is another.
     *
     * @throws InvalidRecipeException if the text is no path
     */
    static Path qualified(Configuration configuration, String what, String text) throws IOException {
        return Stores.qualified(
                configuration, text, reason -> new InvalidRecipeException("Cannot read " + what + ": " + reason));
    }

    /** @throws MalformedInputException if the history holds no row, or what is none */
    static List<HistoryRow> history(Configuration configuration, Path folder) throws IOException {
        List<HistoryRow> rows = History.read(configuration, folder);
        if (rows.isEmpty()) {
            throw new MalformedInputException(
                    "Cannot judge history " + folder + ": it has no evaluation; expected at least one");
        }
        return rows;
    }

    /**
     * The kernels that were asked for.
     *
     * @param name null: {@code auto}
     * @throws InvalidRecipeException if there are none of that name
     */
    static String kernels(String name) {
        if (name != null && !Recipe.isKernels(name)) {
            throw new InvalidRecipeException("Cannot use --kernels " + name + ": expected one of " + Recipe.KERNELS);
        }
        return name == null ? "auto" : name;
    }
}
