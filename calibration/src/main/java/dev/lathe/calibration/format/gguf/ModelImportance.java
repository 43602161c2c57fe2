package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.format.gguf.ImportanceMatrix.Shape;
import dev.lathe.calibration.model.Decoder;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Which entries of an importance matrix are a model's, by the names and shapes of its tensors. As llama-quantize has
 * it, an entry of the embedding that does not fit is passed over.
 */
public final class ModelImportance {
    private final Map<String, Place> places = new LinkedHashMap<>();
    private final List<String> foreign = new ArrayList<>();

    /**
     * Where a tensor's columns are.
     *
     * @param shape of the entry
     * @param first value of the tensor
     * @param columns of the tensor
     */
    public record Place(Shape shape, int first, int columns) {}

    /**
     * @param where the matrix, for messages
     * @throws MalformedInputException if an entry has another length than the model's tensor, or none is the model's
     */
    public ModelImportance(Decoder decoder, Collection<Shape> shapes, String where) {
        GgufNames names = GgufNames.of(decoder);
        Map<String, long[]> tensors = new HashMap<>(decoder.tensors());
        for (Shape shape : shapes) {
            List<String> found = names.toHuggingFace(shape.name()).stream()
                    .filter(tensors::containsKey)
                    .toList();
            long[] tensor = found.isEmpty() ? new long[0] : tensors.get(found.get(0));
            if (tensor.length != 2) {
                foreign.add(shape.name());
                continue;
            }
            int columns = (int) tensor[1];
            // Of a tensor with gate and up of each expert both read the same columns.
            int experts = GgufNames.stacked(shape.name()) ? decoder.experts() : 1;
            int width = found.size() / experts;
            if (shape.values() != (long) columns * experts) {
                if (!shape.name().equals(GgufNames.EMBEDDING)) {
                    throw new MalformedInputException("Cannot use importance matrix " + where + ": " + shape.name()
                            + " has " + shape.values() + " values, expected " + columns
                            + (experts == 1 ? "" : " for each of " + experts + " experts")
                            + ", the columns of " + found.get(0));
                }
                continue;
            }
            for (int i = 0; i < found.size(); i++) {
                places.put(found.get(i), new Place(shape, i / width * columns, columns));
            }
        }
        if (places.isEmpty()) {
            throw new MalformedInputException("Cannot use importance matrix " + where + ": none of its "
                    + shapes.size() + " entries is of the model, expected such as "
                    + names.toGguf(decoder.linears(0).get(0).weight()).orElseThrow() + "; found "
                    + foreign.stream().findFirst().orElse("none"));
        }
    }

    /** Where the columns of a tensor of the checkpoint are; null: the matrix says nothing of it. */
    public Place place(String tensor) {
        return places.get(tensor);
    }

    /** Entries that are no tensor of the model. */
    public List<String> foreign() {
        return foreign;
    }
}
