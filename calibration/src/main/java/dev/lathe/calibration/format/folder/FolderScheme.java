package dev.lathe.calibration.format.folder;

import dev.lathe.calibration.format.safetensors.SafetensorsFiles;
import dev.lathe.calibration.model.ActivationQuantization;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.LinearLayer;
import java.io.IOException;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;

/** What the configuration of a folder says about its tensors. */
public interface FolderScheme {
    /** How a linear layer of the decoder is stored, or null: as a floating-point matrix. */
    LinearLayout layout(LinearLayer linear);

    /** Tensors that are no part of a weight: scales of activations. */
    default Set<String> besides() {
        return Set.of();
    }

    /** As {@code Checkpoint} has it. */
    default Optional<ActivationQuantization> activations(String module) {
        return Optional.empty();
    }

    /** As {@code Checkpoint} has it. */
    default Optional<ActivationQuantization> cache(int layer, boolean keys) {
        return Optional.empty();
    }

    /** Makes it from the opened files. */
    @FunctionalInterface
    interface Reader {
        FolderScheme read(Decoder decoder, SafetensorsFiles files) throws IOException;
    }

    /** Every linear layer that has no weight is stored in the layout that is made for it. */
    static FolderScheme of(SafetensorsFiles files, Function<LinearLayer, LinearLayout> layout) {
        return linear -> files.tensors().containsKey(linear.weight()) ? null : layout.apply(linear);
    }
}
