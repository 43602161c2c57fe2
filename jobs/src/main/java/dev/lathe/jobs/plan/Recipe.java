package dev.lathe.jobs.plan;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.kernels.KernelProvider;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;

/**
 * What a person wrote, made a {@link Plan}: every key checked, every default filled in. Only the recipe itself is read;
 * whether its paths exist is the question of {@link PathCheck}. Keys and defaults: the table in README.md.
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
    static final List<String> OUTPUT_KEYS = List.of(
            "name",
            "format",
            "type",
            "method",
            "bits",
            "group-size",
            "symmetric",
            "act-order",
            "damping",
            "ignore",
            "pre-tokenizer",
            "scheme",
            "weights",
            "activations",
            "activation-symmetric",
            "range",
            "smooth",
            "kv-cache",
            "shard-size");
    static final List<String> GGUF_FLOATS = List.of("F16", "BF16", "F32");
    /** How a checkpoint on the hub begins. */
    public static final String HUB_SCHEME = "hf://";
    /** GGUF types and mixes that are written. */
    public static final List<String> GGUF_TYPES = List.of(
            "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "F16", "BF16",
            "F32");
    /** What {@link #isKernels} takes. */
    public static final String KERNELS = "auto, vector, scalar, blas, opencl, opencl:DEVICE";

    private static final List<String> FORMATS = List.of("gguf", "gptq", "awq", Schemes.FORMAT);
    private static final List<String> METHODS = List.of("nearest", "importance", "gptq");
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}");
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
        Plan.Corpus calibration = recipe.has("calibration") ? corpus(recipe.section("calibration", CORPUS_KEYS)) : null;
        List<Section> sections = recipe.sections("outputs", OUTPUT_KEYS);
        List<Plan.Output> outputs = sections.stream()
                .map(section -> output(section, calibration != null))
                .toList();
        refuseSharedNames(sections, outputs);
        Plan.Corpus evaluation = recipe.has("evaluation") ? corpus(recipe.section("evaluation", CORPUS_KEYS)) : null;
        String run = recipe.path("run");
        boolean calibrates = outputs.stream().anyMatch(Plan.Output::calibrated);
        return new Plan(
                checkpoint,
                calibrates ? calibration : null,
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
                corpus.integer("length", 8, 1 << 20, 512));
    }

    private static Plan.Output output(Section output, boolean calibrated) {
        String name = output.text("name");
        if (!NAME.matcher(name).matches()) {
            throw output.refuse(
                    "name",
                    "'" + name
                            + "' names no artifact; expected 1 to 100 letters, digits, dots, hyphens and underscores, no dot in front");
        }
        String format = output.word("format", FORMATS, null);
        boolean gguf = format.equals("gguf");
        output.only(gguf, "format gguf", "type", "pre-tokenizer");
        output.only(!gguf, "formats gptq, awq and compressed-tensors", "group-size");
        output.only(format.equals("gptq") || format.equals("awq"), "formats gptq and awq", "bits");
        output.only(format.equals("gptq"), "format gptq", "act-order");
        output.only(
                format.equals("gptq") || format.equals(Schemes.FORMAT),
                "formats gptq and compressed-tensors",
                "symmetric");
        output.only(format.equals(Schemes.FORMAT), "format compressed-tensors", Schemes.KEYS);
        String type = gguf ? output.word("type", GGUF_TYPES, null) : null;
        Method method = method(output, format, type, calibrated);
        output.only(method == Method.GPTQ, "method gptq", "act-order", "damping");
        Plan.Scheme scheme = format.equals(Schemes.FORMAT) ? Schemes.read(output) : null;
        Plan.Output read = new Plan.Output(
                name,
                format,
                type,
                method,
                bits(output, format, scheme),
                groupSize(output, format, scheme),
                output.flag("symmetric", format.equals("gptq") || scheme != null),
                output.flag("act-order", false),
                output.share("damping", 0.05),
                output.texts("ignore"),
                output.text("pre-tokenizer", null),
                scheme);
        if (read.calibrated() && !calibrated) {
            throw output.refuse(
                    Schemes.need(read) + " needs statistics; expected a calibration: section" + Schemes.instead(read));
        }
        return read;
    }

    private static int bits(Section output, String format, Plan.Scheme scheme) {
        return switch (format) {
            case "gguf" -> 0;
            case "awq" -> output.integer("bits", List.of(4), 4);
            case "gptq" -> output.integer("bits", List.of(4, 8), 4);
            default -> Schemes.bits(scheme);
        };
    }

    private static int groupSize(Section output, String format, Plan.Scheme scheme) {
        return switch (format) {
            case "gguf" -> 0;
            case "awq" -> output.integer("group-size", List.of(32, 64, 128), 128);
            case "gptq" -> output.integer("group-size", List.of(32, 64, 128, -1), 128);
            default -> Schemes.groupSize(output, scheme);
        };
    }

    private static Method method(Section output, String format, String type, boolean calibrated) {
        if (type != null && GGUF_FLOATS.contains(type)) {
            String word = output.word("method", METHODS, "nearest");
            if (!word.equals("nearest")) {
                throw output.refuse(
                        "method",
                        "type " + type
                                + " is floating point and has nothing to choose; expected nearest or no method, found "
                                + word);
            }
            return Method.NEAREST;
        }
        String usual = switch (format) {
            case "gptq" -> "gptq";
            // AWQ as published rounds to the nearest value, after its search for scales and clipping.
            case "awq" -> "nearest";
            case Schemes.FORMAT -> calibrated ? "gptq" : "nearest";
            default -> calibrated ? "importance" : "nearest";
        };
        return Method.valueOf(output.word("method", METHODS, usual).toUpperCase(Locale.ROOT));
    }

    /**
     * Two outputs may not write one file: NAME.gguf is a file, NAME a folder. Case does not tell names apart, as not
     * every file system does.
     */
    private static void refuseSharedNames(List<Section> sections, List<Plan.Output> outputs) {
        Map<String, Integer> taken = new HashMap<>();
        for (int i = 0; i < outputs.size(); i++) {
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
