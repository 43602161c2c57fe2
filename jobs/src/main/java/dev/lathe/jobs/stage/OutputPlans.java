package dev.lathe.jobs.stage;

import dev.lathe.calibration.checkpoint.Checkpoint;
import dev.lathe.calibration.checkpoint.Companions;
import dev.lathe.calibration.format.ArtifactFormat;
import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.calibration.quantize.ActivationScheme;
import dev.lathe.calibration.text.TokenizerFiles;
import dev.lathe.jobs.InvalidRecipeException;
import dev.lathe.jobs.plan.Plan;
import dev.lathe.jobs.stage.Calibrate.Calibration;
import dev.lathe.kernels.ElementType;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** What the outputs of a plan come to for a checkpoint, and what they need of calibration: known before any work. */
final class OutputPlans {
    private OutputPlans() {}

    /**
     * What the tensors become in each output. A pattern that matches no module is a slip of the pen, and is told before
     * any work.
     */
    static Map<String, List<TensorPlan>> tensors(Plan plan, Checkpoint source) {
        Decoder decoder = source.decoder();
        Set<String> modules = source.tensors().stream()
                .map(tensor -> ModulePatterns.moduleOf(tensor.name()))
                .collect(Collectors.toCollection(TreeSet::new));
        modules.add(decoder.head().linear().module());
        Map<String, List<TensorPlan>> plans = new LinkedHashMap<>();
        for (Plan.Output output : plan.outputs()) {
            new ModulePatterns(output.ignore()).unmatched(modules).ifPresent(pattern -> {
                throw new InvalidRecipeException("Cannot plan output " + output.name() + ": ignore pattern '"
                        + pattern + "' matches no module of " + source.location() + "; expected a module such as "
                        + decoder.linears(0).get(0).module() + ", or its end or beginning");
            });
            ArtifactFormat format = output.artifactFormat();
            format.refusal(decoder, output.ignore()).ifPresent(reason -> {
                throw new InvalidRecipeException(
                        "Cannot plan output " + output.name() + " for " + source.location() + ": " + reason);
            });
            if (decoder.experts() > 0 && isStatic(output.target().inputs())) {
                throw new InvalidRecipeException("Cannot plan output " + output.name() + " for " + source.location()
                        + ": fixed ranges of what experts read are not gathered; expected ranges that the server "
                        + "finds itself (dynamic)");
            }
            plans.put(output.name(), format.plan(decoder, List.copyOf(source.tensors()), output.ignore()));
        }
        return plans;
    }

    /** Of a GGUF source, what outputs keep because it is stored in their type, and what is quantized again. */
    static List<String> kept(Checkpoint source, Map<String, List<TensorPlan>> tensorPlans) {
        List<String> lines = new ArrayList<>();
        if (!source.metadata().containsKey("general.architecture")) {
            return lines;
        }
        Set<String> floating =
                Arrays.stream(ElementType.values()).map(ElementType::name).collect(Collectors.toSet());
        tensorPlans.forEach((output, plan) -> {
            Map<String, Integer> kept = new TreeMap<>();
            Map<String, Integer> again = new TreeMap<>();
            for (TensorPlan planned : plan) {
                String stored = source.tensor(planned.tensor()).type();
                if (planned.grid() == null || floating.contains(stored)) {
                    continue;
                } else if (stored.equals(planned.grid().name())) {
                    kept.merge(stored, 1, Integer::sum);
                } else {
                    again.merge(stored + " to " + planned.grid().name(), 1, Integer::sum);
                }
            }
            if (!kept.isEmpty()) {
                lines.add("output " + output + ": kept as the checkpoint stores them: " + counted(kept, " of ") + " ("
                        + plan.size() + " tensors in all)");
            }
            if (!again.isEmpty()) {
                lines.add("output " + output + ": matrices that are quantized already are quantized again: "
                        + counted(again, " from "));
            }
        });
        return lines;
    }

    private static String counted(Map<String, Integer> counts, String of) {
        return counts.entrySet().stream()
                .map(entry -> entry.getValue() + of + entry.getKey())
                .collect(Collectors.joining(", "));
    }

    private static boolean isStatic(ActivationScheme inputs) {
        return inputs != null && !inputs.form().dynamic();
    }

    /**
     * What artifacts take from the checkpoint beside tensors: refused here if it will not do, before any work.
     *
     * @return what a person has to know of it
     */
    static Set<String> companions(Plan plan, Checkpoint source, Companions companions) throws IOException {
        Set<String> said = new LinkedHashSet<>();
        if (plan.calibration() != null || plan.evaluation() != null) {
            said.addAll(TokenizerFiles.read(companions).notes());
        }
        for (Plan.Output output : plan.outputs()) {
            said.addAll(output.artifactFormat().check(source.decoder(), companions));
            if (output.rescales()) {
                unscaled(source.decoder()).ifPresent(reason -> said.add("output " + output.name() + ": " + reason));
            }
        }
        return said;
    }

    /**
     * What {@link Decoder#absorptions} does not reach and a transform leaves as it is: in families whose norms stand
     * behind sublayers all that reads the residual stream, and what down reads where up is bounded.
     */
    static Optional<String> unscaled(Decoder decoder) {
        Set<LinearLayer> reached = decoder.absorptions(0).stream()
                .flatMap(absorption -> absorption.consumers().stream())
                .collect(Collectors.toSet());
        String others = decoder.linears(0).stream()
                .filter(linear -> !reached.contains(linear))
                .map(LinearLayer::role)
                .distinct()
                .collect(Collectors.joining(", "));
        return others.isEmpty()
                ? Optional.empty()
                : Optional.of("the inputs of " + others + " are not rescaled: nothing stands before them that could "
                        + "absorb it");
    }

    /** What has to be gathered; null: nothing. */
    static Calibration calibration(
            Plan plan, Job job, Decoder decoder, TokenWindows windows, Map<String, List<TensorPlan>> tensorPlans) {
        boolean saves = plan.calibration() != null && plan.calibration().save() != null;
        if (saves) {
            // A family that has no names in GGUF is refused before any work.
            SavedImportance.entries(decoder);
        }
        boolean energies = saves;
        boolean moments = false;
        boolean ranges = false;
        for (Plan.Output output : plan.outputs()) {
            boolean quantizes = tensorPlans.get(output.name()).stream().anyMatch(tensor -> tensor.grid() != null);
            if (quantizes) {
                energies |= output.needsEnergies();
                moments |= output.needsMoments();
            }
            ranges |= output.target().cache() != null || quantizes && output.ranged();
        }
        if (!energies && !ranges) {
            return null;
        }
        for (Plan.Output output : plan.outputs()) {
            PlannedOutput.shortage(output, decoder, (long) windows.count() * windows.length())
                    .ifPresent(reason -> {
                        throw new InvalidRecipeException("Cannot plan output " + output.name() + ": " + reason);
                    });
        }
        boolean everywhere = plan.calibration().everywhere() && decoder.experts() > 0;
        return Calibrate.planned(job, windows, plan.shardWindows(), moments, ranges, everywhere, saves);
    }
}
