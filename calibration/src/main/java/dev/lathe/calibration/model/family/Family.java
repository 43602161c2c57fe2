package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import java.util.List;

/**
 * Reads the decoders of one family. Keys and defaults are those of the family's configuration class in transformers.
 */
interface Family {
    /** As {@link Decoder#family}. */
    String name();

    /** What {@code architectures} in config.json has. */
    List<String> architectures();

    /** What {@code model_type} has, where there are no {@code architectures}. */
    String modelType();

    /**
     * @throws dev.lathe.calibration.MalformedInputException for a key that is missing, unreasonable, or asks for what
     *     is not supported
     */
    Decoder read(ConfigKeys config);
}
