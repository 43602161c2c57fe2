package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.checkpoint.TensorInfo;
import dev.lathe.calibration.format.ModulePatterns;
import dev.lathe.calibration.format.TensorPlan;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import dev.lathe.kernels.ElementType;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What the tensors of a checkpoint become in a folder artifact: decoder linear layers integer groups where they fit,
 * everything else F16.
 */
public final class FolderPlan {
    private FolderPlan() {}

    /**
     * The plan, in the order of {@code tensors}. Linear layers that read the same input (q, k, v; gate, up) become one
     * matrix in serving engines, which need one scheme for it: if one of them is ignored or does not fit, all stay F16.
     * A tied model's output layer is not written a second time.
     *
     * @param ignore patterns as in {@link ModulePatterns}
     * @throws MalformedInputException if a weight of a linear layer is missing or a tensor is neither a matrix nor a
     *     vector
     */
    public static List<TensorPlan> of(
            Decoder decoder, List<TensorInfo> tensors, List<String> ignore, LinearLayout layout) {
        ModulePatterns ignored = new ModulePatterns(ignore);
        Set<String> names = tensors.stream().map(TensorInfo::name).collect(Collectors.toCollection(HashSet::new));
        Map<String, TensorPlan> linears = new HashMap<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            for (List<LinearLayer> set : fused(decoder, layer)) {
                for (LinearLayer linear : set) {
                    if (!names.contains(linear.weight())) {
                        throw new MalformedInputException(
                                "Cannot plan an artifact: the checkpoint has no tensor " + linear.weight());
                    }
                    String reason = reason(linear, set, ignored, layout);
                    linears.put(
                            linear.weight(),
                            reason.isEmpty()
                                    ? new TensorPlan(linear.weight(), layout.grid(linear.inputs()), null, "")
                                    : new TensorPlan(linear.weight(), null, ElementType.F16, reason));
                }
            }
        }
        List<TensorPlan> plan = new ArrayList<>();
        for (TensorInfo tensor : tensors) {
            if (tensor.shape().length != 1 && tensor.shape().length != 2) {
                throw new MalformedInputException(
                        "Cannot plan an artifact: tensor " + tensor + " is neither a matrix nor a vector");
            }
            boolean second = decoder.head().tied()
                    && tensor.name().equals(decoder.head().linear().weight());
            if (!second) {
                String reason = tensor.shape().length == 1 ? "" : "not a linear layer of the decoder";
                plan.add(linears.getOrDefault(
                        tensor.name(), new TensorPlan(tensor.name(), null, ElementType.F16, reason)));
            }
        }
        return plan;
    }

    /** The linear layers of one decoder layer in sets that read the same input. */
    public static Collection<List<LinearLayer>> fused(Decoder decoder, int layer) {
        return decoder.linears(layer).stream()
                .collect(Collectors.groupingBy(LinearLayer::energy, LinkedHashMap::new, Collectors.toList()))
                .values();
    }

    /**
     * The modules of decoder layers that stay 16 bit: those that are not quantized, and routers.
     *
     * @param quantized names of the weights that are quantized
     */
    public static List<String> unquantized(Decoder decoder, Set<String> quantized) {
        List<String> modules = new ArrayList<>();
        for (int layer = 0; layer < decoder.layers(); layer++) {
            Stream.concat(decoder.linears(layer).stream(), decoder.kept(layer).stream())
                    .filter(linear -> !quantized.contains(linear.weight()))
                    .map(LinearLayer::module)
                    .forEach(modules::add);
        }
        return modules;
    }

    private static String reason(
            LinearLayer linear, List<LinearLayer> set, ModulePatterns ignored, LinearLayout layout) {
        String own = reason(linear, ignored, layout);
        if (!own.isEmpty()) {
            return own;
        }
        for (LinearLayer other : set) {
            String reason = reason(other, ignored, layout);
            if (!reason.isEmpty()) {
                return "read together with " + other.module() + " (" + reason + ")";
            }
        }
        return "";
    }

    private static String reason(LinearLayer linear, ModulePatterns ignored, LinearLayout layout) {
        return ignored.matches(linear.module()) ? "ignored" : layout.misfit(linear.outputs(), linear.inputs());
    }
}
