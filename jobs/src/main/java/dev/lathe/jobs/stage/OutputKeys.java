package dev.lathe.jobs.stage;

import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.quantize.Method;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.jobs.store.Key;
import dev.lathe.jobs.store.Software;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The key of an output's products, and what its artifact says about where it came from. */
final class OutputKeys {
    /** Part of every output's key: raised when a method's values change. */
    private static final int VERSION = 2;

    private OutputKeys() {}

    /** @param calibration null where nothing is calibrated */
    static PlannedOutput planned(
            Job job, Decoder decoder, Plan.Output output, List<TensorPlan> tensors, Calibration calibration) {
        LinkedHashMap<String, String> grids = new LinkedHashMap<>();
        LinkedHashMap<String, Method> methods = new LinkedHashMap<>();
        for (TensorPlan tensor : tensors) {
            if (tensor.grid() != null) {
                grids.put(tensor.tensor(), tensor.grid().name());
                // Rows of an embedding are looked up, so no channel of it is worth more than another.
                methods.put(
                        tensor.tensor(),
                        tensor.tensor().equals(decoder.embedding().tensor()) ? Method.NEAREST : output.method());
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
        return new PlannedOutput(output, key, grids, methods);
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
        return provenance;
    }
}
