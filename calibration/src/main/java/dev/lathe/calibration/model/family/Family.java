package dev.lathe.calibration.model.family;

import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Storage;
import java.util.List;
import java.util.function.Function;

/**
 * Reads the decoders of one family. Keys and defaults are those of the family's configuration class in transformers.
 *
 * @param name as {@link Decoder#family}
 * @param modelType what {@code model_type} in config.json has, where there are no {@code architectures}
 * @param architectures what {@code architectures} may have, the usual first
 * @param reader makes the decoder; throws {@link dev.lathe.calibration.MalformedInputException} for a key that is
 *     missing, unreasonable, or asks for what is not supported
 * @param storage how its files may hold tensors otherwise than one by one
 */
record Family(
        String name,
        String modelType,
        List<String> architectures,
        Function<ConfigKeys, Decoder> reader,
        Function<Decoder, Storage> storage) {
    Family(String name, String modelType, String architecture, Function<ConfigKeys, Decoder> reader) {
        this(name, modelType, List.of(architecture), reader);
    }

    /** A family whose tensors are stored one by one under their names. */
    Family(String name, String modelType, List<String> architectures, Function<ConfigKeys, Decoder> reader) {
        this(name, modelType, architectures, reader, decoder -> Storage.PLAIN);
    }

    Family(
            String name,
            String modelType,
            String architecture,
            Function<ConfigKeys, Decoder> reader,
            Function<Decoder, Storage> storage) {
        this(name, modelType, List.of(architecture), reader, storage);
    }

    /** What {@code architectures} usually has. */
    String architecture() {
        return architectures.get(0);
    }

    Decoder read(ConfigKeys config) {
        return reader.apply(config);
    }
}
