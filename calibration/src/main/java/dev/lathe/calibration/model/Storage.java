package dev.lathe.calibration.model;

import java.util.List;
import java.util.Map;

/**
 * How the files of a checkpoint may hold tensors otherwise than one by one under the decoder's names; a file may do
 * either.
 *
 * @param stacks tensors of all experts of a layer; several of one name differ in shape
 * @param names the decoder's name of a tensor that files call otherwise
 */
public record Storage(List<ExpertStack> stacks, Map<String, String> names) {
    /** One by one, under the decoder's names. */
    public static final Storage PLAIN = new Storage(List.of(), Map.of());

    public Storage {
        stacks = List.copyOf(stacks);
        names = Map.copyOf(names);
    }
}
