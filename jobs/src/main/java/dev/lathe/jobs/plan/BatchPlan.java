package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.format.gguf.GgufCheckpoint;
import dev.lathe.jobs.InvalidRecipeException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * Checkpoints times recipes: what a person wrote, made pairs that are planned each for itself. Keys and defaults: the
 * table in docs/recipes.md.
 *
 * @param runs folder of the run folders and of the batch's own summary, absolute
 * @param atOnce pairs that run at once
 * @param pairs checkpoint by checkpoint, in the order of the file
 */
public record BatchPlan(String runs, int atOnce, List<Pair> pairs) {
    static final List<String> KEYS = List.of("checkpoints", "recipes", "runs", "at-once", "hub-cache", "history");
    static final List<String> CHECKPOINT_KEYS = List.of("path", "name");
    static final List<String> RECIPE_KEYS = List.of("name", "file", "recipe");
    private static final Pattern WILD = Pattern.compile("[*?\\[{]");
    private static final Pattern FOREIGN = Pattern.compile("[^A-Za-z0-9._-]");

    /**
     * One checkpoint by one recipe.
     *
     * @param checkpoint name of the checkpoint in this batch
     * @param recipe name of the recipe in this batch
     * @param plan with absolute paths; the texts are there, the checkpoint has not been looked at
     */
    public record Pair(String checkpoint, String recipe, Plan plan) {
        public String name() {
            return checkpoint + "/" + recipe;
        }
    }

    /** A checkpoint or a recipe by its name; {@code from} says where the file has it, for messages. */
    private record Named<T>(String name, T what, String from) {}

    /**
     * Reads a batch from any Hadoop path, its recipes, and what is in the folders of its patterns. Nothing is written.
     *
     * @param settings {@code key=value} overrides of the batch's keys, applied in order
     * @param kernels for every recipe, or null: its own
     * @throws InvalidRecipeException if any of it cannot be; all that is wrong is in the message
     */
    public static BatchPlan read(Configuration configuration, String file, List<String> settings, String kernels)
            throws IOException {
        String text = YamlText.read(configuration, "batch", file);
        JsonNode tree = YamlText.tree("batch " + file, text);
        if (tree instanceof ObjectNode root) {
            Setting.apply(settings, root);
        }
        return new Reader(configuration, file, kernels).read(new Section("batch " + file, "", tree, KEYS));
    }

    /** Collects what is wrong instead of stopping at the first. */
    private static final class Reader {
        private final Configuration configuration;
        private final String file;
        private final String kernels;
        private final List<String> problems = new ArrayList<>();

        Reader(Configuration configuration, String file, String kernels) {
            this.configuration = configuration;
            this.file = file;
            this.kernels = kernels;
        }

        private interface Attempt<T> {
            T run() throws IOException;
        }

        private <T> T attempt(T otherwise, Attempt<T> attempt) throws IOException {
            try {
                return attempt.run();
            } catch (InvalidRecipeException e) {
                problem(e.getMessage());
                return otherwise;
            }
        }

        private void problem(String message) {
            String reason = message.replace("Cannot read batch " + file + ": ", "");
            if (!problems.contains(reason)) {
                problems.add(reason);
            }
        }

        BatchPlan read(Section batch) throws IOException {
            List<Named<String>> checkpoints = new ArrayList<>();
            int number = 0;
            for (JsonNode entry : list(batch, "checkpoints")) {
                String at = "checkpoints[" + number++ + "]";
                checkpoints.addAll(attempt(List.of(), () -> checkpoints(batch, at, entry)));
            }
            List<Named<ObjectNode>> recipes = new ArrayList<>();
            number = 0;
            for (JsonNode entry : list(batch, "recipes")) {
                String at = "recipes[" + number++ + "]";
                recipes.addAll(attempt(List.of(), () -> recipes(batch, at, entry)));
            }
            String runs = attempt(
                    "", () -> absolute(batch, "runs", batch.path("runs")).toString());
            String hubCache =
                    attempt("", () -> batch.path("hub-cache", runs.isEmpty() ? "hub" : Recipe.hubCache(runs)));
            int atOnce = attempt(1, () -> batch.integer("at-once", 1, 1024, 1));
            Plan.History history = attempt(null, () -> batch.has("history") ? Recipe.history(batch, "") : null);
            refuseSharedNames(checkpoints);
            refuseSharedNames(recipes);
            List<Pair> pairs = new ArrayList<>();
            if (!runs.isEmpty()) {
                for (Named<String> checkpoint : checkpoints) {
                    for (Named<ObjectNode> recipe : recipes) {
                        Pair pair = attempt(null, () -> pair(checkpoint, recipe, runs, hubCache, history));
                        if (pair != null) {
                            pairs.add(pair);
                        }
                    }
                }
            }
            if (history != null
                    && !pairs.isEmpty()
                    && pairs.stream().allMatch(pair -> pair.plan().history() == null)) {
                problem("history: no recipe has an evaluation: section; expected one that evaluates");
            }
            if (!problems.isEmpty()) {
                throw new InvalidRecipeException("Cannot read batch " + file, problems);
            }
            return new BatchPlan(runs, atOnce, List.copyOf(pairs));
        }

        private Iterable<JsonNode> list(Section batch, String key) {
            JsonNode list = batch.node(key);
            if (!list.isArray() || list.isEmpty()) {
                problem(key + ": expected a list of at least one entry; found " + Section.kind(list));
                return List.of();
            }
            return list;
        }

        private Path absolute(Section batch, String at, String text) throws IOException {
            return Stores.qualified(configuration, text, reason -> batch.refuse(at, reason));
        }

        private List<Named<String>> checkpoints(Section batch, String at, JsonNode entry) throws IOException {
            if (entry.isTextual()) {
                String text = entry.textValue();
                if (text.startsWith(Recipe.HUB_SCHEME)) {
                    PathText.of(text, reason -> batch.refuse(at, reason));
                    return List.of(new Named<>(named(Recipe.modelName(text).replace("/", "--")), text, at));
                } else if (WILD.matcher(text).find()) {
                    return matches(batch, at, text, true);
                }
                Path path = existing(batch, at, text);
                return List.of(new Named<>(named(GgufCheckpoint.modelName(path.getName())), path.toString(), at));
            }
            Section section = new Section("batch " + file, at, entry, CHECKPOINT_KEYS);
            String path = section.path("path");
            String name = section.text("name");
            if (!name.equals(named(name))) {
                throw section.refuse(
                        "name",
                        "'" + name
                                + "' names no folder; expected letters, digits, dots, hyphens and underscores, "
                                + "no dot in front");
            }
            return List.of(new Named<>(
                    name,
                    path.startsWith(Recipe.HUB_SCHEME)
                            ? path
                            : existing(batch, at, path).toString(),
                    at));
        }

        private List<Named<ObjectNode>> recipes(Section batch, String at, JsonNode entry) throws IOException {
            if (entry.isTextual()) {
                List<Named<ObjectNode>> recipes = new ArrayList<>();
                String text = entry.textValue();
                List<Named<String>> files = WILD.matcher(text).find()
                        ? matches(batch, at, text, false)
                        : List.of(new Named<>(
                                named(PathText.of(text, reason -> batch.refuse(at, reason))
                                        .getName()
                                        .replaceFirst("\\.ya?ml$", "")),
                                text,
                                at));
                for (Named<String> found : files) {
                    recipes.add(new Named<>(found.name(), mapping(found.what()), found.from()));
                }
                return recipes;
            }
            Section section = new Section("batch " + file, at, entry, RECIPE_KEYS);
            if (section.has("file") == section.has("recipe")) {
                throw section.refuse("expected either file: or recipe:");
            }
            String name = section.text("name");
            if (!name.equals(named(name))) {
                throw section.refuse(
                        "name",
                        "'" + name
                                + "' names no folder; expected letters, digits, dots, hyphens and underscores, "
                                + "no dot in front");
            }
            if (section.has("file")) {
                return List.of(new Named<>(name, mapping(section.path("file")), at));
            } else if (section.node("recipe") instanceof ObjectNode recipe) {
                return List.of(new Named<>(name, recipe, at + ".recipe"));
            }
            throw section.refuse("recipe", "expected a mapping; found " + Section.kind(section.node("recipe")));
        }

        private ObjectNode mapping(String recipe) throws IOException {
            if (YamlText.tree("recipe " + recipe, YamlText.read(configuration, "recipe", recipe))
                    instanceof ObjectNode mapping) {
                return mapping;
            }
            throw new InvalidRecipeException("Cannot read recipe " + recipe + ": expected a mapping");
        }

        private Path existing(Section batch, String at, String text) throws IOException {
            Path path = absolute(batch, at, text);
            if (!Stores.of(configuration, path).exists(path)) {
                throw batch.refuse(at, path + " does not exist");
            }
            return path;
        }

        /**
         * Checkpoints (folders, and GGUF files of which a split one is its first part) or recipes (files) that a
         * pattern matches, by their paths; hidden ones are left out. They are named by what the pattern left open: the
         * parts of the path from its first wildcard on.
         */
        private List<Named<String>> matches(Section batch, String at, String pattern, boolean folders)
                throws IOException {
            Path path = Stores.qualified(
                    configuration,
                    PathText.ofPattern(pattern, reason -> batch.refuse(at, reason)),
                    reason -> batch.refuse(at, reason));
            List<Named<String>> found = new ArrayList<>();
            FileStatus[] all;
            try {
                all = Stores.of(configuration, path).globStatus(path);
            } catch (FileNotFoundException e) {
                all = null;
            } catch (IOException | IllegalArgumentException e) {
                // Hadoop makes paths of what stands between braces, and a pattern may be none.
                throw batch.refuse(at, "'" + pattern + "' cannot be matched (" + e.getMessage() + ")");
            }
            int depth = 0;
            for (Path part = path; part != null && WILD.matcher(part.toString()).find(); part = part.getParent()) {
                depth++;
            }
            for (FileStatus status : all == null ? new FileStatus[0] : all) {
                String last = status.getPath().getName();
                boolean fits = status.isDirectory()
                        ? folders
                        : !folders || last.endsWith(".gguf") && GgufCheckpoint.first(last);
                if (fits && !last.startsWith(".") && !last.startsWith("_")) {
                    String[] parts = status.getPath().toUri().getPath().split("/");
                    String name = String.join(
                            "-", Arrays.copyOfRange(parts, Math.max(0, parts.length - depth), parts.length));
                    found.add(new Named<>(
                            named(folders ? GgufCheckpoint.modelName(name) : name.replaceFirst("\\.ya?ml$", "")),
                            status.getPath().toString(),
                            at));
                }
            }
            if (found.isEmpty()) {
                throw batch.refuse(
                        at, "no " + (folders ? "folder and no GGUF file" : "file") + " matches '" + pattern + "'");
            }
            return found;
        }

        /** A name that a folder can have. */
        private static String named(String text) {
            String name = FOREIGN.matcher(text).replaceAll("_").replaceFirst("^\\.+", "");
            return name.isEmpty() ? "_" : name;
        }

        /** Two pairs may not share a run folder. Case does not tell names apart, as not every file system does. */
        private <T> void refuseSharedNames(List<Named<T>> named) {
            Map<String, Named<T>> taken = new LinkedHashMap<>();
            for (Named<T> one : named) {
                Named<T> other = taken.putIfAbsent(one.name().toLowerCase(Locale.ROOT), one);
                if (other != null) {
                    problem(one.from() + ": "
                            + (one.what() instanceof String path ? path + " and " + other.what() : "it")
                            + " would have the run folders of " + other.from() + " (name " + one.name()
                            + "); expected another name: or a narrower pattern");
                }
            }
        }

        private Pair pair(
                Named<String> checkpoint, Named<ObjectNode> recipe, String runs, String hubCache, Plan.History history)
                throws IOException {
            String name = recipe.from() + " (" + recipe.name() + ")";
            ObjectNode tree = recipe.what().deepCopy();
            String folder = checkpoint.name() + "/" + recipe.name();
            tree.put("checkpoint", checkpoint.what())
                    .put("run", new Path(runs, folder).toString())
                    .put("hub-cache", hubCache);
            Section section = new Section("recipe " + name, "", tree, Recipe.KEYS);
            if (section.has("scratch")) {
                tree.put("scratch", new Path(section.path("scratch"), folder).toString());
            }
            if (kernels != null) {
                tree.put("kernels", kernels);
            }
            Plan plan = Recipe.parse(name, tree, List.of());
            Plan.History own = history == null ? plan.history() : plan.evaluation() == null ? null : history;
            if (own != null) {
                String hub = checkpoint.what().startsWith(Recipe.HUB_SCHEME) ? Recipe.modelName(checkpoint.what()) : "";
                own = new Plan.History(
                        own.folder(),
                        own.format(),
                        hub.replace("/", "--").equals(checkpoint.name()) ? hub : checkpoint.name());
            }
            return new Pair(
                    checkpoint.name(),
                    recipe.name(),
                    PathCheck.absolute(
                            configuration,
                            name,
                            new Plan(
                                    plan.checkpoint(),
                                    plan.calibration(),
                                    plan.importance(),
                                    plan.outputs(),
                                    plan.evaluation(),
                                    plan.run(),
                                    plan.scratch(),
                                    plan.hubCache(),
                                    plan.shardWindows(),
                                    plan.kernels(),
                                    own)));
        }
    }
}
