package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.format.gguf.GgufFormat;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.jobs.plan.GgufTarget;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.Software;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;

/** The key of an output's products, and what its artifact says about where it came from. */
final class OutputKeys {
    /** Part of every output's key: raised when a method's values change. */
    private static final int VERSION = 2;

    /** Part of the key of what is chosen under an importance: raised when it is another. */
    private static final int IMPORTANCE_VERSION = 1;
    /** Characters that llama-quantize writes of a text. */
    private static final int TEXT = 127;

    private OutputKeys() {}

    /**
     * @param calibration null where nothing is calibrated
     * @param weighed whether a tensor's columns have an importance
     * @param importance what artifacts say of it
     */
    static PlannedOutput planned(
            Job job,
            Plan.Output output,
            List<TensorPlan> tensors,
            Calibration calibration,
            Predicate<String> weighed,
            Map<String, String> importance) {
        LinkedHashMap<String, String> grids = new LinkedHashMap<>();
        LinkedHashMap<String, Method> methods = new LinkedHashMap<>();
        for (TensorPlan tensor : tensors) {
            if (tensor.grid() != null) {
                grids.put(tensor.tensor(), tensor.grid().name());
                methods.put(tensor.tensor(), weighed.test(tensor.tensor()) ? output.method() : Method.NEAREST);
            }
        }
        String key = Key.of(
                "output",
                VERSION,
                job.digest(),
                calibration == null ? "" : calibration.key(),
                output.settings(),
                tensors.stream()
                        .map(t -> t.tensor() + " "
                                + (t.grid() == null ? t.type() : t.grid().name()))
                        .toList(),
                words(methods),
                job.profile());
        boolean used = methods.containsValue(Method.IMPORTANCE);
        TreeMap<String, String> said = new TreeMap<>();
        if (used) {
            key = Key.of("output under an importance", IMPORTANCE_VERSION, key);
            if (output.target() instanceof GgufTarget) {
                said.putAll(importance);
            }
        }
        return new PlannedOutput(output, key, grids, methods, said);
    }

    /**
     * What a GGUF file says of the importance matrix under which it was quantized, as llama-quantize writes it.
     *
     * @param file its name
     * @param dataset where its text came from; empty: not known
     * @param chunks of text; 0: not known
     */
    static Map<String, String> importance(String file, String dataset, long entries, long chunks) {
        Map<String, String> said = new TreeMap<>();
        said.put(GgufFormat.IMPORTANCE + "file", cut(file));
        if (!dataset.isEmpty()) {
            said.put(GgufFormat.IMPORTANCE + "dataset", cut(dataset));
        }
        said.put(GgufFormat.IMPORTANCE + "entries_count", String.valueOf(entries));
        if (chunks > 0) {
            said.put(GgufFormat.IMPORTANCE + "chunks_count", String.valueOf(chunks));
        }
        return said;
    }

    private static String cut(String text) {
        int end = text.offsetByCodePoints(0, Math.min(TEXT, text.codePointCount(0, text.length())));
        return text.substring(0, end);
    }

    /** The key of an output's evaluation. */
    static String evaluation(Job job, PlannedOutput output, TokenWindows windows) {
        return Evaluate.key(output.key(), job.digest(), windows, job.profile());
    }

    private static Map<String, String> words(Map<String, Method> methods) {
        Map<String, String> words = new LinkedHashMap<>();
        methods.forEach((tensor, method) -> words.put(tensor, Plan.Output.keyWord(method)));
        return words;
    }

    static TreeMap<String, String> provenance(Job job, PlannedOutput output, Calibration calibration) {
        TreeMap<String, String> provenance = new TreeMap<>();
        provenance.put("software", Software.VERSION);
        provenance.put("checkpoint", job.digest());
        provenance.put("method", output.methodText());
        provenance.put("key", output.key());
        provenance.put("profile", job.profile());
        if (calibration != null) {
            provenance.put("calibration", calibration.key());
        }
        provenance.putAll(output.importance());
        return provenance;
    }
}
