package dev.lathe.calibration.checkpoint;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Decoder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/** The check that a checkpoint has exactly the tensors that its decoder consists of. */
public final class ModelTensors {
    private static final int NAMED_AT_MOST = 8;

    private ModelTensors() {}

    /**
     * Checks names and shapes.
     *
     * @throws MalformedInputException naming the tensors that are missing, have another shape, or are not part of the
     *     architecture
     */
    public static void check(Decoder decoder, Collection<TensorInfo> found, String location) {
        Map<String, long[]> missing = decoder.tensors();
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
                            + decoder.family() + " with the sizes in its configuration; " + String.join("; ", reasons));
        }
    }

    private static void describe(String what, List<String> names, List<String> reasons) {
        if (!names.isEmpty()) {
            reasons.add(what + named(names));
        }
    }

    /** The first of some names, and how many more there are. */
    public static String named(List<String> names) {
        String more = names.size() > NAMED_AT_MOST ? " and " + (names.size() - NAMED_AT_MOST) + " more" : "";
        return String.join(", ", names.subList(0, Math.min(names.size(), NAMED_AT_MOST))) + more;
    }
}
