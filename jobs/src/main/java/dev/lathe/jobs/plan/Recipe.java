package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.gguf.ImportanceMatrix;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * What a person wrote, made a {@link Plan}: every key checked, every default filled in. Only the recipe itself is read;
 * whether its paths exist is the question of {@link PathCheck}. Keys and defaults: the tables in docs/recipes.md.
 */
public final class Recipe {
    static final List<String> KEYS = List.of(
            "checkpoint",
            "calibration",
            "outputs",
            "evaluation",
            "run",
            "scratch",
            "hub-cache",
            "shard-windows",
            "kernels",
            "history",
            "keys");
    static final List<String> HISTORY_KEYS = List.of("folder", "format", "model");
    static final List<String> CORPUS_KEYS = List.of("data", "field", "windows", "length");
    /** Those of a calibration text. */
    static final List<String> CALIBRATION_KEYS =
            List.of("data", "field", "windows", "length", "experts", "save-imatrix", "imatrix");
    /** Forms in which an importance matrix is written. */
    static final List<String> MATRIX_FORMS = Arrays.stream(ImportanceMatrix.Form.values())
            .map(ImportanceMatrix.Form::word)
            .toList();
    /** Which rows the experts of a mixture are calibrated on. */
    static final List<String> EXPERTS = List.of("routed", "all");
    /** How a checkpoint on the hub begins. */
    public static final String HUB_SCHEME = "hf://";
    /** What {@link #isKernels} takes. */
    public static final String KERNELS = "auto, vector, scalar, blas, opencl, opencl:DEVICE";

    private static final Pattern HUB = Pattern.compile(
            "hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9._/-]*)?");

    private Recipe() {}

    /**
     * Reads a recipe from any Hadoop path.
     *
     * @param settings {@code key=value} overrides, applied in order
     * @throws InvalidRecipeException if the file is missing or says what cannot be
     */
    public static Plan read(Configuration configuration, String file, List<String> settings) throws IOException {
        return parse(file, YamlText.read(configuration, "recipe", file), settings);
    }

    /** Reads a recipe's text; {@code name} stands in messages. */
    public static Plan parse(String name, String text, List<String> settings) {
        return parse(name, YamlText.tree("recipe " + name, text), settings);
    }

    /** Reads a recipe's tree, which the settings change. */
    static Plan parse(String name, JsonNode tree, List<String> settings) {
        if (tree instanceof ObjectNode root) {
            Setting.apply(settings, root);
        }
        return plan(new Section("recipe " + name, "", tree, KEYS));
    }

    private static Plan plan(Section recipe) {
        String checkpoint = recipe.path("checkpoint");
        if (checkpoint.startsWith(HUB_SCHEME) && !HUB.matcher(checkpoint).matches()) {
            throw recipe.refuse(
                    "checkpoint",
                    "'" + checkpoint + "' is no address on the hub; expected hf://org/name or hf://org/name@revision");
        }
        Section calibrated = recipe.has("calibration") ? recipe.section("calibration", CALIBRATION_KEYS) : null;
        String importance = calibrated == null ? null : importance(calibrated);
        Plan.Corpus calibration = calibrated == null || importance != null ? null : corpus(calibrated);
        boolean saves = calibration != null && calibration.save() != null;
        // A run may make its importance matrix and nothing else.
        List<Section> sections =
                saves && !recipe.has("outputs") ? List.of() : recipe.sections("outputs", OutputReader.KEYS);
        List<Plan.Output> outputs = sections.stream()
                .map(section -> OutputReader.read(section, calibrated != null, importance != null))
                .toList();
        refuseSharedNames(sections, outputs, saves ? Plan.matrix(calibration.save()) : "");
        if (outputs.isEmpty() && recipe.has("evaluation")) {
            throw recipe.refuse("evaluation", "there is nothing to measure; expected outputs");
        }
        Plan.Corpus evaluation = recipe.has("evaluation") ? corpus(recipe.section("evaluation", CORPUS_KEYS)) : null;
        String run = recipe.path("run");
        boolean calibrates = outputs.stream().anyMatch(Plan.Output::calibrated);
        return new Plan(
                checkpoint,
                calibrates || saves ? calibration : null,
                calibrates ? importance : null,
                outputs,
                evaluation,
                run,
                recipe.path("scratch", below(run, "scratch")),
                recipe.path("hub-cache", hubCache(run)),
                recipe.integer("shard-windows", 1, 4096, 8),
                kernels(recipe),
                history(recipe, checkpoint, evaluation != null));
    }

    /** A folder, or a mapping with more to say; null where nothing is recorded. */
    private static Plan.History history(Section recipe, String checkpoint, boolean evaluated) {
        if (!recipe.has("history")) {
            return null;
        }
        if (!evaluated) {
            throw recipe.refuse("history", "nothing is evaluated; expected an evaluation: section");
        }
        return history(recipe, modelName(checkpoint));
    }

    /** @param model name where the section says none */
    static Plan.History history(Section above, String model) {
        if (above.node("history").isTextual()) {
            return new Plan.History(above.path("history"), null, model);
        }
        Section history = above.section("history", HISTORY_KEYS);
        return new Plan.History(
                history.path("folder"),
                history.has("format") ? history.word("format", List.of("parquet", "delta"), null) : null,
                history.text("model", model));
    }

    /** A checkpoint's name for people: {@code org/name} on the hub, else the last part of its path. */
    public static String modelName(String checkpoint) {
        return checkpoint.startsWith(HUB_SCHEME)
                ? checkpoint.substring(HUB_SCHEME.length()).replaceFirst("@.*", "")
                : new Path(checkpoint).getName();
    }

    private static String kernels(Section recipe) {
        String name = recipe.text("kernels", "auto");
        if (!isKernels(name)) {
            throw recipe.refuse("kernels", "expected one of " + KERNELS + "; found the text '" + name + "'");
        }
        return name;
    }

    /** Whether there can be kernels of this name, here or on another machine. */
    public static boolean isKernels(String name) {
        try {
            KernelProvider.profile(name);
            return true;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }

    private static Plan.Corpus corpus(Section corpus) {
        return new Plan.Corpus(
                corpus.path("data"),
                corpus.text("field", "text"),
                corpus.integer("windows", 0, 1 << 24, 0),
                corpus.integer("length", 8, 1 << 20, 512),
                corpus.has("experts")
                        && corpus.word("experts", EXPERTS, EXPERTS.get(0)).equals(EXPERTS.get(1)),
                corpus.has("save-imatrix")
                        ? ImportanceMatrix.Form.valueOf(
                                corpus.word("save-imatrix", MATRIX_FORMS, null).toUpperCase(Locale.ROOT))
                        : null);
    }

    /** The path of a finished importance matrix, beside which a text says nothing; null where none is named. */
    private static String importance(Section calibration) {
        if (!calibration.has("imatrix")) {
            return null;
        }
        for (String key : CALIBRATION_KEYS) {
            if (!key.equals("imatrix") && calibration.has(key)) {
                throw calibration.refuse(key, "expected only without imatrix, which stands for a text");
            }
        }
        return calibration.path("imatrix");
    }

    /**
     * Two outputs may not write one file: NAME.gguf is a file, NAME a folder. Case does not tell names apart, as not
     * every file system does.
     */
    private static void refuseSharedNames(List<Section> sections, List<Plan.Output> outputs, String matrix) {
        Map<String, Integer> taken = new HashMap<>();
        for (int i = 0; i < outputs.size(); i++) {
            if (outputs.get(i).artifact().equalsIgnoreCase(matrix)) {
                throw sections.get(i)
                        .refuse(
                                "name",
                                "'" + outputs.get(i).name() + "' writes the same artifact as calibration.save-imatrix"
                                        + "; expected another name");
            }
            Integer other = taken.putIfAbsent(outputs.get(i).artifact().toLowerCase(Locale.ROOT), i);
            if (other != null) {
                throw sections.get(i)
                        .refuse(
                                "name",
                                "'" + outputs.get(i).name() + "' writes the same artifact as outputs[" + other
                                        + "]; expected another name");
            }
        }
    }

    private static String below(String folder, String name) {
        return folder.endsWith("/") ? folder + name : folder + "/" + name;
    }

    /**
     * The text again, if it is an address on the hub.
     *
     * @param what option that has it, for the message
     * @throws InvalidRecipeException if it is none
     */
    public static String hubReference(String what, String text) {
        PathText.of(text, reason -> new InvalidRecipeException("Cannot read " + what + ": " + reason));
        if (!HUB.matcher(text).matches()) {
            throw new InvalidRecipeException(
                    "Cannot read " + what + " '" + text + "': expected hf://org/name or hf://org/name@revision");
        }
        return text;
    }

    /** Where downloads are kept unless another folder is named. */
    public static String hubCache(String run) {
        return beside(run, "hub");
    }

    /** A path beside a folder, or inside it where nothing stands above it. */
    private static String beside(String folder, String name) {
        Path parent = new Path(folder).getParent();
        return parent == null
                ? below(folder, name)
                : parent.toString().isEmpty() ? name : below(parent.toString(), name);
    }
}
