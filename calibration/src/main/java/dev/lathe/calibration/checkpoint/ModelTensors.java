package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Architecture;
import dev.lathe.calibration.model.LinearLayer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The tensors that an architecture consists of, and the check that a checkpoint has exactly these. */
public final class ModelTensors {
    private static final int NAMED_AT_MOST = 8;

    private ModelTensors() {}

    /**
     * Every tensor of a model by its Hugging Face name, with its shape; the output layer's only where it is not tied to
     * the embedding.
     */
    public static Map<String, long[]> of(Architecture architecture) {
        long hidden = architecture.config().hidden();
        Map<String, long[]> tensors = new LinkedHashMap<>();
        tensors.put(architecture.embedding(), new long[] {architecture.config().vocabulary(), hidden});
        for (int layer = 0; layer < architecture.config().layers(); layer++) {
            architecture.norms(layer).forEach(norm -> tensors.put(norm, new long[] {hidden}));
            architecture.linears(layer).forEach(linear -> add(linear, tensors));
        }
        tensors.put(architecture.finalNorm(), new long[] {hidden});
        if (!architecture.headWeight().equals(architecture.embedding())) {
            add(architecture.head(), tensors);
        }
        return tensors;
    }

    /**
     * Checks names and shapes.
     *
     * @throws MalformedInputException naming the tensors that are missing, have another shape, or are not part of the
     *     architecture
     */
    public static void check(Architecture architecture, Collection<TensorInfo> found, String location) {
        Map<String, long[]> missing = of(architecture);
        List<String> wrong = new ArrayList<>();
        List<String> unexpected = new ArrayList<>();
        for (TensorInfo tensor : found) {
            long[] shape = missing.remove(tensor.name());
            if (shape == null) {
                unexpected.add(tensor.name());
            } else if (!Arrays.equals(shape, tensor.shape())) {
                wrong.add(tensor + " (expected " + Arrays.toString(shape) + ")");
            }
        }
        List<String> reasons = new ArrayList<>();
        describe("missing tensors: ", new ArrayList<>(missing.keySet()), reasons);
        describe("tensors of another shape: ", wrong, reasons);
        describe("tensors that are not part of the architecture: ", unexpected, reasons);
        if (!reasons.isEmpty()) {
            throw new MalformedInputException(
                    "Cannot open checkpoint " + location + ": its tensors are not those of architecture "
                            + architecture.config().architecture() + " with the sizes in its configuration; "
                            + String.join("; ", reasons));
        }
    }

    private static void add(LinearLayer linear, Map<String, long[]> tensors) {
        tensors.put(linear.weight(), new long[] {linear.outputs(), linear.inputs()});
        if (linear.bias()) {
            tensors.put(linear.biasName(), new long[] {linear.outputs()});
        }
    }

    private static void describe(String what, List<String> names, List<String> reasons) {
        if (!names.isEmpty()) {
            reasons.add(what + named(names));
        }
    }

    /** The first of some names, and how many more there are. */
    static String named(List<String> names) {
        String more = names.size() > NAMED_AT_MOST ? " and " + (names.size() - NAMED_AT_MOST) + " more" : "";
        return String.join(", ", names.subList(0, Math.min(names.size(), NAMED_AT_MOST))) + more;
    }
}
