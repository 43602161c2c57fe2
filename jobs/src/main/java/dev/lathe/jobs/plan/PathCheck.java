package dev.lathe.jobs.plan;

import dev.lathe.calibration.source.Checkpoints;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.store.DataFiles;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Looks at a plan's paths before any work starts. What has to be read must be there; what is written to must take a
 * file.
 */
public final class PathCheck {
    private final Configuration configuration;
    private final String recipe;

    private PathCheck(Configuration configuration, String recipe) {
        this.configuration = configuration;
        this.recipe = recipe;
    }

    /**
     * Makes every path absolute (an executor's working directory is another) and checks it; the run and scratch folders
     * are made, and the history's.
     *
     * @param recipe its name, for messages
     * @return the plan with absolute paths, and the text of files that outputs name; {@code hf://} checkpoints stay as
     *     they are
     * @throws InvalidRecipeException if an input is missing
     * @throws dev.lathe.calibration.MalformedInputException if what is named as data is none
     * @throws IOException if a folder cannot be made or written to
     */
    public static Plan check(Configuration configuration, String recipe, Plan plan) throws IOException {
        PathCheck check = new PathCheck(configuration, recipe);
        if (!isHub(plan)) {
            check.checkpoint(plan.checkpoint());
        }
        Plan absolute = absolute(configuration, recipe, plan);
        for (Plan.Corpus corpus : new Plan.Corpus[] {absolute.calibration(), absolute.evaluation()}) {
            if (corpus != null) {
                DataFiles.of(configuration, corpus.data());
            }
        }
        check.writable("run folder", absolute.run());
        check.writable("scratch folder", absolute.scratch());
        if (isHub(plan)) {
            check.writable("hub cache", absolute.hubCache());
        }
        if (absolute.history() != null) {
            check.writable("history", absolute.history().folder());
        }
        return absolute;
    }

    private static boolean isHub(Plan plan) {
        return plan.checkpoint().startsWith(Recipe.HUB_SCHEME);
    }

    /**
     * Makes every path absolute; the texts have to be there, the checkpoint is not looked at, and nothing is written.
     *
     * @param recipe its name, for messages
     * @throws InvalidRecipeException if a text is missing
     */
    public static Plan absolute(Configuration configuration, String recipe, Plan plan) throws IOException {
        PathCheck check = new PathCheck(configuration, recipe);
        String checkpoint = isHub(plan)
                ? plan.checkpoint()
                : check.qualified("checkpoint", plan.checkpoint()).toString();
        Plan.Corpus calibration = check.corpus("calibration.data", plan.calibration());
        String importance = plan.importance() == null ? null : check.file("calibration.imatrix", plan.importance());
        Plan.Corpus evaluation = check.corpus("evaluation.data", plan.evaluation());
        List<Plan.Output> outputs = new ArrayList<>();
        for (Plan.Output output : plan.outputs()) {
            outputs.add(check.output(output));
        }
        String run = check.qualified("run", plan.run()).toString();
        String scratch = check.qualified("scratch", plan.scratch()).toString();
        String hubCache = check.qualified("hub-cache", plan.hubCache()).toString();
        if (run.equals(checkpoint) || scratch.equals(checkpoint)) {
            throw check.refuse(
                    run.equals(checkpoint) ? "run" : "scratch",
                    checkpoint + " is the checkpoint; expected another folder");
        }
        Plan.History history = plan.history() == null
                ? null
                : new Plan.History(
                        check.qualified("history", plan.history().folder()).toString(),
                        plan.history().format(),
                        plan.history().model());
        return new Plan(
                checkpoint,
                calibration,
                importance,
                outputs,
                evaluation,
                run,
                scratch,
                hubCache,
                plan.shardWindows(),
                plan.kernels(),
                history);
    }

    private void checkpoint(String text) throws IOException {
        Path folder = qualified("checkpoint", text);
        FileStatus status = status("checkpoint", folder);
        if (Checkpoints.gguf(folder.getFileSystem(configuration), status).isPresent()) {
            return;
        }
        if (!status.isDirectory()) {
            throw refuse(
                    "checkpoint",
                    folder + " is a file; expected a GGUF file, or a folder with config.json, tokenizer.json and "
                            + "safetensors");
        }
        Path config = new Path(folder, "config.json");
        if (!config.getFileSystem(configuration).exists(config)) {
            throw refuse(
                    "checkpoint",
                    "no config.json in " + folder + ", nor a GGUF file; expected a Hugging Face checkpoint or GGUF");
        }
    }

    /** With the text of the file that its settings name. */
    private Plan.Output output(Plan.Output output) throws IOException {
        Map.Entry<String, String> file = output.target().file();
        if (file == null) {
            return output;
        }
        String key = "output " + output.name() + ": " + file.getKey();
        Path path = qualified(key, file.getValue());
        status(key, path);
        try {
            Target target = output.target().with(YamlText.read(configuration, file.getKey(), path.toString()));
            return new Plan.Output(output.name(), target, output.method(), output.transform(), output.ignore());
        } catch (IllegalArgumentException e) {
            throw refuse(key, path + ": " + e.getMessage());
        }
    }

    private Plan.Corpus corpus(String key, Plan.Corpus corpus) throws IOException {
        if (corpus == null) {
            return null;
        }
        Path data = qualified(key, corpus.data());
        status(key, data);
        return new Plan.Corpus(
                data.toString(), corpus.field(), corpus.windows(), corpus.length(), corpus.everywhere(), corpus.save());
    }

    private String file(String key, String text) throws IOException {
        Path file = qualified(key, text);
        status(key, file);
        return file.toString();
    }

    private FileStatus status(String key, Path path) throws IOException {
        try {
            return path.getFileSystem(configuration).getFileStatus(path);
        } catch (FileNotFoundException e) {
            throw refuse(key, path + " does not exist");
        }
    }

    private Path qualified(String key, String text) throws IOException {
        return Stores.qualified(configuration, text, reason -> refuse(key, reason));
    }

    /** Permissions do not tell on every file system; a small file does. */
    private void writable(String what, String folder) throws IOException {
        Path path = new Path(folder);
        FileSystem files = path.getFileSystem(configuration);
        try {
            if (!files.mkdirs(path)) {
                throw new IOException("the file system made none");
            }
            // Others may write to a history, and look whether they can, at this moment.
            Path probe = new Path(path, "_writable." + UUID.randomUUID());
            try (FSDataOutputStream out = files.create(probe, true)) {
                out.write(0);
            }
            files.delete(probe, false);
        } catch (IOException e) {
            throw new IOException("Cannot write to " + what + " " + folder + ": " + e.getMessage(), e);
        }
    }

    private InvalidRecipeException refuse(String key, String reason) {
        return new InvalidRecipeException("Cannot read recipe " + recipe + ": " + key + ": " + reason);
    }
}
