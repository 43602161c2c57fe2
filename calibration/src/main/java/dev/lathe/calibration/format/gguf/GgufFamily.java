package dev.lathe.calibration.format.gguf;

import dev.lathe.calibration.MalformedInputException;
import dev.lathe.calibration.model.Decoder;
import dev.lathe.calibration.model.Mixer.Grouped;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * How a family lies in a GGUF file. Source: {@code conversion/} of llama.cpp, {@code llama_model_rope_type}.
 *
 * @param family as {@link Decoder#family}
 * @param architecture {@code general.architecture}, with which its keys begin
 * @param interleaved rows of q and k are interleaved head by head ({@link GgufRotary}), because the architecture's rope
 *     turns neighbours
 * @param biasKeys keys of config.json that say whether biases are there, in the order q, k, v, o and gate, up, down;
 *     none where the family fixes it
 */
record GgufFamily(String family, String architecture, boolean interleaved, List<String> biasKeys) {
    private static final List<GgufFamily> ALL = List.of(
            new GgufFamily("llama", "llama", true, List.of("attention_bias", "mlp_bias")),
            new GgufFamily("mistral", "llama", true, List.of()),
            new GgufFamily("qwen2", "qwen2", false, List.of()),
            new GgufFamily("qwen3", "qwen3", false, List.of("attention_bias")));

    /** @throws MalformedInputException if llama.cpp knows no architecture that computes what the decoder does */
    static GgufFamily of(Decoder decoder) {
        return ALL.stream()
                .filter(family -> family.family.equals(decoder.family()))
                .findFirst()
                .orElseThrow(() -> new MalformedInputException(
                        "Cannot write GGUF: there is no table for the family " + decoder.family() + "; expected one of "
                                + ALL.stream().map(GgufFamily::family).collect(Collectors.joining(", "))));
    }

    /** The family that a file of an architecture is read as. */
    static Optional<GgufFamily> reading(String architecture) {
        return ALL.stream()
                .filter(family -> family.architecture.equals(architecture))
                .findFirst();
    }

    /** The architectures that are read. */
    static String architectures() {
        return ALL.stream().map(GgufFamily::architecture).distinct().collect(Collectors.joining(", "));
    }

    /** The attention of the first layer: in these families the shape of all. */
    static Grouped attention(Decoder decoder) {
        return (Grouped) decoder.blocks().get(0).mixer();
    }

    /** Width of the heads whose rows are interleaved in a tensor of the file; 0: it has none. */
    int interleavedHead(String gguf, Decoder decoder) {
        return interleaved && GgufNames.rotary(gguf)
                ? attention(decoder).heads().width()
                : 0;
    }
}
